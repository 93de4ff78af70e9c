"""The view bank: the augmented views of every training image that all trials of a study share."""

import torch
from torch import Tensor

from utsearch.data.dataset import Preprocessing, Split


def view_bank(split: Split, preprocessing: Preprocessing, *, views: int, seed: int) -> Tensor:
    """A few random crops and flips of every image, fixed by the seed.

    The bank, and not a stream of fresh augmentation, is the training data: every design learns from the same pixels,
    and activations before the first tuned block can be computed once per view.

    Returns:
        uint8, (views, images, 3, crop, crop).
    """
    generator = torch.Generator().manual_seed(seed)
    return torch.stack([_one_view(split.pixels, preprocessing.crop, generator) for _ in range(views)])


def _one_view(pixels: Tensor, crop: int, generator: torch.Generator) -> Tensor:
    n, _, side, _ = pixels.shape
    offset = torch.randint(side - crop + 1, (2, n, 1), generator=generator)
    rows = offset[0] + torch.arange(crop)  # (n, crop)
    columns = offset[1] + torch.arange(crop)
    flipped = torch.rand(n, 1, generator=generator) < 0.5
    columns = torch.where(flipped, columns.flip(1), columns)
    images = torch.arange(n)[:, None, None]
    return pixels.permute(0, 2, 3, 1)[images, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2).contiguous()
