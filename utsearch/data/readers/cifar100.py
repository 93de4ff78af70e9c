"""CIFAR-100 (Krizhevsky 2009), the binary version: nothing is unpickled."""

from pathlib import Path

import numpy as np
from PIL import Image

from utsearch.data.dataset import DataError
from utsearch.data.layout import base_folder, text_lines
from utsearch.data.listing import Listing, build
from utsearch.data.reader import Archive, Reader

LAYOUT = "[cifar-100-binary/]train.bin, test.bin and fine_label_names.txt (the binary version)"
SIDE, HEAD = 32, 2  # pixels; bytes before them: coarse label, fine label
RECORD = HEAD + 3 * SIDE * SIDE


class Records:
    """Images in files of fixed records, named `train.bin#17`."""

    def __init__(self, base: Path) -> None:
        self._base = base
        self._rows = {name: _records(base / name) for name in ("train.bin", "test.bin")}

    def labels(self, name: str) -> list[int]:
        """The fine labels of a file."""
        return self._rows[name][:, 1].tolist()

    def image(self, name: str) -> Image.Image:
        """The 32×32 image."""
        file, _, row = name.partition("#")
        planes = self._rows[file][int(row), HEAD:].reshape(3, SIDE, SIDE)
        return Image.fromarray(np.ascontiguousarray(planes.transpose(1, 2, 0)))

    def content(self, name: str, first: int | None = None) -> bytes:
        """The pixels."""
        file, _, row = name.partition("#")
        return bytes(self._rows[file][int(row), HEAD:])[:first]

    def size(self, name: str) -> int:
        """Of the pixels, in bytes."""
        return RECORD - HEAD

    def stamp(self, name: str) -> str:
        """Time of the file's last change."""
        return str((self._base / name.partition("#")[0]).stat().st_mtime_ns)


def _records(path: Path) -> "np.ndarray[tuple[int, ...], np.dtype[np.uint8]]":
    try:
        content = np.memmap(path, np.uint8, "r")
    except (OSError, ValueError) as error:
        raise DataError(f"cannot read {path} ({error}); unpack the set again") from error
    if len(content) % RECORD:
        raise DataError(f"{path}: {len(content)} bytes are no whole number of {RECORD}-byte records; unpack it again")
    return content.reshape(-1, RECORD)


def read(where: str) -> Listing:
    """The official train and test, by fine label."""
    base = base_folder(where, "train.bin", LAYOUT, ("cifar-100-binary",))
    source = Records(base)
    splits = {
        part: [(f"{part}.bin#{i}", label) for i, label in enumerate(source.labels(f"{part}.bin"))]
        for part in ("train", "test")
    }
    names = dict(enumerate(text_lines(base / "fine_label_names.txt")))
    if (highest := max((label for found in splits.values() for _, label in found), default=0)) not in names:
        raise DataError(f"{base}: fine_label_names.txt has {len(names)} names, a label is {highest}")
    return build(str(base), source, splits, names)


READER = Reader(
    name="cifar100",
    title="CIFAR-100 (binary version)",
    layout=LAYOUT,
    read=read,
    get="https://www.cs.toronto.edu/~kriz/cifar-100-binary.tar.gz (161 MB), unpacked below ROOT",
    marker=("train.bin", "fine_label_names.txt"),
    classes=100,
    official={"train": 50000, "test": 10000},
    archives=(Archive("https://www.cs.toronto.edu/~kriz/cifar-100-binary.tar.gz", "03b5dce01913d631647c71ecec9e9cb8"),),
)
