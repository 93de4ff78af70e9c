"""Where to write labels so that they cover neither each other nor the points: greedy placement in pixels."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

LETTER, PAD, LINE = 6.9, 5.0, 15.0  # pixels of a 12 px letter (a generous mean), of both sides together, of a line
RADII = (15, 22, 30, 40, 50, 66, 84, 104, 128)
TURNS = 16
NEAR = 16  # closer labels need no leader
SWEEPS = 3
HEAVY, CROSSING = 100.0, 40.0  # a leader keeps off obstacles of this weight; the price of crossing one


@dataclass(frozen=True)
class Box:
    """A rectangle in pixels from the plot's upper left corner."""

    left: float
    top: float
    right: float
    bottom: float

    def overlaps(self, other: "Box") -> bool:
        """Whether the two share any area."""
        apart = self.right <= other.left or other.right <= self.left
        return not (apart or self.bottom <= other.top or other.bottom <= self.top)

    def within(self, width: float, height: float) -> bool:
        """Whether it lies in a plot of this size."""
        return self.left >= 0 and self.top >= 0 and self.right <= width and self.bottom <= height


@dataclass(frozen=True)
class Anchor:
    """A point that wants a label; a place that costs more than `limit` is worse than none."""

    x: float
    y: float
    text: str
    limit: float = math.inf


@dataclass(frozen=True)
class Obstacle:
    """Something drawn that a label had better not cover, and how bad covering it is."""

    box: Box
    weight: float


@dataclass(frozen=True)
class Offset:
    """The centre of a label, from its anchor."""

    dx: float
    dy: float
    near: bool  # whether the label obviously belongs to its anchor, without a leader


@dataclass(frozen=True)
class Scene:
    """What a label has to keep clear of: drawn things, other labels and their leaders, the edges."""

    obstacles: Sequence[Obstacle]
    labels: Sequence[Box]
    leaders: Sequence[Box]
    width: float
    height: float

    def near(self, anchor: Anchor) -> "Scene":
        """Only what a label of this anchor could touch."""
        far = min(RADII[-1], anchor.limit) + extent(anchor)
        zone = Box(anchor.x - far, anchor.y - far, anchor.x + far, anchor.y + far)
        some = [obstacle for obstacle in self.obstacles if zone.overlaps(obstacle.box)]
        return Scene(some, self.labels, self.leaders, self.width, self.height)

    def cost(self, anchor: Anchor, offset: Offset, allowed: float) -> float:
        """How bad a place is, without its distance; infinite where it covers a label, leaves the plot or costs more."""
        place = box(anchor, offset)
        if not place.within(self.width, self.height) or any(place.overlaps(other) for other in self.labels):
            return math.inf
        total = CROSSING * any(place.overlaps(other) for other in self.leaders)
        for obstacle in self.obstacles:
            if place.overlaps(obstacle.box):
                total += obstacle.weight
                if total >= allowed:
                    return math.inf
        return total if offset.near else total + self._leader_cost(anchor, offset)

    def _leader_cost(self, anchor: Anchor, offset: Offset) -> float:
        heavy = [obstacle.box for obstacle in self.obstacles if obstacle.weight >= HEAVY]
        crossed = (*self.labels, *self.leaders, *heavy)
        return 15 + CROSSING * any(part.overlaps(other) for part in leader(anchor, offset) for other in crossed)


def place(anchors: Sequence[Anchor], obstacles: Sequence[Obstacle], width: float, height: float) -> list[Offset | None]:
    """An offset for each anchor; None where no place is free, so no two labels ever overlap.

    Greedy, earlier anchors first, then twice round again: a label that gave way too early may come back.
    """
    heavy_first = sorted(obstacles, key=lambda obstacle: -obstacle.weight)  # most places are refused sooner
    offsets: list[Offset | None] = [None] * len(anchors)
    for i in [*range(len(anchors))] * SWEEPS:
        others = [(a, o) for j, (a, o) in enumerate(zip(anchors, offsets, strict=True)) if o and j != i]
        labels = [box(anchor, offset) for anchor, offset in others if offset]
        leaders = [part for anchor, offset in others if offset and not offset.near for part in leader(anchor, offset)]
        offsets[i] = _best(anchors[i], Scene(heavy_first, labels, leaders, width, height).near(anchors[i]))
    return offsets


def extent(anchor: Anchor) -> float:
    """The width of a label in pixels."""
    return len(anchor.text) * LETTER + PAD


def box(anchor: Anchor, offset: Offset) -> Box:
    """The rectangle of a label."""
    x, y, half = anchor.x + offset.dx, anchor.y + offset.dy, extent(anchor) / 2
    return Box(x - half, y - LINE / 2, x + half, y + LINE / 2)


def leader(anchor: Anchor, offset: Offset) -> Iterator[Box]:
    """The line from the anchor to its label as small boxes, without the part under the anchor's own marker."""
    length = math.hypot(offset.dx, offset.dy)
    for step in range(14, int(length), 8):
        x, y = anchor.x + offset.dx * step / length, anchor.y + offset.dy * step / length
        yield Box(x - 1, y - 1, x + 1, y + 1)


def _best(anchor: Anchor, scene: Scene) -> Offset | None:
    best, lowest = None, anchor.limit
    for offset, distance in _candidates(anchor):
        cost = distance + scene.cost(anchor, offset, lowest - distance) if distance < lowest else math.inf
        if cost < lowest:
            best, lowest = offset, cost
    return best


def _candidates(anchor: Anchor) -> Iterator[tuple[Offset, float]]:
    """Positions around the anchor from near to far; the label's edge, not its centre, keeps the distance."""
    half = extent(anchor) / 2
    for radius in RADII:
        for turn in range(TURNS):
            dx, dy = math.cos(2 * math.pi * turn / TURNS), -math.sin(2 * math.pi * turn / TURNS)
            # slanted labels move outwards, so that their near corner points at the anchor
            outwards = math.copysign(half, dx) if abs(dx) > 0.1 else 0.0
            # upper left is where a front leaves most room
            taste = 3 * (dy > 0.1) + 2 * (dx > 0.1)
            yield Offset(dx * radius + outwards, dy * radius, near=radius <= NEAR), radius + taste
