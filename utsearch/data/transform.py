"""From an image file to the network's input, the same way for training, evaluation and an exported model."""

from collections.abc import Callable, Sequence

import numpy as np
from PIL import Image, ImageOps
from torch import Tensor
from torchvision.transforms.v2 import functional as TF

from utsearch.data.dataset import Preprocessing

MOST_PIXELS = 80_000_000  # 240 MB as RGB; Pillow itself only warns from 89 million and refuses from 179 million


def upright_rgb(image: Image.Image) -> Image.Image:
    """Any Pillow image, upright and in 8-bit RGB.

    16-bit grey is scaled (Pillow would clip it), a palette loses its transparency and CMYK is converted as Pillow does.

    Raises:
        ValueError: the image has floating point pixels, whose range nothing tells, or more than can be meant.
    """
    if image.width * image.height > MOST_PIXELS:  # known from its first bytes, before any memory is taken
        raise ValueError(f"{image.width}×{image.height} pixels, more than {MOST_PIXELS:,}; save it smaller")
    turned = ImageOps.exif_transpose(image)
    if turned.mode.startswith("I"):  # 16-bit grey; PNG and TIFF open as I;16 or, in older Pillow, as I
        grey = np.asarray(turned).astype(np.int32)
        turned = Image.fromarray((grey.clip(0, 65535) >> 8).astype(np.uint8))
    elif turned.mode == "F":
        raise ValueError("floating point pixels; save it as 8 or 16 bit")
    elif turned.mode in ("P", "PA") or "transparency" in turned.info:
        turned = turned.convert("RGBA")
    return turned.convert("RGB")


def fit(image: Image.Image, preprocessing: Preprocessing) -> Tensor:
    """Any Pillow image, short side to `resize`, as a uint8 square (3, resize, resize).

    The square lies where its own `centre_crop` is the centre crop of the whole resized image, to the pixel.
    """
    side, crop = preprocessing.resize, preprocessing.crop
    resized = TF.resize(
        upright_rgb(image), [side], interpolation=TF.InterpolationMode(preprocessing.interpolation), antialias=True
    )
    width, height = resized.size
    left, top = (_square_start(length, side, crop) for length in (width, height))
    return TF.pil_to_tensor(resized.crop((left, top, left + side, top + side)))


def _square_start(length: int, side: int, crop: int) -> int:
    start = round((length - crop) / 2) - round((side - crop) / 2)
    return min(max(start, 0), length - side)


def centre_crop(pixels: Tensor, crop: int) -> Tensor:
    """(…, side, side) to the central (…, crop, crop), rounding half to even as torchvision does."""
    start = round((pixels.shape[-1] - crop) / 2)
    return pixels[..., start : start + crop, start : start + crop]


def normalise(pixels: Tensor, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """uint8 (images, 3, h, w) to float with the backbone's own mean and deviation, on the pixels' device."""
    return TF.normalize(pixels.float() / 255, list(mean), list(std))


def evaluation_transform(
    preprocessing: Preprocessing, mean: Sequence[float], std: Sequence[float]
) -> Callable[[Image.Image], Tensor]:
    """The transform of validation for one Pillow image: float (3, crop, crop)."""

    def transform(image: Image.Image) -> Tensor:
        pixels = centre_crop(fit(image, preprocessing), preprocessing.crop)
        return normalise(pixels[None], mean, std)[0]

    return transform
