"""The view bank: the augmented views of every training image that all trials of a study share."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from utsearch.data.dataset import DataError, Preprocessing, Split

CROPS = ("random", "resized", "none")
CHUNK = 256  # images on the device at a time, beside the bank


@dataclass(frozen=True)
class Augmentation:
    """How a view differs from its image.

    Attributes:
        crop: "random" within the stored square; "resized", a random area and aspect ratio (torchvision's
            RandomResizedCrop with its defaults, bilinear) of it; "none", the centre.
        flip: whether half of the views are mirrored.
        jitter: strength of random brightness, contrast and saturation, 0 for none (0.4 is usual).
        randaugment: operations of RandAugment (Cubuk et al. 2020) at torchvision's magnitude 9, 0 for none.
    """

    crop: str = "random"
    flip: bool = True
    jitter: float = 0.0
    randaugment: int = 0

    def __post_init__(self) -> None:
        """Raise DataError for what does not exist."""
        if self.crop not in CROPS:
            raise DataError(f"no crop {self.crop!r}; there are {', '.join(CROPS)}")
        if not 0 <= self.jitter <= 1:
            raise DataError(f"jitter is from 0 to 1, got {self.jitter}")
        if self.randaugment < 0:
            raise DataError(f"randaugment is a number of operations, got {self.randaugment}")


USUAL = Augmentation()


def view_bank(
    split: Split,
    preprocessing: Preprocessing,
    *,
    views: int,
    seed: int,
    augmentation: Augmentation = USUAL,
    device: torch.device | str = "cpu",
) -> Tensor:
    """A few augmented views of every image, fixed by the seed.

    The bank, and not a stream of fresh augmentation, is the training data: every design learns from the same pixels,
    and activations before the first tuned block can be computed once per view. Random numbers are drawn on the CPU, so
    that a seed chooses the same crops and strengths on every device.

    Returns:
        uint8, (views, images, 3, crop, crop), on the device.
    """
    crop = preprocessing.crop
    bank = torch.empty((views, len(split), 3, crop, crop), dtype=torch.uint8, device=device)
    generator = torch.Generator().manual_seed(seed)
    colour = _colour(augmentation)
    with torch.random.fork_rng(devices=[]):  # torchvision draws from the global generator of the CPU
        torch.default_generator.manual_seed(seed)
        for view in bank:
            _fill(view, split.pixels, augmentation, generator)
            if colour is not None:
                for i in range(len(view)):
                    view[i] = colour(view[i])
    return bank


def _fill(view: Tensor, pixels: Tensor, augmentation: Augmentation, generator: torch.Generator) -> None:
    """Crop and flip every image into the view."""
    n, crop = len(pixels), view.shape[-1]
    slack = pixels.shape[-1] - crop
    if augmentation.crop == "random":
        offset = torch.randint(slack + 1, (2, n), generator=generator)
    else:
        offset = torch.full((2, n), round(slack / 2))
    flipped = (
        torch.rand(n, 1, generator=generator)[:, 0] < 0.5 if augmentation.flip else torch.zeros(n, dtype=torch.bool)
    )
    for part in torch.arange(n).split(CHUNK):
        images = pixels[part[0] : part[-1] + 1].to(view.device)
        if augmentation.crop == "resized":
            cut = _resized(images, crop)
            mirror = flipped[part].to(view.device)[:, None, None, None]
            view[part[0] : part[-1] + 1] = torch.where(mirror, cut.flip(-1), cut)
        else:
            view[part[0] : part[-1] + 1] = _windows(images, crop, offset[:, part], flipped[part])


def _windows(pixels: Tensor, crop: int, offset: Tensor, flipped: Tensor) -> Tensor:
    """The window of every image that starts at its (row, column) offset, mirrored where told to."""
    steps = torch.arange(crop)
    rows = offset[0, :, None] + steps  # (n, crop)
    columns = offset[1, :, None] + steps
    columns = torch.where(flipped[:, None], columns.flip(1), columns)
    rows, columns = rows.to(pixels.device), columns.to(pixels.device)
    images = torch.arange(len(pixels), device=pixels.device)[:, None, None]
    return pixels.permute(0, 2, 3, 1)[images, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def _resized(pixels: Tensor, crop: int) -> Tensor:
    """A random area of every image, resized to (crop, crop) on its device."""
    from torchvision.transforms import v2

    transform = v2.RandomResizedCrop(crop, antialias=True)
    return torch.stack([transform(image) for image in pixels])


def _colour(augmentation: Augmentation) -> Callable[[Tensor], Tensor] | None:
    """Torchvision's transforms of one image's colours, or None."""
    from torchvision.transforms import v2

    strength = augmentation.jitter
    chosen = [v2.ColorJitter(strength, strength, strength)] if strength else []
    if augmentation.randaugment:
        chosen.append(v2.RandAugment(augmentation.randaugment))
    return v2.Compose(chosen) if chosen else None
