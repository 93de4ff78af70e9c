"""What a reader finds on disk: names, labels and splits in plain lists; nothing is decoded."""

import io
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import NamedTuple, Protocol, TypeVar

from PIL import Image

from utsearch.data.dataset import DataError
from utsearch.files import read_within

SPLITS = ("train", "val", "test")
LARGEST = 2**30  # bytes of an image's file

Key = TypeVar("Key", int, str)


class Sample(NamedTuple):
    """One image: its name in the source (mostly a path below the root) and its label."""

    name: str
    label: int


class Source(Protocol):
    """Where the images of a listing are."""

    def image(self, name: str) -> Image.Image:
        """The image, opened but not yet decoded; a file that is no image raises OSError."""
        ...

    def content(self, name: str, first: int | None = None) -> bytes:
        """The bytes that tell the image from others, or the first of them."""
        ...

    def size(self, name: str) -> int:
        """The number of these bytes; raises DataError where there is no such image."""
        ...

    def stamp(self, name: str) -> str:
        """Changes when the image changes, without reading it."""
        ...


@dataclass(frozen=True)
class Files:
    """Image files below a root."""

    root: Path

    def image(self, name: str) -> Image.Image:
        """Open the file, from memory: of a file Pillow would take as much as a damaged chunk claims to hold."""
        return Image.open(io.BytesIO(read_within(self.root / name, LARGEST)))

    def content(self, name: str, first: int | None = None) -> bytes:
        """The file, or its first bytes."""
        with (self.root / name).open("rb") as file:
            return file.read(-1 if first is None else first)

    def size(self, name: str) -> int:
        """Of the file, in bytes."""
        try:
            return (self.root / name).stat().st_size
        except OSError as error:
            raise DataError(
                f"cannot read the image {self.root / name} ({error.strerror}), which the set's lists name; "
                f"unpack the set again, or remove the line"
            ) from error

    def stamp(self, name: str) -> str:
        """Time of the last change."""
        return str((self.root / name).stat().st_mtime_ns)


@dataclass(frozen=True)
class Listing:
    """A data set before splits are drawn and images are decoded.

    Attributes:
        where: the root, for messages.
        class_names: of the union of the splits; labels are indices into it.
        splits: train, and those of val and test that the set itself gives.
        source: opens the images.
        held_out: share of train that goes to a split which the set lacks.
        by_class: whether that share is rounded for each class, as suits small folders, or for the whole, as official
            sets are cut.
        sparse: whether a class may be missing in train, as in sets that fix a thousand training images.
    """

    where: str
    class_names: tuple[str, ...]
    splits: Mapping[str, tuple[Sample, ...]]
    source: Source
    held_out: float = 0.1
    by_class: bool = False
    sparse: bool = False


def build(
    where: str,
    source: Source,
    splits: Mapping[str, Iterable[tuple[str, Key]]],
    class_names: Mapping[Key, str] | None = None,
    *,
    held_out: float = 0.1,
    by_class: bool = False,
    sparse: bool = False,
) -> Listing:
    """A listing from (name, key of the class) pairs; the class map comes from the union of the splits.

    Keys need not be contiguous: they are sorted and numbered from 0. Two classes of one name get their key behind it.

    Raises:
        DataError: fewer than two classes, an empty split, a name in two splits, or one listed twice.
    """
    pairs = {part: list(found) for part, found in splits.items()}
    if isinstance(source, Files) and source.root != Path():  # a library's own lists name whole paths
        for name in {name for found in pairs.values() for name, _ in found}:
            check_inside(where, name)
    keys = sorted({key for found in pairs.values() for _, key in found})
    if len(keys) < 2:
        raise DataError(f"{where}: found images of {len(keys)} classes; expected at least 2")
    names = [str(key) if class_names is None else class_names[key] for key in keys]
    unique = [name if names.count(name) == 1 else f"{name} ({key})" for name, key in zip(names, keys, strict=True)]
    label = {key: i for i, key in enumerate(keys)}
    listed = {part: tuple(Sample(name, label[key]) for name, key in found) for part, found in pairs.items()}
    check_apart(where, listed)
    return Listing(where, tuple(unique), listed, source, held_out, by_class, sparse)


def check_inside(where: str, name: str) -> None:
    """Raise DataError where a listed name is no path below the set's own folder."""
    try:
        os.fsencode(name)
        reason = "a path that leaves the folder" if PurePath(name).is_absolute() or ".." in PurePath(name).parts else ""
    except UnicodeEncodeError:
        reason = "no name that a file can have"
    if reason or "\0" in name:
        raise DataError(f"{where}: {name[:200]!r} is {reason or 'no name that a file can have'}; correct the list")


def check_apart(where: str, splits: Mapping[str, Iterable[Sample]]) -> None:
    """Raise DataError where a split is empty, or an image is in two splits or twice in one."""
    seen: dict[str, str] = {}
    for part, samples in splits.items():
        before = len(seen)
        for sample in samples:
            if (other := seen.setdefault(sample.name, part)) != part:
                raise DataError(f"{where}: {sample.name} is in {other} and in {part}; an image belongs to one split")
        listed = sum(1 for _ in samples)
        if not listed:
            raise DataError(f"{where}: the {part} split is empty")
        if len(seen) - before != listed:
            raise DataError(f"{where}: {part} lists {listed - len(seen) + before} images twice; remove the repeats")
