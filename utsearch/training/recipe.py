"""The training recipe: everything that decides a trial's result besides design, data, backbone and seed."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any


@dataclass(frozen=True)
class Recipe:
    """AdamW on cosine with warm-up; the rungs are prefixes of this one schedule.

    Attributes:
        epochs: passes over the training images.
        rungs: epochs after which validation is read and the search may stop the trial; the last is `epochs`.
        views: augmented views of each image in the bank; epoch e reads view e mod views.
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

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Recipe":
        """The inverse of `asdict`, also of what JSON made of it; keys that are no fields are ignored."""
        known = {field.name: data[field.name] for field in fields(cls) if field.name in data}
        return cls(**{**known, "rungs": tuple(known.get("rungs", cls.rungs))})

    @property
    def fingerprint(self) -> str:
        """Equal recipes have equal fingerprints, whatever machine they run on."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()[:16]
