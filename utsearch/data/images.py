"""One image of a source as pixels: every mode and orientation read right, or the file named in one line."""

import torch
from PIL import Image, UnidentifiedImageError

from utsearch.data.dataset import DataError, Preprocessing
from utsearch.data.listing import Source
from utsearch.data.transform import fit

BROKEN = (OSError, UnidentifiedImageError, SyntaxError, ValueError, Image.DecompressionBombError)


def read_image(source: Source, name: str, preprocessing: Preprocessing) -> torch.Tensor:
    """One image as uint8 (3, resize, resize); raises DataError that names the file."""
    try:
        with source.image(name) as opened:
            return fit(opened, preprocessing)
    except BROKEN as error:
        raise DataError(f"cannot read the image {where(source, name)} ({reason(error)}); mend or remove it") from error


def where(source: Source, name: str) -> str:
    """The path of an image where it is a file of its own, else its name."""
    root = getattr(source, "root", None)
    return name if root is None else str(root / name)


def reason(error: BaseException) -> str:
    """Why an image cannot be read, in a few words."""
    if isinstance(error, UnidentifiedImageError):
        return "not an image, or one that is empty or damaged from its first bytes on"
    return " ".join(str(error).split()) or type(error).__name__
