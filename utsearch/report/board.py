"""What is known of a running search: counts, the best design of each size, the trials in training, the time left."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from utsearch.report.groups import About, accuracy, finished, front, hypervolume
from utsearch.report.units import short_count

if TYPE_CHECKING:
    from utsearch.search import Record


@dataclass
class Running:
    """A trial in training and the rungs it has reached."""

    record: Record
    rungs: list[Any] = field(default_factory=list)


@dataclass
class Board:
    """The state behind the live display; `records` are those of earlier sessions at first, and grow."""

    about: About
    trials: int | None = None
    seconds: float | None = None
    records: dict[int, Record] = field(default_factory=dict)
    clock: Callable[[], float] = time.monotonic
    running: dict[int, Running] = field(default_factory=dict)
    done: int = 0  # trials of this session that count
    front: frozenset[int] = frozenset()
    volume: float | None = None
    begun: float | None = None  # by the clock; a budget of time counts from here

    def __post_init__(self) -> None:
        if self.begun is None:
            self.begun = self.clock()
        self._look()

    def start(self, record: Record) -> None:
        """A trial begins."""
        self.running[record.number] = Running(record)
        self.records[record.number] = record  # until now it was waiting

    def reach(self, number: int, rung: Any) -> None:
        """A trial in training reached a rung."""
        if number in self.running:
            self.running[number].rungs.append(rung)

    def end(self, record: Record) -> None:
        """A trial ended in any way."""
        self.running.pop(record.number, None)
        self.records[record.number] = record
        self.done += record.is_new
        self._look()

    @property
    def elapsed(self) -> float:
        """Seconds of this session."""
        return self.clock() - (self.begun or 0.0)

    @property
    def share(self) -> float:
        """How much of the budget is used, 0…1."""
        if self.seconds:
            return min(self.elapsed / self.seconds, 1.0)
        return min(self.done / self.trials, 1.0) if self.trials else 0.0

    @property
    def left(self) -> float | None:
        """Seconds to go: known for a budget of time, estimated for one of trials once a trial has ended."""
        if self.seconds:
            return max(self.seconds - self.elapsed, 0.0)
        if not self.trials or not self.done:
            return None
        return self.elapsed / self.done * max(self.trials - self.done, 0)

    def best(self) -> list[tuple[str, Record]]:
        """The best finished design of each size: none, and each decade of parameters."""
        sizes: dict[int, Record] = {}
        for record in finished(list(self.records.values())):
            size = int(math.log10(record.n_params)) if record.n_params else -1
            if size not in sizes or accuracy(record) > accuracy(sizes[size]):
                sizes[size] = record
        return [(_decade(size), sizes[size]) for size in sorted(sizes)]

    def _look(self) -> None:
        """Once per ended trial, not at every refresh of the screen."""
        records = list(self.records.values())
        self.front = frozenset(record.number for record in front(records))
        self.volume = hypervolume(records, self.about.scale)


def board(
    about: About,
    records: Iterable[Record] = (),
    *,
    trials: int | None = None,
    seconds: float | None = None,
    started: float | None = None,
) -> Board:
    """A board that goes on from the records of earlier sessions; `started` is a `time.monotonic()`, by default now."""
    return Board(about, trials, seconds, {record.number: record for record in records}, begun=started)


def _decade(size: int) -> str:
    return "0" if size < 0 else f"{short_count(10**size)}–{short_count(10 ** (size + 1))}"
