"""Synthetic fine-grained sets, rendered from a seed: mini-birds, mini-cars and mini-flowers.

They are drawings, not photographs. The classes of a set share one shape and differ in its parts; pose, scale, colour,
light, clutter, occlusion and noise vary in every image and say nothing of the class.
"""

import numpy as np
import torch
from torch import Tensor

from utsearch.data.procedural.birds import BIRDS
from utsearch.data.procedural.canvas import Draws
from utsearch.data.procedural.cars import CARS
from utsearch.data.procedural.flowers import FLOWERS
from utsearch.data.procedural.genus import Genus

VERSION = "1"  # part of every fingerprint: change it whenever a pixel changes
GENERA = {genus.name: genus for genus in (BIRDS, CARS, FLOWERS)}
NAMES = tuple(GENERA)
SIZES = {name: {"train": 2000, "val": 2000, "test": 2000} for name in NAMES}
BATCH = 32  # images painted at once: up to twice as fast as 250, whose layers outgrow the processor's cache


def class_names(name: str) -> tuple[str, ...]:
    """Readable names of the classes, the words for their parts."""
    return _genus(name).class_names()


def render(name: str, split: str, *, seed: int = 0, n: int | None = None) -> tuple[Tensor, Tensor]:
    """Draw a split; the same seed gives the same pixels, and image i does not depend on n.

    Args:
        name: one of `NAMES`.
        split: train, val or test, each from a stream of its own.
        seed: of the streams.
        n: number of images, by default `SIZES[name][split]`.

    Returns:
        uint8 (n, 3, 64, 64) and int64 labels (n,), the classes in turn.

    Raises:
        ValueError: no such set or split.
    """
    genus = _genus(name)
    if split not in SIZES[name]:
        raise ValueError(f"no split {split!r} of {name}; there are {', '.join(SIZES[name])}")
    total = SIZES[name][split] if n is None else n
    labels = torch.arange(total) % genus.n_classes
    stream = [NAMES.index(name), list(SIZES[name]).index(split), seed]
    batches = [_batch(name, labels[i : i + BATCH], i, stream) for i in range(0, total, BATCH)]
    return torch.cat(batches) if batches else torch.zeros(0, 3, 64, 64, dtype=torch.uint8), labels


def _batch(name: str, labels: Tensor, start: int, stream: list[int]) -> Tensor:
    genus = _genus(name)
    seeds = [np.random.SeedSequence([*stream, start + i]) for i in range(len(labels))]
    return genus.paint(genus.traits_of(labels), Draws(seeds))


def _genus(name: str) -> Genus:
    if name not in GENERA:
        raise ValueError(f"no synthetic set {name!r}; there are {', '.join(NAMES)}")
    return GENERA[name]
