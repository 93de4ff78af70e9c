"""Records sorted by what a reader asks of them: on the front, known, new, stopped."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from utsearch import pareto
from utsearch.report.units import clean, plural

if TYPE_CHECKING:
    from utsearch.pareto import Scale
    from utsearch.search import Record

_STATUS_WORDS = {
    "finished": "finished",
    "stopped": "stopped early",
    "failed": "failed",
    "duplicate": "repeated",
    "infeasible": "too large or unfit",
    "running": "running",
    "waiting": "waiting",
}


@dataclass(frozen=True)
class About:
    """What was searched: the words of the headings, and the constants of the hypervolume."""

    study: str
    dataset: str
    backbone: str
    space: str
    scale: Scale | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, study: str, settings: Mapping[str, Any], scale: Scale | None = None) -> About:
        """From what a study records: `About.of(study.name, study.settings, study.scale)`."""
        names = {key: str(settings.get(key, {}).get("name", "?")) for key in ("dataset", "backbone", "space")}
        return cls(study, **names, scale=scale, settings=settings)


def finished(records: Sequence[Record]) -> list[Record]:
    """The trials that ran to the last rung; only their accuracies may be compared."""
    return [record for record in records if record.status == "finished" and record.top1 is not None]


def drawn(records: Sequence[Record]) -> list[Record]:
    """The trials with a point of their own: failed ones, repetitions and those that another goes on with have none."""
    done = [record for record in records if record.status in ("finished", "stopped") and record.top1 is not None]
    went_on = {record.resumes for record in done}
    return [record for record in done if record.number not in went_on]


def front(records: Sequence[Record]) -> list[Record]:
    """The finished trials that none beats with as few parameters, from small to large."""
    done = finished(records)
    return [done[i] for i in pareto.front([(record.n_params, accuracy(record)) for record in done])]


def hypervolume(records: Sequence[Record], scale: Scale | None) -> float | None:
    """The share of the box of `scale` that the front dominates; None without a scale."""
    if scale is None:
        return None
    return pareto.hypervolume([(record.n_params, accuracy(record)) for record in finished(records)], scale)


def thinned(members: Sequence[Record], most: int) -> list[Record]:
    """At most so many records, evenly over the sequence."""
    if len(members) <= most:
        return list(members)
    return [members[i * len(members) // most] for i in range(most)]


def accuracy(record: Record) -> float:
    """Top-1 of a trial that has one."""
    if record.top1 is None:
        raise ValueError(f"trial {record.number} ({record.status}) reached no rung and has no top-1")
    return record.top1


def error(record: Record) -> float:
    """Standard error of the trial's top-1; 0 where none is stored."""
    return record.standard_error or 0.0


def title(record: Record) -> str:
    """The design, after its catalogue name where it has one ("linear" is both)."""
    names = (record.baseline,) if record.baseline and record.baseline != record.design else ()
    return clean(" ".join((*names, record.design)))


def tally(records: Sequence[Record]) -> str:
    """How many trials ended in which way.

    Every status that occurs is named, so that what a figure leaves out is still counted.
    """
    counts: Counter[str] = Counter(record.status for record in records)
    parts = [f"{counts.pop(status)} {words}" for status, words in _STATUS_WORDS.items() if status in counts]
    parts += [f"{n} {status}" for status, n in sorted(counts.items())]
    resumed = {record.resumes for record in records if record.status != "duplicate"}
    if went_on := sum(record.status == "stopped" and record.number in resumed for record in records):
        parts.append(f"{went_on} of the stopped went on as another trial")
    return f"{plural(len(records), 'trial')}: {', '.join(parts)}" if parts else "no trials yet"
