"""Is a data set what it should be? Counts, files that cannot be read, images in two splits, balance."""

import hashlib
import io
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from typing import Any

from PIL import Image

from utsearch.data.decode import Progress, n_workers
from utsearch.data.images import BROKEN, reason, where
from utsearch.data.listing import Files, Listing
from utsearch.data.reader import Reader
from utsearch.data.transform import upright_rgb


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
