"""All that a report tells of one study, as plain data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from utsearch.design import Design, DesignError, Slot
from utsearch.report.groups import About, accuracy, finished, front

if TYPE_CHECKING:
    from utsearch.search import Record


@dataclass(frozen=True)
class Confirmed:
    """A design retrained over fresh seeds and read on test: mean top-1, and its 95% interval, None of one seed."""

    name: str
    design: str
    n_params: int
    known: bool
    top1: float
    interval: tuple[float, float] | None
    seeds: int
    rate: float = 1.0
    val_top1: float | None = None


@dataclass(frozen=True)
class Rivalry:
    """A confirmed new design against a known one: difference, 95% interval, Holm's p, and the verdict in words."""

    own: str
    other: str
    difference: float
    low: float
    high: float
    p: float
    verdict: str
    seeds: int = 1


@dataclass(frozen=True)
class Story:
    """One study: its words, trials, and what was computed from them elsewhere.

    Attributes:
        about: names, settings and the hypervolume's box.
        records: all trials.
        depth: blocks of the backbone; None where the study does not say.
        importance: for each goal the share of every parameter of the space.
        confirmed: results over seeds.
        rivalries: confirmed new designs against known ones.
        sessions: when, where and by which command it was searched.
        has_weights: whether those of its trials are kept; a reference study has none.
    """

    about: About
    records: Sequence[Record]
    depth: int | None = None
    importance: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    confirmed: Sequence[Confirmed] = ()
    rivalries: Sequence[Rivalry] = ()
    sessions: Sequence[Mapping[str, Any]] = ()
    has_weights: bool = True


def slots(record: Record) -> tuple[Slot, ...]:
    """The slots of a record's design; none where its text is not a design (a damaged or foreign study)."""
    return _slots(record.design)


@lru_cache(maxsize=20_000)  # each figure asks for all
def _slots(text: str) -> tuple[Slot, ...]:
    try:
        return Design.parse(text).slots
    except DesignError:
        return ()


def regrets(records: Sequence[Record]) -> dict[int, float]:
    """For each finished trial, how far its top-1 lies below the best design of at most its size."""
    best, found = 0.0, {}
    for record in sorted(finished(records), key=lambda r: (r.n_params, -accuracy(r))):
        best = max(best, accuracy(record))
        found[record.number] = best - accuracy(record)
    return found


def depth_of(story: Story) -> int:
    """The number of blocks; where the study does not say, the last block that any design names."""
    if story.depth:
        return story.depth
    named = [max(s.blocks.indices) for record in story.records for s in slots(record) if s.blocks.indices]
    return max(named, default=0) + 1


def best_under(records: Sequence[Record], limit: int) -> Record | None:
    """The most accurate finished design of at most `limit` parameters; of equals the smaller."""
    fitting = [record for record in front(records) if record.n_params <= limit]
    return fitting[-1] if fitting else None
