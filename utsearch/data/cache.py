"""Tensors on disk: written once, mapped into memory by every process, rebuilt when damaged."""

import json
import os
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from utsearch.data.dataset import DataError
from utsearch.files import rename_durably, write_atomic

VERSION = 1  # of what a key stands for; a change of decoding raises it
BUDGET_GB = 20.0
CHECKED = 256  # items whose checksum is compared when an entry is opened
SUFFIXES = {torch.uint8: ".u8", torch.float32: ".f32", torch.bfloat16: ".bf16", torch.float16: ".f16"}


class Entry(NamedTuple):
    """Shape, of which the first axis counts the items, and type of a tensor."""

    shape: tuple[int, ...]
    dtype: torch.dtype = torch.uint8

    @property
    def nbytes(self) -> int:
        """Bytes of its values."""
        return prod(self.shape) * self.dtype.itemsize

    def empty(self) -> Tensor:
        """Room for it in memory."""
        return torch.empty(self.shape, dtype=self.dtype)

    def mapped(self, path: Path, *, shared: bool) -> Tensor:
        """A file's content; what is written to it reaches the file where it is shared."""
        flat = torch.from_file(str(path), shared=shared, size=prod(self.shape), dtype=self.dtype)
        return flat.reshape(self.shape)


@dataclass(frozen=True)
class Cache:
    """A folder of entries `KEY.u8` (raw uint8; f32, bf16, f16) and `KEY.json` (shape and CRC-32 of each item, last).

    Attributes:
        folder: of the entries; made when the first one is written.
        budget: largest sum of the entries in bytes; the least recently used ones give way.
        on_failure: is told why entries are kept in memory instead.
    """

    folder: Path
    budget: int
    on_failure: Callable[[str], None] = field(default=lambda reason: None, compare=False)

    @classmethod
    def default(cls) -> "Cache":
        """Of pixels: $UTSEARCH_CACHE or ~/.cache/utsearch, and $UTSEARCH_CACHE_GB or 20 GB; raises DataError."""
        return cls.named("pixels", "UTSEARCH_CACHE_GB", BUDGET_GB)

    @classmethod
    def named(cls, name: str, variable: str, gigabytes: float) -> "Cache":
        """A folder in $UTSEARCH_CACHE or ~/.cache/utsearch with a budget that a variable may change.

        Raises:
            DataError: the variable is no number.
        """
        folder = os.environ.get("UTSEARCH_CACHE") or Path.home() / ".cache" / "utsearch"
        text = os.environ.get(variable) or str(gigabytes)
        try:
            budget = int(float(text) * 1e9)
        except (ValueError, OverflowError) as error:
            raise DataError(f"{variable} is {text!r}; expected gigabytes such as {gigabytes:g}") from error
        return cls(Path(folder) / name, budget)

    def get(self, key: str, shape: tuple[int, ...], fill: Callable[[Tensor], None]) -> Tensor:
        """The entry as a memory-mapped uint8 tensor; `fill` writes it where it is missing or damaged."""
        return self.get_all({key: Entry(shape)}, lambda room: fill(room[key]))[key]

    def get_all(self, entries: Mapping[str, Entry], fill: Callable[[dict[str, Tensor]], None]) -> dict[str, Tensor]:
        """Entries as memory-mapped tensors; `fill` writes at once all those that are missing or damaged.

        A second process that wants one of them waits for the first. What is written to a tensor stays private. Where
        they are larger than the budget or the folder cannot be written, they are built in memory.
        """
        total = sum(entry.nbytes for entry in entries.values())
        if total > self.budget:
            self.on_failure(
                f"{total / 1e9:.1f} GB are more than the {self.budget / 1e9:g} GB that {self.folder} may take"
            )
            return in_memory(entries, fill)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with ExitStack() as locks:
                for key in sorted(entries):  # in one order, so that two processes cannot wait for each other
                    locks.enter_context(_locked(self.folder / f"{key}.lock"))
                found = self._load_all(entries)
                if missing := {key: entry for key, entry in entries.items() if key not in found}:
                    self._write(missing, fill, keep=entries)
                    found |= self._load_all(missing)
        except OSError as error:  # a full disk, a read-only home: filling every time is slower, not wrong
            self.on_failure(f"{self.folder}: {error.strerror or error}")
            return in_memory(entries, fill)
        return found if len(found) == len(entries) else in_memory(entries, fill)

    def _load_all(self, entries: Mapping[str, Entry]) -> dict[str, Tensor]:
        loaded = {key: self.read(key, entry) for key, entry in entries.items()}
        return {key: tensor for key, tensor in loaded.items() if tensor is not None}

    def read(self, key: str, entry: Entry) -> Tensor | None:
        """The entry, or None where it is missing, of another shape, cut short or changed."""
        values, commit = self._path(key, entry), self.folder / f"{key}.json"
        try:
            card = json.loads(commit.read_text())
            if card["shape"] != list(entry.shape) or values.stat().st_size != entry.nbytes:
                return None
            checksums = card["crc32"]
            if len(checksums) != entry.shape[0]:
                return None
        except (OSError, ValueError, KeyError, TypeError):
            return None
        mapped = entry.mapped(values, shared=False)
        step = max(1, entry.shape[0] // CHECKED)
        if any(_crc(mapped[i]) != checksums[i] for i in range(0, entry.shape[0], step)):
            return None
        os.utime(commit)  # used now
        return mapped

    def _write(
        self, entries: Mapping[str, Entry], fill: Callable[[dict[str, Tensor]], None], keep: Mapping[str, Entry]
    ) -> None:
        self._make_room(sum(entry.nbytes for entry in entries.values()), keep)
        # One name each: the lock is ours, and a killed writer leaves no second one.
        parts = {key: self.folder / f".{key}.part" for key in entries}
        try:
            for key, entry in entries.items():
                with parts[key].open("wb") as file:
                    os.posix_fallocate(file.fileno(), 0, entry.nbytes)  # a full disk is found here, not while mapped
            mapped = {key: entry.mapped(parts[key], shared=True) for key, entry in entries.items()}
            fill(mapped)
            for key, entry in entries.items():
                self._commit(key, entry, mapped[key], parts[key])
        finally:
            for part in parts.values():
                part.unlink(missing_ok=True)

    def _commit(self, key: str, entry: Entry, mapped: Tensor, part: Path) -> None:
        """Values first, then the card that says they are whole."""
        checksums = [_crc(item) for item in mapped]
        with part.open("rb+") as file:
            os.fsync(file.fileno())
        rename_durably(part, self._path(key, entry))
        write_atomic(self.folder / f"{key}.json", json.dumps({"shape": list(entry.shape), "crc32": checksums}))

    def _path(self, key: str, entry: Entry) -> Path:
        return self.folder / f"{key}{SUFFIXES[entry.dtype]}"

    def _make_room(self, wanted: int, keep: Mapping[str, Entry]) -> None:
        """Remove entries, least recently used first; a process that has one mapped keeps its values."""
        paths = [path for path in self.folder.iterdir() if path.suffix in SUFFIXES.values()]
        kept = sum(path.stat().st_size for path in paths if path.stem in keep and path.with_suffix(".json").exists())
        entries = [(path, path.stat().st_size) for path in paths if path.stem not in keep]
        entries.sort(key=lambda entry: _last_used(entry[0]))
        excess = wanted + kept + sum(size for _, size in entries) - self.budget
        for path, size in entries:
            if excess <= 0:
                break
            path.with_suffix(".json").unlink(missing_ok=True)
            path.unlink(missing_ok=True)
            excess -= size


def _last_used(values: Path) -> float:
    try:
        return values.with_suffix(".json").stat().st_mtime
    except OSError:
        return 0.0  # never finished


def _crc(item: Tensor) -> int:
    return zlib.crc32(item.contiguous().view(torch.uint8).numpy().data)


def in_memory(entries: Mapping[str, Entry], fill: Callable[[dict[str, Tensor]], None]) -> dict[str, Tensor]:
    """Entries that no other process sees."""
    room = {key: entry.empty() for key, entry in entries.items()}
    fill(room)
    return room


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold an exclusive lock that ends with the process, however it ends."""
    import fcntl

    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
