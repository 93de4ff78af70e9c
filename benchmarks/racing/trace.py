"""Hypervolume over time of a search, and how long it takes to another's final one; plain data."""

import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import comb

from utsearch.pareto import Scale, hypervolume

TOLERANCE = 1e-12


@dataclass(frozen=True)
class End:
    """A trial that ended.

    Attributes:
        seconds: of the search up to there, everything counted.
        digest: of its design.
        n_params: of its tuners.
        top1: on validation at the last rung it reached, 0…1.
        status: "finished", "stopped", or why else it counts nothing.
        wall: seconds by the clock on the wall.
    """

    seconds: float
    digest: str
    n_params: int
    top1: float
    status: str = "finished"
    wall: float = 0.0


@dataclass(frozen=True)
class Steps:
    """How a hypervolume grew: it has `values[i]` from `seconds[i]` on."""

    seconds: tuple[float, ...]
    values: tuple[float, ...]

    @property
    def final(self) -> float:
        """At the end."""
        return self.values[-1] if self.values else 0.0

    def at(self, seconds: float) -> float:
        """What it was at a time."""
        position = bisect_right(self.seconds, seconds)
        return self.values[position - 1] if position else 0.0

    def reaches(self, goal: float) -> float:
        """When it first was that large; infinite if it never was."""
        pairs = zip(self.seconds, self.values, strict=True)
        return next((seconds for seconds, value in pairs if value >= goal - TOLERANCE), math.inf)


def steps(ends: Sequence[End], scale: Scale, worth: Mapping[str, float] | None = None) -> Steps:
    """Of the designs trained to the end, the best run of each.

    Args:
        ends: in their order.
        scale: of the hypervolume.
        worth: top-1 by digest in place of what the search saw, such as the mean over several seeds.
    """
    points: list[tuple[float, float]] = []
    seconds, values = [], []
    for end in ends:
        if end.status != "finished":
            continue
        points.append((end.n_params, end.top1 if worth is None else worth[end.digest]))
        grown = hypervolume(points, scale)
        if not values or grown > values[-1]:
            seconds.append(end.seconds)
            values.append(grown)
    return Steps(tuple(seconds), tuple(values))


@dataclass(frozen=True)
class Median:
    """A median over seeds with an interval of at least 95% that assumes no distribution."""

    value: float
    low: float
    high: float
    n: int


def median(values: Sequence[float]) -> Median:
    """Of values that may be infinite; the interval is between order statistics (binomial, Conover 1999, §3.2).

    Raises:
        ValueError: no values.
    """
    if not values:
        raise ValueError("no values have no median")
    ordered, n = sorted(values), len(values)
    middle = ordered[n // 2] if n % 2 else (ordered[n // 2 - 1] + ordered[n // 2]) / 2
    rank = _rank(n)
    if rank == 0:  # too few for 95%: not even between the least and the greatest
        return Median(middle, -math.inf, math.inf, n)
    return Median(middle, ordered[rank - 1], ordered[n - rank], n)


def _rank(n: int) -> int:
    """The largest r with P(Binomial(n, ½) < r) at most 2.5%; 0 where there is none."""
    rank, below = 0, 0.0
    while below + comb(n, rank) / 2**n <= 0.025:
        below += comb(n, rank) / 2**n
        rank += 1
    return rank


@dataclass(frozen=True)
class Ratio:
    """A lane's time to the plain lane's final hypervolume.

    Attributes:
        to_reached: over the plain lane's time to it, that is without its last trials, which added nothing.
        to_spent: over all the time that the plain lane spent.
        hypervolume: the lane's own at the end, over the plain lane's.
    """

    to_reached: float
    to_spent: float
    hypervolume: float


def ratio(plain: Steps, spent: float, lane: Steps) -> Ratio:
    """Compare a lane with the plain one of the same seed; infinite where the lane never comes there."""
    reached = lane.reaches(plain.final)
    return Ratio(reached / plain.reaches(plain.final), reached / spent, lane.final / plain.final)
