"""The result in words: did a new design beat the catalogue's, by how much, and how sure is it?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from utsearch.report.groups import accuracy, error, finished, front
from utsearch.report.units import clean, count, percent, plural, points

if TYPE_CHECKING:
    from utsearch.search import Record


CLEAR = 2.0  # standard errors: by chance one comparison in forty is as good, and the best of many is picked


@dataclass(frozen=True)
class Comparison:
    """A new design against a finished catalogue design."""

    new: Record
    rival: Record

    @property
    def difference(self) -> float:
        """Validation top-1, new minus rival."""
        return accuracy(self.new) - accuracy(self.rival)

    @property
    def standard_error(self) -> float:
        """Of the difference; conservative, since both saw the same validation images."""
        return math.hypot(error(self.new), error(self.rival))

    @property
    def sigmas(self) -> float:
        """The difference in standard errors."""
        if self.standard_error:
            return self.difference / self.standard_error
        return math.copysign(math.inf, self.difference) if self.difference else 0.0

    @property
    def beats(self) -> bool:
        """Better by more than `CLEAR` standard errors of the difference."""
        return self.sigmas > CLEAR

    @property
    def against_tuner(self) -> bool:
        """Whether the rival tunes anything: every tuner ought to beat the linear probe."""
        return self.rival.n_params > 0


def comparisons(records: Sequence[Record]) -> list[Comparison]:
    """Each new design of the front against the best catalogue design of at most its size, where there is one."""
    known = [record for record in finished(records) if record.baseline]
    pairs = []
    for record in front(records):
        rivals = [rival for rival in known if rival.n_params <= record.n_params]
        if rivals and not record.baseline:
            pairs.append(Comparison(record, max(rivals, key=accuracy)))
    return pairs


def verdict(records: Sequence[Record]) -> str:
    """Whether a new design beat the catalogue's, in one sentence or two."""
    done = finished(records)
    new = [record for record in done if not record.baseline]
    if not done:
        return "No trial has finished yet."
    if not new:
        return "No new design has finished yet: the front holds only the catalogue's."
    if len(new) == len(done):
        return "No catalogue design has finished, so the new ones have nothing to be compared with."
    pairs = comparisons(records)
    beating = [pair for pair in pairs if pair.beats]
    return _claim(beating) if beating else f"No new design beat the catalogue's: {_nearest(new, done, pairs)}."


def caution(records: Sequence[Record]) -> str:
    """What a claim is worth; empty where nothing is claimed."""
    if not any(pair.beats for pair in comparisons(records)):
        return ""
    tried = sum(record.is_new and not record.baseline for record in records)
    picked = f"picked as the best of {plural(tried, 'new design')}"
    return f"One seed, {picked}, which flatters it: confirm before you believe it."


def summary(records: Sequence[Record]) -> str:
    """The verdict, one line for each new design of the front, and the catalogue designs that are missing."""
    lines = [f"{verdict(records)} {caution(records)}".rstrip()]
    lines += [f"  {line(pair, records)}" for pair in comparisons(records)]
    names = {record.baseline for record in finished(records)}
    missing = sorted({record.baseline for record in records if record.baseline and record.baseline not in names})
    if missing:
        lines.append(f"  Not compared, since not finished: {', '.join(map(clean, missing))}.")
    return "\n".join(lines)


def line(pair: Comparison, records: Sequence[Record]) -> str:
    """One new design against its rival and against the catalogue's best of any size."""
    best = max((record for record in finished(records) if record.baseline), key=accuracy)
    text = (
        f"{_name(pair.new)} ({count(pair.new.n_params)} params): {percent(accuracy(pair.new))} %, "
        f"{points(pair.difference)} ± {percent(pair.standard_error)} points against {_name(pair.rival)}"
    )
    if best is pair.rival:
        return f"{text}, the catalogue's best of any size"
    return f"{text}; {points(accuracy(pair.new) - accuracy(best))} against {_name(best)}, the best of any size"


def _claim(beating: Sequence[Comparison]) -> str:
    """The clearest win; one over a tuner says more than any over the linear probe."""
    real = [pair for pair in beating if pair.against_tuner]
    best = max(real or beating, key=lambda pair: pair.sigmas)
    rival = f"the {'best' if real else 'only'} catalogue design of at most that size"
    text = (
        f"New design {_name(best.new)} ({count(best.new.n_params)} params): {percent(accuracy(best.new))} % val top-1, "
        f"{points(best.difference)} points over {rival} ({_named(best.rival)}), {_strength(best)}."
    )
    more = len(real or beating) - 1
    if more:
        text += f" {plural(more, 'more design')} of the front {'beats its rival' if more == 1 else 'beat theirs'}."
    return text


def _nearest(new: Sequence[Record], done: Sequence[Record], pairs: Sequence[Comparison]) -> str:
    if pairs:
        best = max(pairs, key=lambda pair: pair.sigmas)
        return (
            f"the nearest, {_name(best.new)} ({count(best.new.n_params)} params), is {points(best.difference)} points "
            f"from the best of at most that size ({_named(best.rival)}), {_strength(best)}"
        )
    best_new, best_known = (max(group, key=accuracy) for group in (new, [record for record in done if record.baseline]))
    return f"none is on the front; the best new one is {_named(best_new)}, the catalogue's is {_named(best_known)}"


def _strength(pair: Comparison) -> str:
    noise = f"the standard error of the difference ({percent(pair.standard_error)})"
    if not math.isfinite(pair.sigmas):
        return "standard error unknown"
    return f"{pair.sigmas:.1f} times {noise}" if pair.sigmas > 1 else f"within {noise}"


def _named(record: Record) -> str:
    return f"{_name(record)}, {count(record.n_params)} params, {percent(accuracy(record))} %"


def _name(record: Record) -> str:
    return clean(record.baseline or f"#{record.number} {record.design}")
