"""Images as they come: modes, depths, orientation and damage."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from utsearch.data import DataError
from utsearch.data.dataset import Preprocessing
from utsearch.data.images import read_image
from utsearch.data.listing import Files
from utsearch.data.transform import upright_rgb

GRADIENT = np.tile(np.arange(64, dtype=np.uint8) * 4, (64, 1))


def opened(path: Path, image: Image.Image, **options: object) -> np.ndarray:
    image.save(path, **options)
    with Image.open(path) as found:
        return np.asarray(upright_rgb(found))


def test_sixteen_bit_grey_keeps_its_range(tmp_path: Path) -> None:
    deep = Image.fromarray(GRADIENT.astype(np.uint16) * 257)
    for suffix in ("png", "tif"):
        assert (opened(tmp_path / f"a.{suffix}", deep) == GRADIENT[..., None]).all()


def test_palette_with_transparency_keeps_its_colours(tmp_path: Path) -> None:
    palette = Image.fromarray(GRADIENT).convert("P")
    expected = np.asarray(palette.convert("RGB"))
    assert (opened(tmp_path / "a.png", palette, transparency=bytes(range(256))) == expected).all()
    assert (opened(tmp_path / "b.gif", palette, transparency=3) == expected).all()


def test_grey_and_transparent_and_cmyk(tmp_path: Path) -> None:
    grey = Image.fromarray(GRADIENT)
    assert (opened(tmp_path / "l.png", grey) == GRADIENT[..., None]).all()
    clear = Image.merge("RGBA", [grey, grey, grey, Image.new("L", grey.size, 0)])
    assert (opened(tmp_path / "a.png", clear) == GRADIENT[..., None]).all()  # as timm and torchvision read it
    red = Image.new("RGB", (64, 64), (200, 30, 20))
    assert np.abs(opened(tmp_path / "c.tif", red.convert("CMYK")).astype(int) - (200, 30, 20)).max() <= 2


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_exif_orientation_is_undone(tmp_path: Path, orientation: int) -> None:
    upright = Image.fromarray(np.stack([GRADIENT, GRADIENT.T, 255 - GRADIENT], 2))
    undo = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,  # a viewer turns by 270 degrees
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    stored = upright.transpose(undo[orientation]) if orientation in undo else upright
    exif = Image.Exif()
    exif[0x0112] = orientation
    assert (opened(tmp_path / "a.png", stored, exif=exif) == np.asarray(upright)).all()


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("empty.jpg", b"", "not an image, or one that is empty"),
        ("page.jpg", b"<html>404</html>", "not an image"),
        ("cut.png", None, "truncated|Truncated|broken"),
        ("снимок.jpg", b"\xff\xd8\xff\xe0", "cannot read the image .*снимок.jpg"),
    ],
)
def test_damage_is_named_in_one_line(tmp_path: Path, name: str, content: bytes | None, why: str) -> None:
    if content is None:
        Image.effect_noise((90, 90), 80).save(tmp_path / name)
        content = (tmp_path / name).read_bytes()[:3000]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=why) as caught:
        read_image(Files(tmp_path), name, Preprocessing(32, 32))
    assert name in str(caught.value)
    assert "mend or remove it" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_floating_point_pixels_are_refused(tmp_path: Path) -> None:
    Image.fromarray(np.ones((40, 40), np.float32)).save(tmp_path / "a.tif")
    with pytest.raises(DataError, match="floating point pixels; save it as 8 or 16 bit"):
        read_image(Files(tmp_path), "a.tif", Preprocessing(32, 32))
