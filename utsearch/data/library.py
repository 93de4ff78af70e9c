"""Data sets that torchvision or timm open, as listings."""

import inspect
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from utsearch.data.dataset import DataError
from utsearch.data.listing import Files, Listing, Source, build

PICKLED = ("cifar10", "cifar100")  # their readers in torchvision unpickle


class Indexed:
    """Splits that are sequences of (image, label) without files of their own, named `train#17`."""

    def __init__(self, parts: dict[str, Any]) -> None:
        self._parts = parts

    def image(self, name: str) -> Image.Image:
        """The image as the library gives it."""
        part, _, index = name.partition("#")
        image = self._parts[part][int(index)][0]
        if not isinstance(image, Image.Image):
            raise OSError(f"the library gives a {type(image).__name__}, not a Pillow image")
        return image

    def content(self, name: str, first: int | None = None) -> bytes:
        """The decoded pixels."""
        return self.image(name).tobytes()[:first]

    def size(self, name: str) -> int:
        """Not known without decoding: 0."""
        return 0

    def stamp(self, name: str) -> str:
        """Not known."""
        return ""


def split_name(where: str, reader: str) -> tuple[str, Path]:
    """`NAME:ROOT` of a library's set; raises DataError."""
    name, colon, root = where.partition(":")
    if not colon or not name or not root:
        raise DataError(f"{reader}:{where}: expected {reader}:NAME:ROOT, as in {reader}:Flowers102:/data")
    if name.lower().split("/")[-1] in PICKLED:
        raise DataError(f"{reader}:{name} would unpickle files; use cifar100:ROOT, or an image folder")
    return name, Path(root).expanduser()


def listing(where: str, opened: Callable[[str], Any]) -> Listing:
    """A listing of the splits that `opened(part)` gives; it raises ValueError or LookupError where there is none.

    Raises:
        DataError: the library cannot open the train split, with its own reason.
    """
    parts: dict[str, Any] = {}
    for part in ("train", "val", "test"):
        try:
            found = opened(part)
        except Exception as error:  # libraries raise whatever they like for a split they do not know
            if part == "train":
                reason = " ".join(str(error).split()) or type(error).__name__
                raise DataError(f"cannot open {where}: {reason}") from error
            continue
        if not any(same(found, other) for other in parts.values()):
            parts[part] = found
    labels = {part: labels_of(found, where) for part, found in parts.items()}
    files = {part: _files(found) or [] for part, found in parts.items()}
    on_disk = all(len(files[part]) == len(labels[part]) and Path(files[part][0]).is_file() for part in parts)
    source: Source = Files(Path()) if on_disk else Indexed(parts)
    names = getattr(parts["train"], "classes", None)
    keys = {label for found in labels.values() for label in found}
    named = {key: str(names[key]) if names and key < len(names) else str(key) for key in keys}
    pairs = {
        part: [(files[part][i] if on_disk else f"{part}#{i}", label) for i, label in enumerate(found)]
        for part, found in labels.items()
    }
    return build(where, source, pairs, named)


def same(one: Any, other: Any) -> bool:
    """Whether two splits list the same files, as some libraries fall back to the whole set for an unknown split."""
    mine, theirs = _files(one), _files(other)
    return mine is not None and mine == theirs


def _files(split: Any) -> list[str] | None:
    """The paths that a split lists, where it lists files: read by us, EXIF and all, and hashed."""
    samples = getattr(getattr(split, "reader", split), "samples", None)
    if samples is None:
        samples = [(path,) for path in getattr(split, "_image_files", ())]
    paths = [str(sample[0]) for sample in samples if isinstance(sample[0], str | Path)]
    return paths if paths and len(paths) == len(split) else None


def labels_of(split: Any, where: str) -> list[int]:
    """The labels of a split, from its own lists where it has them, else by reading every item."""
    for name in ("targets", "labels", "_labels", "_samples", "samples"):
        listed = getattr(getattr(split, "reader", split), name, None)
        if listed is None:
            continue
        if isinstance(listed, Sequence) and len(listed) == len(split):
            return [int(item[1]) if isinstance(item, tuple | list) else int(item) for item in listed]
        if hasattr(listed, "tolist") and len(listed) == len(split):
            return [int(label) for label in listed.tolist()]
    if not hasattr(split, "__getitem__") or not hasattr(split, "__len__"):
        raise DataError(f"{where} is a stream; utsearch needs a set of known length with an index")
    return [_label(split[i][1], where) for i in range(len(split))]


def _label(value: Any, where: str) -> int:
    if hasattr(value, "item"):
        value = value.item()
    if not isinstance(value, int):
        raise DataError(f"{where}: a label is {value!r}; utsearch needs one class number an image")
    return value


def torchvision_split(name: str, root: Path, part: str) -> Any:
    """A split of a torchvision set by its own arguments: split=, train= or image_set=.

    Raises:
        LookupError: the set has no such split.
        DataError: torchvision has no such set.
    """
    from torchvision import datasets

    kind = getattr(datasets, name, None)
    if kind is None or name not in datasets.__all__:
        raise DataError(f"torchvision has no data set {name!r}")
    accepted = inspect.signature(kind).parameters
    if "train" in accepted:
        if part == "val":
            raise LookupError(part)
        return kind(root, train=part == "train")
    for argument in ("split", "image_set"):
        if argument in accepted:
            return kind(root, **{argument: part})
    if part != "train":
        raise LookupError(part)
    return kind(root)
