"""Is a data set what it should be? Counts, files that cannot be read, images in two splits, balance."""

import csv
import hashlib
import io
import os
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from PIL import Image

from utsearch.data.dataset import DataError, Progress
from utsearch.data.decode import n_workers
from utsearch.data.images import BROKEN, reason, where
from utsearch.data.listing import Files, Listing
from utsearch.data.reader import Reader
from utsearch.data.splits import complete
from utsearch.data.transform import upright_rgb
from utsearch.files import write_atomic


@dataclass(frozen=True)
class Check:
    """What was found.

    Attributes:
        name: of the reader.
        root: that was read.
        classes: number of classes in the union of the splits.
        images: by split, as the set gives the splits.
        per_class: fewest, median and most training images of a class.
        problems: what differs from the official set.
        unreadable: (file, why), each image that cannot be decoded.
        duplicates: (image, image) of equal content in two splits.
        repeats: number of images with the content of another one of their split.
        notes: what one should know before using the set.
    """

    name: str
    root: str
    classes: int
    images: Mapping[str, int]
    per_class: tuple[int, int, int]
    problems: tuple[str, ...]
    unreadable: tuple[tuple[str, str], ...]
    duplicates: tuple[tuple[str, str], ...]
    repeats: int
    notes: tuple[str, ...]

    @property
    def good(self) -> bool:
        """Whether the set may be used as it is."""
        return not (self.problems or self.unreadable or self.duplicates)

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {"good": self.good} | asdict(self)


def check(reader: Reader, where_: str, progress: Progress | None = None) -> Check:
    """Read every image of a set.

    Raises:
        DataError: the layout itself is wrong.
    """
    listing = reader.read(where_)
    counts = Counter(label for _, label in listing.splits["train"])
    each = sorted(counts[label] for label in range(len(listing.class_names)))
    hashes, unreadable = _read_all(listing, progress)
    duplicates, repeats = _equal(listing, hashes)
    return Check(
        name=reader.name,
        root=listing.where,
        classes=len(listing.class_names),
        images={part: len(samples) for part, samples in listing.splits.items()},
        per_class=(each[0], each[len(each) // 2], each[-1]),
        problems=tuple(_differences(reader, listing)),
        unreadable=unreadable,
        duplicates=duplicates,
        repeats=repeats,
        notes=reader.notes,
    )


def write_readable(reader: Reader, where_: str, found: Check, path: Path) -> int:
    """Write the readable images as a list file with splits, for `list:PATH`; returns how many there are.

    Paths are relative to the file. Splits that the set lacks are drawn from what is readable.

    Raises:
        DataError: the images are no files, or too few of a class are left.
    """
    listing, bad = reader.read(where_), {file for file, _ in found.unreadable}
    if not isinstance(listing.source, Files):
        raise DataError(f"{reader.name} keeps its images in no files of their own, so no list can name them")
    kept = {
        part: tuple(sample for sample in samples if where(listing.source, sample.name) not in bad)
        for part, samples in listing.splits.items()
    }
    whole = complete(replace(listing, splits=kept), seed=0)
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(("path", "label", "split"))
    for part, samples in whole.splits.items():
        for name, label in samples:
            relative = os.path.relpath(listing.source.root / name, path.parent)
            rows.writerow((Path(relative).as_posix(), listing.class_names[label], part))
    write_atomic(path, text.getvalue())
    return sum(map(len, whole.splits.values()))


def _differences(reader: Reader, listing: Listing) -> Iterator[str]:
    """From the official numbers."""
    if reader.classes and len(listing.class_names) != reader.classes:
        yield f"{len(listing.class_names)} classes; officially {reader.classes}"
    for part, official in reader.official.items():
        found = len(listing.splits.get(part, ()))
        if found != official:
            yield f"{found:,} {part} images; officially {official:,}"


def _read_all(listing: Listing, progress: Progress | None) -> tuple[dict[str, str], tuple[tuple[str, str], ...]]:
    """The content's hash of every image that can be decoded, and the others with the reason."""
    names = [sample.name for samples in listing.splits.values() for sample in samples]
    hashes: dict[str, str] = {}
    unreadable: list[tuple[str, str]] = []
    with ThreadPoolExecutor(n_workers()) as pool:
        tasks = {pool.submit(_hash, listing, name): name for name in names}
        for done, task in enumerate(as_completed(tasks), 1):
            name, error = tasks[task], task.exception()
            if error is None:
                hashes[name] = task.result()
            elif isinstance(error, BROKEN):
                unreadable.append((where(listing.source, name), reason(error)))
            else:
                raise error
            if progress and (done % 32 == 0 or done == len(names)):
                progress("reading images", done, len(names))
    return hashes, tuple(sorted(unreadable))


def _hash(listing: Listing, name: str) -> str:
    """Of an image's bytes, once they were decoded; a file is read once."""
    content = listing.source.content(name)
    opened = Image.open(io.BytesIO(content)) if isinstance(listing.source, Files) else listing.source.image(name)
    with opened as image:
        upright_rgb(image)
    return hashlib.sha256(content).hexdigest()


def _equal(listing: Listing, hashes: Mapping[str, str]) -> tuple[tuple[tuple[str, str], ...], int]:
    """Pairs of equal images over splits, the first of each content; and how many repeat another of their split."""
    by_content: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for part, samples in listing.splits.items():
        for sample in samples:
            if sample.name in hashes:
                by_content[hashes[sample.name]][part].append(sample.name)
    pairs: list[tuple[str, str]] = []
    repeats = 0
    for found in by_content.values():
        first, *others = (names[0] for names in found.values())
        pairs += [(first, other) for other in others]
        repeats += sum(len(names) - 1 for names in found.values())
    return tuple(pairs), repeats
