"""The synthetic sets as data sets: rendered from a seed, never downloaded."""

import hashlib

import torch
from torch import Tensor
from torch.nn import functional as F

from utsearch.data import procedural
from utsearch.data.dataset import Dataset, Preprocessing, Split
from utsearch.data.subset import WHOLE, Subset


def names() -> tuple[str, ...]:
    """The synthetic sets there are."""
    return procedural.NAMES


def open_mini(name: str, *, img_size: int, seed: int = 0, subset: Subset = WHOLE) -> Dataset:
    """Render train and val of a synthetic set; test is another stream and is rendered when it is asked for."""
    preprocessing = Preprocessing(resize=img_size, crop=img_size)
    class_names = procedural.class_names(name)

    def whole(part: str) -> Split:
        pixels, labels = procedural.render(name, part, seed=seed)
        return Split(_fit(pixels, img_size, preprocessing.margin), labels)

    train = whole("train")
    classes = subset.choose_classes(train.labels.tolist(), len(class_names))
    return Dataset(
        name=name,
        class_names=tuple(class_names[c] for c in classes),
        preprocessing=preprocessing,
        train=_restrict(train, subset, classes, "train"),
        val=_restrict(whole("val"), subset, classes, "val"),
        fingerprint=_fingerprint(name, seed, subset),
        synthetic=True,
        read_test=lambda: _restrict(whole("test"), subset, classes, "test"),
        subset=subset.describe(),
    )


def _restrict(split: Split, subset: Subset, classes: list[int], part: str) -> Split:
    """The chosen images of a split, their classes numbered anew."""
    if subset.whole:
        return split
    chosen = torch.tensor(subset.choose(split.labels.tolist(), classes, part))
    number = {old: new for new, old in enumerate(classes)}
    return Split(split.pixels[chosen], torch.tensor([number[label] for label in split.labels[chosen].tolist()]))


def _fit(pixels: Tensor, img_size: int, margin: int) -> Tensor:
    """Resize (n, 3, 64, 64) to the network's size and mirror a margin around it, as room for training crops."""
    images = pixels.float()
    if images.shape[-1] != img_size:
        images = F.interpolate(images, size=(img_size, img_size), mode="bilinear", antialias=True, align_corners=False)
    return F.pad(images, (margin,) * 4, mode="reflect").round().clamp(0, 255).to(torch.uint8)


def _fingerprint(name: str, seed: int, subset: Subset) -> str:
    """The recipe of the pixels, not their bytes: rounding may differ by one level between machines."""
    text = f"{name} {procedural.VERSION} seed={seed} {sorted(procedural.SIZES[name].items())}"
    if not subset.whole:
        text += f" {sorted(subset.describe().items())}"
    return hashlib.sha256(text.encode()).hexdigest()[:16]
