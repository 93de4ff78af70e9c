"""The view bank."""

import torch

from utsearch.data import Preprocessing, Split, centre_crop, view_bank

PREPROCESSING = Preprocessing(resize=36, crop=32)


def split(n: int = 50, side: int = 36) -> Split:
    pixels = torch.randint(0, 256, (n, 3, side, side), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    return Split(pixels, torch.arange(n))


def test_bank_is_fixed_by_its_seed() -> None:
    first, again, other = (view_bank(split(), PREPROCESSING, views=3, seed=s) for s in (0, 0, 1))
    assert first.shape == (3, 50, 3, 32, 32)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_every_view_is_a_crop_of_its_image_or_of_its_mirror() -> None:
    source = split(20)
    bank = view_bank(source, PREPROCESSING, views=2, seed=0)
    windows = source.pixels.unfold(2, 32, 1).unfold(3, 32, 1).permute(0, 2, 3, 1, 4, 5)  # (n, 5, 5, 3, 32, 32)
    mirrored = 0
    for view in bank:
        for image, candidates in zip(view, windows, strict=True):
            straight = (candidates == image).flatten(2).all(-1).any()
            flipped = (candidates == image.flip(-1)).flatten(2).all(-1).any()
            assert straight ^ flipped
            mirrored += int(flipped)
    assert 8 <= mirrored <= 32  # 40 views, each mirrored with probability one half


def test_centre_crop_takes_the_middle() -> None:
    pixels = torch.arange(36 * 36).reshape(1, 1, 36, 36)
    assert torch.equal(centre_crop(pixels, 32), pixels[..., 2:34, 2:34])
