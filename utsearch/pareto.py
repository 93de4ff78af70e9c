"""Pareto fronts of parameters (small is good) against top-1 (large is good), and how good a front is."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

Point = tuple[float, float]  # parameters, top-1 in 0…1


@dataclass(frozen=True)
class Scale:
    """The box in which hypervolume is measured, fixed for a study so that its values can be compared.

    Attributes:
        p0: parameters of the left edge; smaller designs count as this size.
        p_max: parameters of the right edge; larger designs count nothing.
        floor: top-1 of the converged linear probe, the lower edge; the upper one is 1.
    """

    p0: float
    p_max: float
    floor: float

    def __post_init__(self) -> None:
        """Refuse a box without an inside."""
        if not (0 < self.p0 < self.p_max and 0 <= self.floor < 1):
            raise ValueError(f"a scale needs 0 < p0 < p_max and 0 <= floor < 1, got {self}")

    def to_dict(self) -> dict[str, float]:
        """Plain data."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Scale":
        """The inverse of `to_dict`."""
        return cls(data["p0"], data["p_max"], data["floor"])

    def normalise(self, point: Point) -> Point:
        """Logarithm of the parameters and gain over the floor, each 0…1 within the box."""
        n_params, top1 = point
        size = math.log(max(n_params, self.p0) / self.p0) / math.log(self.p_max / self.p0)
        return size, max(0.0, top1 - self.floor) / (1 - self.floor)


def front(points: Sequence[Point]) -> list[int]:
    """Indices of the points that no other beats with as few parameters, from small to large; of equals the first.

    >>> front([(10, 0.5), (20, 0.4), (20, 0.7), (20, 0.7)])
    [0, 2]
    """
    best, chosen = -math.inf, []
    for i in sorted(range(len(points)), key=lambda i: (points[i][0], -points[i][1], i)):
        if points[i][1] > best:
            best = points[i][1]
            chosen.append(i)
    return chosen


def hypervolume(points: Sequence[Point], scale: Scale) -> float:
    """Share of the scale's box that the front dominates, 0…1.

    >>> hypervolume([(100, 1.0)], Scale(100, 10_000, 0.5))
    1.0
    """
    total, left, height = 0.0, 1.0, 0.0
    steps = [scale.normalise(points[i]) for i in front(points)]
    for size, gain in reversed(steps):  # from the right: each step holds until the next larger design
        height = min(gain, 1.0)
        total += max(0.0, left - size) * height
        left = min(left, size)
    return total


def knee(points: Sequence[Point]) -> int:
    """Index of the front's point farthest above the line between the front's ends (log parameters, top-1).

    Raises:
        ValueError: no points.
    """
    if not points:
        raise ValueError("there is no knee without points")
    chosen = front(points)
    coordinates = [(math.log10(max(points[i][0], 1.0)), points[i][1]) for i in chosen]
    (x0, y0), (x1, y1) = coordinates[0], coordinates[-1]

    def height(k: int) -> float:
        x, y = coordinates[k]
        return (y - y0) * (x1 - x0) - (x - x0) * (y1 - y0)

    return chosen[max(range(len(chosen)), key=height)]
