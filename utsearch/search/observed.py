"""What is known of a trial while it trains and after, as the rules of early stopping and the surrogate read it."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from utsearch.design import Design
from utsearch.search.features import features_of
from utsearch.search.record import Record
from utsearch.search.surrogate import Row


@dataclass(frozen=True)
class Observed:
    """A trial.

    Attributes:
        size: its parameters, known before training; small is good.
        curve: for each rung reached its value (large is good), then other figures that may tell how it will end, such
            as the loss: equally many for every trial.
        final: its value at the last rung, None before that.
        error: standard error of the value at the last rung reached.
        number: of the trial.
        features: what it is, by name, about 0…1; absent ones are 0.
    """

    size: float
    curve: tuple[tuple[float, ...], ...]
    final: float | None = None
    error: float = 0.0
    number: int = 0
    features: Mapping[str, float] = field(default_factory=dict, hash=False)

    @property
    def value(self) -> float:
        """At the last rung reached."""
        return self.curve[-1][0]

    def row(self, rungs: int) -> Row:
        """For a surrogate: what it is, its size, and its figures up to so many rungs."""
        figures = (figure for rung in self.curve[:rungs] for figure in rung)
        return Row(self.features, (math.log10(self.size + 1), *figures))


def observed(record: Record, depth: int) -> Observed:
    """A trial of ours on a backbone of `depth` blocks."""
    return Observed(
        size=record.n_params,
        curve=tuple((rung["top1"], rung["loss"]) for rung in record.rungs),
        final=record.top1 if record.status == "finished" else None,
        error=record.standard_error or 0.0,
        number=record.number,
        features=_features(record.design, depth),
    )


@lru_cache(maxsize=20_000)
def _features(design: str, depth: int) -> Mapping[str, float]:
    """The same trials are looked at again and again while a study grows."""
    return features_of(Design.parse(design), depth)
