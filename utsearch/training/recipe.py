"""The training recipe: everything that decides a trial's result besides design, data, backbone and seed."""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from utsearch.data import Augmentation
from utsearch.data.views import CROPS
from utsearch.errors import UserError


def _positive(value: float) -> bool:
    return value > 0


def _share(value: float) -> bool:
    return 0 <= value < 1


def _not_negative(value: float) -> bool:
    return value >= 0


_LIMITS: dict[str, tuple[Callable[[Any], bool], str]] = {
    **dict.fromkeys(("epochs", "views", "batch_size"), (_positive, "at least 1")),
    **dict.fromkeys(("clip",), (_positive, "above 0")),
    **dict.fromkeys(("weight_decay", "mixup", "randaugment"), (_not_negative, "at least 0")),
    "jitter": (lambda value: 0 <= value <= 1, "from 0 to 1"),
    "crop": (CROPS.__contains__, f"one of {', '.join(CROPS)}"),
    **dict.fromkeys(("warmup", "label_smoothing", "drop_path", "ema"), (_share, "a share from 0 to below 1")),
    "precision": (("auto", "float32", "bfloat16").__contains__, "one of auto, float32, bfloat16"),
    "head_init": (("ridge", "zero").__contains__, "one of ridge, zero"),
}


@dataclass(frozen=True)
class Recipe:
    """AdamW on cosine with warm-up; the rungs are prefixes of this one schedule.

    Attributes:
        epochs: passes over the training images.
        rungs: epochs after which validation is read and the search may stop the trial; the last is `epochs`.
        views: augmented views of each image in the bank; epoch e reads view e mod views.
        crop, flip, jitter, randaugment: how a view differs from its image, see `utsearch.data.Augmentation`.
        batch_size: images a step.
        tuner_lr: peak learning rate of the tuners.
        head_lr: peak learning rate of the linear head.
        weight_decay: on matrices of the tuners and the head, not on vectors.
        warmup: share of the steps with a rising learning rate.
        label_smoothing: of the cross entropy.
        clip: largest norm of the gradient.
        mixup: α of Beta(α, α) from which each batch draws how far it is mixed with itself; 0 for none.
        drop_path: share of images for which a tuner's term is left out in a training step.
        ema: decay of the moving average of what is learnt, which is then what is validated and kept; 0 for none.
        precision: "float32", "bfloat16" (autocast), or "auto": bfloat16 on CUDA, float32 on CPU (docs/recipe.md).
        head_init: "ridge" starts the head from the ridge solution on the frozen features, "zero" from zeros.
    """

    epochs: int = 5
    rungs: tuple[int, ...] = (1, 2, 5)
    views: int = 3
    crop: str = "random"
    flip: bool = True
    jitter: float = 0.0
    randaugment: int = 0
    batch_size: int = 32
    tuner_lr: float = 2e-2
    head_lr: float = 5e-3
    weight_decay: float = 1e-2
    warmup: float = 0.1
    label_smoothing: float = 0.1
    clip: float = 1.0
    mixup: float = 0.0
    drop_path: float = 0.0
    ema: float = 0.0
    precision: str = "auto"
    head_init: str = "ridge"

    def __post_init__(self) -> None:
        """Refuse what cannot be trained.

        Raises:
            UserError: names the field and what it takes.
        """
        for name, (fine, takes) in _LIMITS.items():
            if not fine(getattr(self, name)):
                raise UserError(f"recipe: {name}={getattr(self, name)} is not {takes}")
        if list(self.rungs) != sorted({*self.rungs}) or not self.rungs or self.rungs[0] < 1:
            raise UserError(f"recipe: rungs={self.rungs} are not rising epochs")
        if self.rungs[-1] != self.epochs:
            raise UserError(f"recipe: the last rung is {self.rungs[-1]}, not the last epoch {self.epochs}")

    @classmethod
    def parse(cls, text: str) -> "Recipe":
        """The default recipe with changes: `epochs=20, batch_size=64, rungs=4/8/20`.

        Without rungs they move with the epochs: a fifth, two fifths, and the end.

        Raises:
            UserError: an unknown field, or a value that it does not take.
        """
        changes: dict[str, Any] = {}
        kinds = {field.name: type(getattr(cls, field.name)) for field in fields(cls)}
        for part in filter(str.strip, text.split(",")):
            name, _, value = (piece.strip() for piece in part.partition("="))
            if name not in kinds:
                raise UserError(f"recipe: no field {name!r}; there are {', '.join(kinds)}")
            try:
                changes[name] = _typed(value, kinds[name])
            except (ValueError, KeyError) as error:
                raise UserError(f"recipe: {name}={value!r} is no {kinds[name].__name__}") from error
        if "epochs" in changes and "rungs" not in changes:
            shares = (max(1, round(share * changes["epochs"])) for share in (0.2, 0.4, 1.0))
            changes["rungs"] = tuple(sorted({*shares}))
        return cls(**changes)

    @property
    def augmentation(self) -> Augmentation:
        """How the views of the bank differ from their images."""
        return Augmentation(self.crop, self.flip, self.jitter, self.randaugment)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Recipe":
        """The inverse of `asdict`, also of what JSON made of it; keys that are no fields are ignored."""
        known = {field.name: data[field.name] for field in fields(cls) if field.name in data}
        return cls(**{**known, "rungs": tuple(known.get("rungs", cls.rungs))})

    @property
    def fingerprint(self) -> str:
        """Equal recipes have equal fingerprints, whatever machine they run on."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()[:16]


def _typed(value: str, kind: type) -> Any:
    """A field's value from its text."""
    if kind is tuple:
        return tuple(map(int, value.split("/")))
    return {"true": True, "false": False}[value] if kind is bool else kind(value)
