"""Decoded pixels on disk: written once, mapped into memory by every process, rebuilt when damaged."""

import json
import os
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from pathlib import Path

import torch
from torch import Tensor

from utsearch.data.dataset import DataError
from utsearch.files import write_atomic

VERSION = 1  # of what a key stands for; a change of decoding raises it
BUDGET_GB = 20.0
CHECKED = 256  # images whose checksum is compared when an entry is opened


@dataclass(frozen=True)
class Cache:
    """A folder of entries `KEY.u8` (raw uint8) and `KEY.json` (shape and CRC-32 of each image, written last).

    Attributes:
        folder: of the entries; made when the first one is written.
        budget: largest sum of the entries in bytes; the least recently used ones give way.
    """

    folder: Path
    budget: int

    @classmethod
    def default(cls) -> "Cache":
        """$UTSEARCH_CACHE or ~/.cache/utsearch, and $UTSEARCH_CACHE_GB or 20 GB; raises DataError."""
        folder = os.environ.get("UTSEARCH_CACHE") or Path.home() / ".cache" / "utsearch"
        text = os.environ.get("UTSEARCH_CACHE_GB") or str(BUDGET_GB)
        try:
            budget = int(float(text) * 1e9)
        except (ValueError, OverflowError) as error:
            raise DataError(f"UTSEARCH_CACHE_GB is {text!r}; expected gigabytes such as 20") from error
        return cls(Path(folder) / "pixels", budget)

    def get(self, key: str, shape: tuple[int, ...], fill: Callable[[Tensor], None]) -> Tensor:
        """The entry as a memory-mapped uint8 tensor; `fill` writes it where it is missing or damaged.

        A second process that wants the same entry waits for the first. What is written to the tensor stays private.
        Where the entry is larger than the budget or the folder cannot be written, it is built in memory.
        """
        if prod(shape) > self.budget:
            return _in_memory(shape, fill)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with _locked(self.folder / f"{key}.lock"):
                if (found := self.read(key, shape)) is not None:
                    return found
                self._write(key, shape, fill)
                found = self.read(key, shape)
        except OSError:  # a full disk, a read-only home: decoding every time is slower, not wrong
            return _in_memory(shape, fill)
        return _in_memory(shape, fill) if found is None else found

    def read(self, key: str, shape: tuple[int, ...]) -> Tensor | None:
        """The entry, or None where it is missing, of another shape, cut short or changed."""
        pixels, commit = self.folder / f"{key}.u8", self.folder / f"{key}.json"
        try:
            card = json.loads(commit.read_text())
            if card["shape"] != list(shape) or pixels.stat().st_size != prod(shape):
                return None
            checksums = card["crc32"]
            if len(checksums) != shape[0]:
                return None
        except (OSError, ValueError, KeyError, TypeError):
            return None
        mapped = torch.from_file(str(pixels), shared=False, size=prod(shape), dtype=torch.uint8).reshape(shape)
        step = max(1, shape[0] // CHECKED)
        if any(_crc(mapped[i]) != checksums[i] for i in range(0, shape[0], step)):
            return None
        os.utime(commit)  # used now
        return mapped

    def _write(self, key: str, shape: tuple[int, ...], fill: Callable[[Tensor], None]) -> None:
        self._make_room(prod(shape), keep=key)
        part = self.folder / f".{key}.part"  # one name: the lock is ours, and a killed writer leaves no second one
        try:
            with part.open("wb") as file:
                os.posix_fallocate(file.fileno(), 0, prod(shape))  # a full disk is found here, not while mapped
            mapped = torch.from_file(str(part), shared=True, size=prod(shape), dtype=torch.uint8).reshape(shape)
            fill(mapped)
            checksums = [_crc(image) for image in mapped]
            os.replace(part, self.folder / f"{key}.u8")
            card = json.dumps({"shape": list(shape), "crc32": checksums})
            write_atomic(self.folder / f"{key}.json", card)
        finally:
            part.unlink(missing_ok=True)

    def _make_room(self, wanted: int, keep: str) -> None:
        """Remove entries, least recently used first; a process that has one mapped keeps its pixels."""
        entries = [(path, path.stat().st_size) for path in self.folder.glob("*.u8") if path.stem != keep]
        entries.sort(key=lambda entry: _last_used(entry[0]))
        excess = wanted + sum(size for _, size in entries) - self.budget
        for path, size in entries:
            if excess <= 0:
                break
            path.with_suffix(".json").unlink(missing_ok=True)
            path.unlink(missing_ok=True)
            excess -= size


def _last_used(pixels: Path) -> float:
    try:
        return pixels.with_suffix(".json").stat().st_mtime
    except OSError:
        return 0.0  # never finished


def _crc(image: Tensor) -> int:
    return zlib.crc32(image.contiguous().numpy().data)


def _in_memory(shape: tuple[int, ...], fill: Callable[[Tensor], None]) -> Tensor:
    pixels = torch.empty(shape, dtype=torch.uint8)
    fill(pixels)
    return pixels


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold an exclusive lock that ends with the process, however it ends."""
    import fcntl

    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
