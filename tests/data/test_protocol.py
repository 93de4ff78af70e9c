"""Our evaluation transform against timm's own, on the same Pillow images."""

import numpy as np
import pytest
import torch
from PIL import Image
from timm.data import create_transform
from torchvision.transforms import v2

from utsearch.data import DataError, Preprocessing, evaluation_transform, preprocessing_of

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def image(width: int, height: int) -> Image.Image:
    rng = np.random.default_rng([width, height])
    return Image.fromarray(rng.integers(0, 256, (height, width, 3), dtype=np.uint8))


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize(("img_size", "crop_pct"), [(224, 0.9), (224, 0.875), (224, 0.95), (96, 1.0), (64, 0.93)])
def test_timm_protocol_is_timms_transform(img_size: int, crop_pct: float, interpolation: str) -> None:
    """Equal to the bit before normalisation, and to float32 rounding after it (below 1e-6)."""
    preprocessing = preprocessing_of("timm", img_size, crop_pct=crop_pct, interpolation=interpolation)
    assert preprocessing is not None
    ours = evaluation_transform(preprocessing, MEAN, STD)
    theirs = create_transform(img_size, crop_pct=crop_pct, interpolation=interpolation, mean=MEAN, std=STD)
    for size in ((301, 300), (500, 375), (333, 500), (64, 64), (97, 1001), (250, 251)):
        assert (ours(image(*size)) - theirs(image(*size))).abs().max() < 1e-6


def test_vpt_protocol_is_resize_256_and_crop_224() -> None:
    preprocessing = preprocessing_of("vpt", 224)
    assert preprocessing is not None
    ours = evaluation_transform(preprocessing, MEAN, STD)
    theirs = v2.Compose(
        [v2.Resize(256), v2.CenterCrop(224), v2.PILToTensor(), v2.ToDtype(torch.float32, True), v2.Normalize(MEAN, STD)]
    )
    for size in ((301, 300), (500, 375), (256, 257)):
        assert (ours(image(*size)) - theirs(image(*size))).abs().max() < 1e-6


def test_records_leave_out_what_is_as_usual() -> None:
    assert Preprocessing(72, 64).describe() == {"resize": 72, "crop": 64}
    chosen = preprocessing_of("timm", 224, crop_pct=0.9, interpolation="bicubic")
    assert chosen is not None
    assert chosen.describe() == {"resize": 248, "crop": 224, "interpolation": "bicubic", "protocol": "timm"}
    assert Preprocessing(**chosen.describe()) == chosen


def test_no_protocol_is_the_sets_own_default() -> None:
    assert preprocessing_of(None, 224) is None


def test_unknown_names() -> None:
    with pytest.raises(DataError, match="no protocol 'vtp'; there are vpt, timm"):
        preprocessing_of("vtp", 224)
    with pytest.raises(DataError, match="no interpolation 'random'; there are nearest, bilinear"):
        preprocessing_of("timm", 224, interpolation="random")
