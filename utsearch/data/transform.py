"""From an image file to the network's input, the same way for training, evaluation and an exported model."""

from collections.abc import Callable, Sequence

from PIL import Image, ImageOps
from torch import Tensor
from torchvision.transforms.v2 import functional as TF

from utsearch.data.dataset import Preprocessing


def fit(image: Image.Image, resize: int) -> Tensor:
    """Any Pillow image, upright and in RGB, short side to `resize`, as a uint8 square (3, resize, resize)."""
    upright = ImageOps.exif_transpose(image).convert("RGB")
    return TF.pil_to_tensor(TF.center_crop(TF.resize(upright, [resize]), [resize]))


def centre_crop(pixels: Tensor, crop: int) -> Tensor:
    """(…, side, side) to the central (…, crop, crop)."""
    start = (pixels.shape[-1] - crop) // 2
    return pixels[..., start : start + crop, start : start + crop]


def normalise(pixels: Tensor, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """uint8 (images, 3, h, w) to float with the backbone's own mean and deviation, on the pixels' device."""
    return TF.normalize(pixels.float() / 255, list(mean), list(std))


def evaluation_transform(
    preprocessing: Preprocessing, mean: Sequence[float], std: Sequence[float]
) -> Callable[[Image.Image], Tensor]:
    """The transform of validation for one Pillow image: float (3, crop, crop)."""

    def transform(image: Image.Image) -> Tensor:
        pixels = centre_crop(fit(image, preprocessing.resize), preprocessing.crop)
        return normalise(pixels[None], mean, std)[0]

    return transform
