"""Check-up of a folder of tensors on disk: decoded images, and whatever else is kept so."""

import fcntl
import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from utsearch.data.cache import SUFFIXES, Cache, Entry
from utsearch.data.dataset import DataError
from utsearch.findings import Finding, Repair

TYPES = {suffix: dtype for dtype, suffix in SUFFIXES.items()}


def check_cache(
    make: Callable[[], Cache] = Cache.default, holds: str = "decoded images", again: str = "decodes"
) -> Iterator[Finding]:
    """Size against its budget, damaged entries, what killed writers left.

    Args:
        make: the cache; may raise DataError.
        holds: what is in it.
        again: what the next search does with a damaged entry.
    """
    try:
        cache = make()
    except DataError as error:
        yield Finding("caches", str(error), "problem", "correct the variable")
        return
    entries = sorted(path for path in cache.folder.glob("*") if path.suffix in TYPES and path.name[0] != ".")
    size = sum(path.stat().st_size for path in entries)
    said = f"{holds}: {len(entries)} entries, {size / 1e9:.2f} of {cache.budget / 1e9:g} GB in {cache.folder}"
    yield Finding("caches", said, "note" if size > cache.budget else "fine")
    damaged = [path for path in entries if _is_damaged(cache, path)]
    if damaged:
        yield _removal(damaged, f"damaged entries, which the next search {again} anew")
    if parts := [path for path in cache.folder.glob(".*.part") if _is_left_over(cache, path)]:
        yield _removal(parts, "unfinished entries of killed writers")


def _is_damaged(cache: Cache, values: Path) -> bool:
    """Whether length, card or the checksums of some images do not agree; what another process writes now is left."""
    if not _is_free(cache.folder / f"{values.stem}.lock"):
        return False
    try:
        shape = tuple(json.loads(values.with_suffix(".json").read_text())["shape"])
        return cache.read(values.stem, Entry(shape, TYPES[values.suffix])) is None
    except (OSError, ValueError, KeyError, TypeError):
        return True


def _is_left_over(cache: Cache, part: Path) -> bool:
    return _is_free(cache.folder / f"{part.name[1:].removesuffix('.part')}.lock")


def _is_free(lock: Path) -> bool:
    """Whether no process holds it."""
    if not lock.exists():
        return True
    with lock.open("r+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
    return True


def _removal(paths: list[Path], what: str) -> Finding:
    size = sum(path.stat().st_size for path in paths)
    said = f"{len(paths)} {what}, {size / 1e6:.1f} MB"
    repair = Repair(f"remove {len(paths)} {what.split(',')[0]}", partial(_remove, paths))
    return Finding("caches", said, "problem", repair=repair)


def _remove(paths: list[Path]) -> None:
    for path in paths:
        path.with_suffix(".json").unlink(missing_ok=True)
        path.unlink(missing_ok=True)
