"""The winner as a folder that loads anywhere: `design.json`, `tuner.safetensors` and a README."""

import io
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from math import prod
from pathlib import Path
from typing import NamedTuple

import torch
from PIL import Image
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from utsearch.backbones import Backbone, load_backbone
from utsearch.card import FORMAT, Card
from utsearch.data import Preprocessing, evaluation_transform
from utsearch.data.images import BROKEN
from utsearch.data.listing import LARGEST
from utsearch.errors import UserError
from utsearch.files import read_within, write_atomic
from utsearch.model_card import PICTURE, model_card
from utsearch.tensors import HeaderError, TensorInfo, read_header
from utsearch.tuning import Classifier, attach, count

MOST_CARD = 16 * 2**20  # bytes; ImageNet-21k's class names have half of one million
CARD, WEIGHTS, README = "design.json", "tuner.safetensors", "README.md"


class ExportError(UserError):
    """An export folder is missing, damaged, or does not belong to this backbone."""


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
            with Image.open(io.BytesIO(read_within(Path(path), LARGEST))) as image:
                pixels = self.transform(image)
        except BROKEN as error:
            raise ExportError(f"cannot read the image {path}: {error}") from error
        device = next(self.model.parameters()).device
        probabilities = self.model(pixels[None].to(device)).softmax(1)[0].tolist()
        return sorted(zip(self.class_names, probabilities, strict=True), key=lambda pair: -pair[1])


def write_export(folder: Path, card: Card, weights: Path, picture: bytes | None = None) -> None:
    """Write the export folder; `weights` are those kept when the trial ended, `picture` the front's as PNG.

    Raises:
        ExportError: the trial's weights are gone, or the folder holds something else.
    """
    if not weights.is_file():
        advice = f'train the design again: python cli.py train --design "{card.design}" --out {folder}'
        raise ExportError(f"the trial's weights {weights} are missing; {advice}")
    if folder.exists() and (not folder.is_dir() or (any(folder.iterdir()) and not (folder / CARD).is_file())):
        raise ExportError(f"{folder} exists and is no export of utsearch; choose another --out")
    new = not (folder / CARD).is_file()
    try:
        write_atomic(folder / WEIGHTS, weights.read_bytes())
        write_atomic(folder / CARD, card.model_dump_json(indent=2) + "\n")
        if picture is not None:
            write_atomic(folder / PICTURE, picture)
        write_atomic(folder / README, model_card(folder.resolve().name, card, with_picture=picture is not None))
    except OSError as error:
        if new:
            _remove(folder)
        raise ExportError(f"cannot write {folder}: {error.strerror or error}") from error


def _remove(folder: Path) -> None:
    """Half an export: the next try would take it for something else."""
    for name in (WEIGHTS, CARD, PICTURE, README):
        (folder / name).unlink(missing_ok=True)
    with suppress(OSError):  # it was not made, or it was there and holds something else
        folder.rmdir()


def load(folder: str | os.PathLike[str], *, device: str | torch.device = "cpu") -> Loaded:
    """A ready model and transform from an export folder, with the logits it had when it was exported.

    Raises:
        ExportError: the folder is missing or damaged, or the backbone's weights are not the recorded ones.
    """
    root = Path(folder)
    card, shapes = read_card(root), _read_shapes(root)
    backbone = load_backbone(card.backbone.name, img_size=card.backbone.img_size, pool=card.backbone.pool)
    if backbone.fingerprint != card.backbone.fingerprint:
        raise ExportError(
            f"{root} was made with weights {card.backbone.fingerprint} of {card.backbone.name!r} "
            f"({card.backbone.weights}); here they are {backbone.fingerprint} ({backbone.weights})"
        )
    _check_size(root, card, shapes, backbone)
    tuned = attach(backbone, card.design)
    head = nn.Linear(backbone.width, len(card.class_names))
    expected = {f"tuner.{k}": v for k, v in tuned.state_dict().items()}
    expected |= {f"head.{k}": v for k, v in head.state_dict().items()}
    _check_shapes(root, card, shapes, expected)
    tensors = _read_weights(root)
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
        card = Card.model_validate_json(read_within(_own_file(path), MOST_CARD))
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


def _own_file(path: Path) -> Path:
    """The path; raises ExportError where it is a link that leads out of its folder, as one in an archive may."""
    if path.is_symlink() and os.path.dirname(os.path.realpath(path)) != os.path.realpath(path.parent):
        raise ExportError(f"{path} is a link out of its folder; put the file itself there")
    return path


def _read_shapes(root: Path) -> dict[str, TensorInfo]:
    """What the weights' header says; no memory is taken for the tensors yet."""
    path = _own_file(root / WEIGHTS)
    try:
        if path.exists() and not path.is_file():
            raise ExportError(f"{path} is no plain file; export it again")
        return read_header(path)
    except FileNotFoundError as error:
        raise ExportError(f"{root} has no {WEIGHTS}; export it again") from error
    except (HeaderError, OSError) as error:
        raise ExportError(f"{path} is damaged ({error}); export it again") from error


def _check_size(root: Path, card: Card, shapes: Mapping[str, TensorInfo], backbone: Backbone) -> None:
    """Before anything of the design is built: the formulas' count is borne out by the file."""
    stored = sum(prod(info.shape) for name, info in shapes.items() if name.startswith("tuner."))
    if (n_params := count(card.design, backbone)) > stored:
        raise ExportError(
            f"{root / WEIGHTS} does not fit the design {card.design!r}: it holds {stored:,} values of tuners, "
            f"the design has {n_params:,}"
        )


def _check_shapes(root: Path, card: Card, shapes: Mapping[str, TensorInfo], expected: Mapping[str, Tensor]) -> None:
    """Before the tensors are read: every name and shape is the design's."""
    wrong = sorted(shapes.keys() ^ expected.keys())
    wrong += [name for name in expected if name in shapes and shapes[name].shape != tuple(expected[name].shape)]
    if wrong:
        raise ExportError(
            f"{root / WEIGHTS} does not fit the design {card.design!r}: {wrong[0][:100]} is not as expected"
        )


def _read_weights(root: Path) -> dict[str, Tensor]:
    try:
        return load_file(root / WEIGHTS)
    except (SafetensorError, OSError) as error:
        raise ExportError(f"{root / WEIGHTS} is damaged ({error}); export it again") from error
