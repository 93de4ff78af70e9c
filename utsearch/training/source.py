"""What a model is called with: images, or stored activations of the blocks that no trial changes."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from utsearch.backbones import Backbone
from utsearch.data import Split, normalise
from utsearch.training.moving import rows
from utsearch.training.replay import Prefix, Replay

EVALUATION_BATCH = 256


@dataclass(frozen=True)
class Material:
    """What every trial of a study trains and is validated on.

    Attributes:
        bank: uint8, (views, images, 3, crop, crop), on the device that computes or, where it has no room, on the CPU.
        labels: int64, (images,), on the device.
        val: centre-cropped validation images, where the bank is; their labels are on the device.
    """

    bank: Tensor
    labels: Tensor
    val: Split

    @property
    def device(self) -> torch.device:
        """Where everything is computed."""
        return self.labels.device


class Source(Protocol):
    """Inputs of a model for training and for validation."""

    def batch(self, epoch: int, chosen: Tensor) -> Tensor:
        """Inputs of these training images, numbered on the CPU, in the view of an epoch."""

    def val(self, chosen: Tensor | None = None) -> Iterator[Tensor]:
        """Inputs of the validation images in their order, or of chosen ones in theirs, batch by batch."""


@dataclass(frozen=True)
class Images:
    """Normalised images."""

    backbone: Backbone
    material: Material

    def batch(self, epoch: int, chosen: Tensor) -> Tensor:
        """(images, 3, crop, crop)."""
        bank = self.material.bank
        pixels = rows(bank[epoch % len(bank)], chosen, self.material.device)
        return normalise(pixels, self.backbone.mean, self.backbone.std)

    def val(self, chosen: Tensor | None = None) -> Iterator[Tensor]:
        """(images, 3, crop, crop) each."""
        stored = self.material.val.pixels
        numbers = torch.arange(len(stored)) if chosen is None else chosen
        for part in numbers.split(EVALUATION_BATCH):
            pixels = rows(stored, part, self.material.device)
            yield normalise(pixels, self.backbone.mean, self.backbone.std)


@dataclass(frozen=True)
class Activations:
    """Empty images; the activations of a prefix are replayed inside the model."""

    prefix: Prefix
    replay: Replay

    def batch(self, epoch: int, chosen: Tensor) -> Tensor:
        """What the model takes after this; it is to be called before the next batch."""
        return self.replay.feed(self.prefix.batch(epoch, chosen))

    def val(self, chosen: Tensor | None = None) -> Iterator[Tensor]:
        """The same for validation."""
        rows = torch.arange(self.prefix.n_val) if chosen is None else chosen
        for part in rows.split(EVALUATION_BATCH):
            yield self.replay.feed(self.prefix.validation(part))


@contextmanager
def source_of(backbone: Backbone, material: Material, prefix: Prefix | None) -> Iterator[Source]:
    """Images, or the activations of a prefix with its blocks skipped for the length of a with block."""
    if prefix is None:
        yield Images(backbone, material)
        return
    with Replay(backbone, tuple(prefix.at), prefix.empties).installed() as replay:
        yield Activations(prefix, replay)


@torch.no_grad()
def features(backbone: Backbone, source: Source, views: int, images: int) -> tuple[Tensor, Tensor]:
    """Pooled features of the bare backbone for every view, (views, images, channels), and for validation."""
    every = torch.arange(images).split(EVALUATION_BATCH)
    bank = [torch.cat([backbone.model(source.batch(view, batch)) for batch in every]) for view in range(views)]
    return torch.stack(bank), torch.cat([backbone.model(inputs) for inputs in source.val()])
