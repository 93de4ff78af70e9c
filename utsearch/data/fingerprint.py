"""What a data set was: 16 hex digits over names, labels, splits and contents."""

import hashlib
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from utsearch.data.listing import SPLITS, Listing

WHOLE = 512 * 2**20  # bytes of train and val up to which every byte is read
HEAD = 16 * 1024  # bytes of each file that are read of a larger set


def fingerprint(listing: Listing) -> str:
    """SHA-256 over split, name, label and size of every image, and over the contents of train and val.

    Of sets above 512 MiB the first 16 KiB of each file stand for its contents. Test counts by names and sizes alone, as
    nothing of it is read before the final evaluation.
    """
    source = listing.source
    rows = [(part, sample, source.size(sample.name)) for part in SPLITS for sample in listing.splits[part]]
    first = None if sum(size for part, _, size in rows if part != "test") <= WHOLE else HEAD
    digest = hashlib.sha256()
    with ThreadPoolExecutor(4) as pool:
        names = [sample.name for part, sample, _ in rows if part != "test"]
        contents = _in_order(pool, lambda name: source.content(name, first), names)
        for part, sample, size in rows:
            digest.update(f"{part} {sample.name} {sample.label} {size}\n".encode(errors="surrogateescape"))
            if part != "test":
                digest.update(next(contents))
    return digest.hexdigest()[:16]


def _in_order(pool: ThreadPoolExecutor, read: Callable[[str], bytes], names: Sequence[str]) -> Iterator[bytes]:
    """As `pool.map`, but never more than 64 files ahead of what is consumed."""
    waiting: deque[Future[bytes]] = deque()
    for name in names:
        waiting.append(pool.submit(read, name))
        if len(waiting) == 64:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()
