"""The view bank."""

from typing import Any

import pytest
import torch
from torchvision.transforms import v2

from utsearch.data import Augmentation, DataError, Preprocessing, Split, centre_crop, view_bank

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


def first_bank(pixels: torch.Tensor, crop: int, views: int, seed: int) -> torch.Tensor:
    """Random crops and flips image by image, in the order in which the first version drew its numbers."""
    generator = torch.Generator().manual_seed(seed)
    bank = []
    for _ in range(views):
        offset = torch.randint(pixels.shape[-1] - crop + 1, (2, len(pixels), 1), generator=generator)
        flipped = torch.rand(len(pixels), 1, generator=generator) < 0.5
        for i, image in enumerate(pixels):
            row, column = int(offset[0, i]), int(offset[1, i])
            cut = image[:, row : row + crop, column : column + crop]
            bank.append(cut.flip(-1) if flipped[i] else cut)
    return torch.stack(bank).unflatten(0, (views, len(pixels)))


def test_default_gives_the_bits_it_always_gave() -> None:
    source = split(300)  # more than one chunk
    expected = first_bank(source.pixels, 32, views=2, seed=5)
    assert torch.equal(view_bank(source, PREPROCESSING, views=2, seed=5), expected)


@pytest.mark.parametrize(
    "augmentation",
    [Augmentation("resized"), Augmentation(jitter=0.4), Augmentation(randaugment=2), Augmentation("none", flip=False)],
    ids=["resized", "jitter", "randaugment", "none"],
)
def test_every_augmentation_is_fixed_by_its_seed_and_leaves_no_trace(augmentation: Augmentation) -> None:
    torch.manual_seed(123)
    expected = torch.rand(3)
    torch.manual_seed(123)
    first, again, other = (
        view_bank(split(6), PREPROCESSING, views=2, seed=s, augmentation=augmentation) for s in (0, 0, 1)
    )
    assert torch.equal(torch.rand(3), expected)  # the global generator is where it was
    assert first.shape == (2, 6, 3, 32, 32)
    assert torch.equal(first, again)
    assert torch.equal(first, other) == (augmentation.crop == "none")


def test_none_is_the_centre() -> None:
    bank = view_bank(split(4), PREPROCESSING, views=1, seed=0, augmentation=Augmentation("none", flip=False))
    assert torch.equal(bank[0], centre_crop(split(4).pixels, 32))


def test_resized_crop_is_torchvisions() -> None:
    chosen = Augmentation("resized", flip=False)
    bank = view_bank(split(5), PREPROCESSING, views=1, seed=3, augmentation=chosen)
    torch.manual_seed(3)
    theirs = v2.RandomResizedCrop(32, antialias=True)
    assert torch.equal(bank[0], torch.stack([theirs(image) for image in split(5).pixels]))


def test_jitter_changes_colours_and_not_places() -> None:
    """Brightness, contrast and saturation map equal pixels of an image to equal pixels."""
    pixels = torch.zeros(3, 3, 36, 36, dtype=torch.uint8)
    pixels[:, 0, :, :18], pixels[:, 2, :, 18:] = 200, 150
    plain = Augmentation("none", flip=False)
    jittered = Augmentation("none", flip=False, jitter=0.4)
    source = Split(pixels, torch.arange(3))
    before = view_bank(source, PREPROCESSING, views=1, seed=0, augmentation=plain)[0]
    after = view_bank(source, PREPROCESSING, views=1, seed=0, augmentation=jittered)[0]
    assert not torch.equal(before, after)
    assert (after[..., :16] == after[..., :1, :1]).all()
    assert (after[..., 16:] == after[..., -1:, -1:]).all()


@pytest.mark.parametrize("wrong", [{"crop": "ranodm"}, {"jitter": 2.0}, {"randaugment": -1}])
def test_augmentation_that_does_not_exist(wrong: dict[str, Any]) -> None:
    with pytest.raises(DataError, match=r"there are random|from 0 to 1|number of operations"):
        Augmentation(**wrong)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_same_choices_on_cuda() -> None:
    """Crops and flips to the bit; resampling to one grey level."""
    for chosen, tolerance in ((Augmentation(), 0), (Augmentation("resized"), 1)):
        here, there = (
            view_bank(split(20), PREPROCESSING, views=2, seed=0, augmentation=chosen, device=device).cpu().int()
            for device in ("cpu", "cuda")
        )
        assert (here - there).abs().max() <= tolerance
