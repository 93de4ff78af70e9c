"""One task of VTAB-1k (Zhai et al. 2019) by its lists: 800 images to train on, 200 to validate."""

from pathlib import Path

from utsearch.data.dataset import DataError
from utsearch.data.layout import base_folder, number, text_lines
from utsearch.data.listing import Files, Listing, build
from utsearch.data.reader import Reader

LAYOUT = "train800.txt, val200.txt and test.txt with `path label` lines, and the images below the same folder"


def read(where: str) -> Listing:
    """The lists as they are; a class may be missing in the thousand training images."""
    base = base_folder(where, "train800.txt", LAYOUT)
    files = {"train": "train800.txt", "val": "val200.txt", "test": "test.txt"}
    return build(str(base), Files(base), {part: _list(base / name) for part, name in files.items()}, sparse=True)


def _list(path: Path) -> list[tuple[str, int]]:
    rows = [line.strip().rsplit(maxsplit=1) for line in text_lines(path)]
    if wrong := [row for row in rows if len(row) != 2]:
        raise DataError(f"{path}: expected `path label`, got {' '.join(wrong[0])!r}")
    return [(name, number(label, path)) for name, label in rows]


READER = Reader(
    name="vtab",
    title="a VTAB-1k task",
    layout=LAYOUT,
    read=read,
    get="the lists go with copies of the 19 tasks, one folder a task: vtab:ROOT/cifar, vtab:ROOT/dtd, …",
    marker=("train800.txt",),
    official={"train": 800, "val": 200},
    notes=("some tasks lack a class in the training images",),
)
