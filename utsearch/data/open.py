"""Open a data set by name or path."""

from pathlib import Path

from utsearch.data import folder, mini
from utsearch.data.dataset import DataError, Dataset


def open_dataset(name: str, *, img_size: int, seed: int = 0) -> Dataset:
    """Open a synthetic set by name or an image folder by path, decoded for a network of `img_size` pixels.

    Args:
        name: `mini-birds`, `mini-cars`, `mini-flowers`, or a folder `[train|val|test]/CLASS/IMAGE` or `CLASS/IMAGE`.
        img_size: side of the network's input in pixels.
        seed: of the split where the folder has none, and of the renderer's streams.

    Raises:
        DataError: no such set or folder, no images, a class without images in train, or an unreadable file.
    """
    if name in mini.names():
        return mini.open_mini(name, img_size=img_size, seed=seed)
    path = Path(name).expanduser()
    if path.is_dir():
        return folder.open_folder(path, img_size=img_size, seed=seed)
    raise DataError(
        f"no data set or folder {name!r}; there are {', '.join(mini.names())}, and any folder of CLASS/IMAGE files"
    )
