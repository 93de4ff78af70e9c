"""One image of a source as pixels: every mode and orientation read right, or the file named in one line."""

import struct
from collections.abc import Sequence

import torch
from PIL import Image, UnidentifiedImageError

from utsearch.data.dataset import DataError, Preprocessing
from utsearch.data.listing import Source
from utsearch.data.transform import fit

SHOWN = 5  # of many unreadable files in a message
WAY_ON = "python cli.py data check DATASET --readable GOOD.csv, then --dataset list:GOOD.csv"
# The latter ones are what Pillow's plugins let through of their reckoning with damaged bytes.
BROKEN = (
    *(OSError, UnidentifiedImageError, SyntaxError, ValueError, Image.DecompressionBombError, EOFError),
    *(TypeError, LookupError, ArithmeticError, struct.error, MemoryError),
)


class Unreadable(DataError):
    """Images that cannot be decoded, all at once.

    Attributes:
        files: (path or name, why) of each.
    """

    def __init__(self, files: Sequence[tuple[str, str]]) -> None:
        self.files = tuple(sorted(files))
        named = "; ".join(f"{file} ({why})" for file, why in self.files[:SHOWN])
        if len(self.files) == 1:
            super().__init__(f"cannot read the image {named}; mend or remove it, or list the others: {WAY_ON}")
            return
        more = f"; and {len(self.files) - SHOWN} more" if len(self.files) > SHOWN else ""
        super().__init__(
            f"cannot read {len(self.files)} images: {named}{more}; mend or remove them, or list the others: {WAY_ON}"
        )


def read_image(source: Source, name: str, preprocessing: Preprocessing) -> torch.Tensor:
    """One image as uint8 (3, resize, resize); raises Unreadable."""
    try:
        with source.image(name) as opened:
            return fit(opened, preprocessing)
    except BROKEN as error:
        raise Unreadable([(where(source, name), reason(error))]) from error


def where(source: Source, name: str) -> str:
    """The path of an image where it is a file of its own, else its name."""
    root = getattr(source, "root", None)
    return name if root is None else str(root / name)


def reason(error: BaseException) -> str:
    """Why an image cannot be read, in a few words."""
    if isinstance(error, UnidentifiedImageError):
        return "not an image, or one that is empty or damaged from its first bytes on"
    return " ".join(str(error).split()) or type(error).__name__
