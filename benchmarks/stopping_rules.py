"""Rules of early stopping to compare ours with: MO-ASHA's two ways to sort by dominance, and expected gain.

MO-ASHA: Schmucker, Donini, Zafar, Salinas & Archambeau, "Multi-objective asynchronous successive halving" (2021).
"""

import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from utsearch.pareto import front
from utsearch.search.ehvi import expected_improvement
from utsearch.search.observed import Observed
from utsearch.search.stopping import Decision
from utsearch.search.surrogate import fit


def layers(points: Sequence[tuple[float, float]]) -> list[list[int]]:
    """Indices by non-dominated layer; sizes are minimised and values maximised.

    From small to large a point belongs to the first layer whose best value so far is below its own.
    """
    found: list[list[int]] = []
    best: list[float] = []  # value of each layer, falling
    last, at = None, 0
    for i in sorted(range(len(points)), key=lambda i: (points[i][0], -points[i][1])):
        if points[i] != last:  # equal points do not dominate each other
            last, at = points[i], bisect_right(best, -points[i][1], key=lambda value: -value)
        if at == len(found):
            found.append([])
            best.append(points[i][1])
        found[at].append(i)
        best[at] = points[i][1]
    return [sorted(layer) for layer in found]


def _crowding(points: Sequence[tuple[float, float]], layer: list[int]) -> list[int]:
    """A layer by falling crowding distance (NSGA-II, Deb et al. 2002)."""
    distance = dict.fromkeys(layer, 0.0)
    for axis in (0, 1):
        order = sorted(layer, key=lambda i: points[i][axis])
        span = points[order[-1]][axis] - points[order[0]][axis] or 1.0
        distance[order[0]] = distance[order[-1]] = math.inf
        for before, here, after in zip(order, order[1:], order[2:], strict=False):
            distance[here] += (points[after][axis] - points[before][axis]) / span
    return sorted(layer, key=lambda i: -distance[i])


def _net(points: Sequence[tuple[float, float]], layer: list[int]) -> list[int]:
    """A layer so that each next point is the farthest from those before it."""
    spans = [max(p[a] for p in points) - min(p[a] for p in points) or 1.0 for a in (0, 1)]

    def apart(i: int, j: int) -> float:
        return math.dist([points[i][a] / spans[a] for a in (0, 1)], [points[j][a] / spans[a] for a in (0, 1)])

    chosen, left = [layer[0]], set(layer[1:])
    while left:
        farthest = max(sorted(left), key=lambda i: min(apart(i, j) for j in chosen))
        chosen.append(farthest)
        left.remove(farthest)
    return chosen


@dataclass(frozen=True)
class NonDominatedRule:
    """Of the trials that reached a rung the first 1/η go on, by layer, in a layer by crowding distance."""

    eta: float = 3.0

    def decide(self, own: Observed, others: Sequence[Observed]) -> Decision:
        """Whether a trial goes on."""
        return _decide(own, others, self.eta, _crowding)


@dataclass(frozen=True)
class EpsilonNetRule:
    """The same with an ε-net in a layer."""

    eta: float = 3.0

    def decide(self, own: Observed, others: Sequence[Observed]) -> Decision:
        """Whether a trial goes on."""
        return _decide(own, others, self.eta, _net)


def _decide(own: Observed, others: Sequence[Observed], eta: float, sort: "object") -> Decision:
    rung = len(own.curve) - 1
    points = [(math.log10(o.size + 1), o.curve[rung][0]) for o in others if len(o.curve) > rung]
    points.append((math.log10(own.size + 1), own.value))
    order = [i for layer in layers(points) for i in sort(points, layer)]  # type: ignore[operator]
    ahead = order.index(len(points) - 1)
    return Decision(ahead < max(1, len(points) / eta), float(ahead), f"{ahead} trials at this rung are ahead")


@dataclass(frozen=True)
class ExpectedGainRule:
    """Stop a trial by which the front is expected to gain less than a share of what it has.

    The forecast is that of `ForecastRule`. The gain is the expected hypervolume improvement of its end over the trials
    trained to the end, in log10 of the size up to the largest there is, over the value of the smallest of the front.
    """

    share: float = 0.001
    grace: int = 10

    def decide(self, own: Observed, others: Sequence[Observed]) -> Decision:
        """Whether a trial goes on."""
        known = [(o, o.final) for o in others if o.final is not None and len(o.curve) >= len(own.curve)]
        if len(known) < self.grace or own.size < min(o.size for o, _ in known):
            return Decision(True, 0.0, "too little is known")
        surrogate = fit([o.row(len(own.curve)) for o, _ in known], [final for _, final in known])
        (forecast,), (spread,) = surrogate.predict([own.row(len(own.curve))])
        points = [(math.log10(o.size + 1), final) for o, final in known]
        steps = [points[i] for i in front(points)]
        size, end = math.log10(own.size + 1), math.log10(max(o.size for o in (*others, own)) + 1)
        lefts, heights = np.array([x for x, _ in steps]), np.array([y for _, y in steps])
        rights = np.array([*lefts[1:], max(end, lefts[-1])])
        widths = np.maximum(0, rights - np.maximum(lefts, size))
        error = np.array([math.hypot(spread, surrogate.error)])
        gain = float(widths @ expected_improvement(np.array([forecast]), error, heights)[0])
        short = self.share * float((rights - lefts) @ (heights - heights[0])) - gain
        return Decision(short <= 0, short, "by expected gain")


@dataclass(frozen=True)
class OracleRule:
    """Stop a trial that will not be on the front of those before it; only for orders played with foresight."""

    def decide(self, own: Observed, others: Sequence[Observed]) -> Decision:
        """Whether a trial goes on."""
        assert own.final is not None
        best = max((o.final for o in others if o.final is not None and o.size <= own.size), default=-math.inf)
        return Decision(own.final > best, best - own.final, "by its end")
