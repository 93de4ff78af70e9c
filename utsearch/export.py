"""The winner as a folder that loads anywhere: `design.json`, `tuner.safetensors` and a README."""

import os
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal, NamedTuple

import torch
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from utsearch.backbones import load_backbone
from utsearch.data import Preprocessing, evaluation_transform
from utsearch.errors import UserError
from utsearch.files import write_atomic
from utsearch.tuning import Classifier, attach

FORMAT = 1
CARD, WEIGHTS, README = "design.json", "tuner.safetensors", "README.md"


class ExportError(UserError):
    """An export folder is missing, damaged, or does not belong to this backbone."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class BackboneCard(_Strict):
    """Which frozen network the tuner belongs to: timm's name and the hash of the weights."""

    name: str
    weights: str
    fingerprint: str
    img_size: int = Field(gt=0, le=4096)
    pool: str | None = None


class PreprocessingCard(_Strict):
    """Short side to `resize`, centre crop to `crop` pixels, then the backbone's mean and deviation."""

    resize: int = Field(gt=0, le=8192)
    crop: int = Field(gt=0, le=4096)
    interpolation: Literal["nearest", "bilinear", "bicubic", "lanczos"] = "bilinear"
    protocol: str = ""
    mean: tuple[float, float, float]
    std: tuple[float, float, float]


class Metrics(_Strict):
    """Validation results of the exported weights; `seeds` says how many runs stand behind them."""

    val_top1: float = Field(ge=0, le=1)
    standard_error: float = Field(ge=0)
    n_params: int = Field(ge=0)
    n_head: int = Field(ge=0)
    epoch: int
    seconds: float
    seeds: int


class Card(_Strict):
    """Everything in `design.json`."""

    format: int
    design: str
    backbone: BackboneCard
    class_names: list[str] = Field(min_length=1)
    preprocessing: PreprocessingCard
    metrics: Metrics
    provenance: dict[str, Any]


def make_card(settings: Mapping[str, Any], design: str, metrics: Metrics, provenance: Mapping[str, Any]) -> Card:
    """The card of a design that was trained with these settings (`Problem.settings`, or what a study recorded)."""
    return Card(
        format=FORMAT,
        design=design,
        backbone=BackboneCard(**settings["backbone"]),
        class_names=settings["class_names"],
        preprocessing=PreprocessingCard(**settings["preprocessing"]),
        metrics=metrics,
        provenance={
            **{key: settings[key] for key in ("dataset", "recipe", "versions", "machine")},
            "views_seed": settings["seed"],
            "exported_by": f"utsearch {version('utsearch')}",
            **provenance,
        },
    )


class Loaded(NamedTuple):
    """A ready classifier: `model(transform(image)[None])` gives logits over `class_names`."""

    model: nn.Module
    transform: Callable[[Image.Image], Tensor]
    class_names: tuple[str, ...]
    card: Card

    @torch.no_grad()
    def classify(self, path: str | os.PathLike[str]) -> list[tuple[str, float]]:
        """Classes and probabilities of one image file, most probable first.

        Raises:
            ExportError: the file cannot be read as an image.
        """
        try:
            with Image.open(path) as image:
                pixels = self.transform(image)
        except (OSError, SyntaxError, Image.DecompressionBombError) as error:
            raise ExportError(f"cannot read the image {path}: {error}") from error
        device = next(self.model.parameters()).device
        probabilities = self.model(pixels[None].to(device)).softmax(1)[0].tolist()
        return sorted(zip(self.class_names, probabilities, strict=True), key=lambda pair: -pair[1])


def write_export(folder: Path, card: Card, weights: Path) -> None:
    """Write the export folder; `weights` are those kept when the trial ended.

    Raises:
        ExportError: the trial's weights are gone, or the folder holds something else.
    """
    if not weights.is_file():
        raise ExportError(f"the trial's weights {weights} are missing; run `search` on the machine that keeps them")
    if folder.exists() and (not folder.is_dir() or (any(folder.iterdir()) and not (folder / CARD).is_file())):
        raise ExportError(f"{folder} exists and is no export of utsearch; choose another --out")
    try:
        write_atomic(folder / WEIGHTS, weights.read_bytes())
        write_atomic(folder / CARD, card.model_dump_json(indent=2) + "\n")
        write_atomic(folder / README, _readme(folder, card))
    except OSError as error:
        raise ExportError(f"cannot write {folder}: {error.strerror or error}") from error


def load(folder: str | os.PathLike[str], *, device: str | torch.device = "cpu") -> Loaded:
    """A ready model and transform from an export folder, with the logits it had when it was exported.

    Raises:
        ExportError: the folder is missing or damaged, or the backbone's weights are not the recorded ones.
    """
    root = Path(folder)
    card, tensors = read_card(root), _read_weights(root)
    backbone = load_backbone(card.backbone.name, img_size=card.backbone.img_size, pool=card.backbone.pool)
    if backbone.fingerprint != card.backbone.fingerprint:
        raise ExportError(
            f"{root} was made with weights {card.backbone.fingerprint} of {card.backbone.name!r} "
            f"({card.backbone.weights}); here they are {backbone.fingerprint} ({backbone.weights})"
        )
    tuned = attach(backbone, card.design)
    head = nn.Linear(backbone.width, len(card.class_names))
    try:
        tuned.load_state_dict({k.removeprefix("tuner."): v for k, v in tensors.items() if k.startswith("tuner.")})
        head.load_state_dict({k.removeprefix("head."): v for k, v in tensors.items() if k.startswith("head.")})
    except (RuntimeError, KeyError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise ExportError(f"{root / WEIGHTS} does not fit the design {card.design!r}: {reason}") from error
    model = Classifier(backbone, head, tuned).requires_grad_(False).eval().to(device)
    size = Preprocessing(card.preprocessing.resize, card.preprocessing.crop, card.preprocessing.interpolation)
    transform = evaluation_transform(size, card.preprocessing.mean, card.preprocessing.std)
    return Loaded(model, transform, tuple(card.class_names), card)


def read_card(root: Path) -> Card:
    """What an export folder says of itself.

    Raises:
        ExportError: it is missing, damaged or of another format.
    """
    path = root / CARD
    try:
        card = Card.model_validate_json(path.read_bytes())
    except FileNotFoundError as error:
        raise ExportError(f"{root} is no export of utsearch: it has no {CARD}") from error
    except OSError as error:
        raise ExportError(f"cannot read {path}: {error.strerror}") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        raise ExportError(f"{path} is damaged: {where}: {first['msg']}") from error
    if card.format != FORMAT:
        raise ExportError(f"{path} has format {card.format}; this version of utsearch reads {FORMAT}")
    return card


def _read_weights(root: Path) -> dict[str, Tensor]:
    path = root / WEIGHTS
    try:
        return load_file(path)
    except FileNotFoundError as error:
        raise ExportError(f"{root} has no {WEIGHTS}; export it again") from error
    except (SafetensorError, OSError) as error:
        raise ExportError(f"{path} is damaged ({error}); export it again") from error


def _readme(folder: Path, card: Card) -> str:
    metrics, backbone = card.metrics, card.backbone
    seeds = "one seed" if metrics.seeds == 1 else f"{metrics.seeds} seeds"
    return f"""# A tuner for `{backbone.name}`

    {card.design}

{metrics.n_params:,} tuner parameters and a head of {metrics.n_head:,}; {100 * metrics.val_top1:.1f} ±
{100 * metrics.standard_error:.1f} % top-1 on validation ({seeds}, chosen as the best of a search, so expect a little
less on new images), {len(card.class_names)} classes. Backbone weights: {backbone.weights}, fingerprint
`{backbone.fingerprint}`.

```python
import utsearch
tuned = utsearch.load("{folder.name}")  # .model, .transform and .class_names, ready to use
print(tuned.classify("image.png")[:3])
```

`python cli.py predict {folder.name} image.png` does the same. `design.json` says what made it.
"""
