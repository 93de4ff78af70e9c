"""An image folder: `[train|val|test]/CLASS/IMAGE`, or `CLASS/IMAGE` without splits."""

from pathlib import Path

from torchvision.datasets.folder import IMG_EXTENSIONS

from utsearch.data.dataset import DataError
from utsearch.data.layout import images_by_class
from utsearch.data.listing import SPLITS, Files, Listing, build
from utsearch.data.reader import Reader

LAYOUT = "[train|val|test]/CLASS/IMAGE, or CLASS/IMAGE"
HELD_OUT = 0.15  # share of each class that goes to val, and to test, where the folder has no such split


def read(where: str) -> Listing:
    """The splits that are there, or every image as train."""
    root = Path(where).expanduser()
    if not where or not root.is_dir():
        raise DataError(f"no folder {where!r}; expected {LAYOUT}")
    parts = [part for part in SPLITS if (root / part).is_dir()]
    if parts and "train" not in parts:
        raise DataError(f"{root} has {', '.join(parts)} but no train folder")
    folders = {part: root / part for part in parts} or {"train": root}
    found = {part: images_by_class(folder, root) for part, folder in folders.items()}
    if (n := len({name for part in found.values() for _, name in part})) < 2:
        raise DataError(
            f"{root}: found images of {n} classes; expected at least 2 folders CLASS/ or train/CLASS/ with "
            f"{', '.join(sorted(IMG_EXTENSIONS))} files"
        )
    return build(str(root), Files(root), found, held_out=HELD_OUT, by_class=True)


READER = Reader(name="folder", title="an image folder", layout=LAYOUT, read=read)
