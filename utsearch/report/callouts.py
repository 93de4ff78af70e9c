"""The labels of the front's picture: names of the catalogue's designs, trial numbers of the new ones on the front."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from utsearch.report.frame import Ranges, View, ranges
from utsearch.report.groups import accuracy, error, front, thinned
from utsearch.report.labels import Anchor, Box, Obstacle, Offset, place
from utsearch.report.palette import GREY
from utsearch.report.traces import BEST, KINDS, KNOWN, kinds
from utsearch.report.units import clean

if TYPE_CHECKING:
    from utsearch.search import Record

LINE_WEIGHT, BAR_WEIGHT, HALO_WEIGHT = 25.0, 10.0, 14.0
HALO = 5  # pixels around a named point, where another's label would seem to be its own
OPTIONAL = 60.0  # a trial's number is written only where there is room: hover and table have it too
CROWD = 400  # points: in such a cloud every place covers some, and looking for the best takes seconds
MOST_NUMBERS = 12  # of new designs in such a cloud
LONGEST = 24  # letters of a name; the hover has the rest


def callouts(records: Sequence[Record], views: Sequence[View]) -> list[list[dict[str, Any]]]:
    """For each size of the picture Plotly annotations, placed for it; the front's come first and get the better places.

    On a crowded front the catalogue's names are all written, the new designs' numbers where they fit.
    """
    limits, grouped, members = ranges(records), kinds(records), front(records)
    on_front = {record.number for record in members}
    new = thinned(grouped[BEST.key], MOST_NUMBERS) if len(records) > CROWD else grouped[BEST.key]
    named = sorted((*grouped[KNOWN.key], *new), key=lambda record: record.number not in on_front)
    found = []
    for view in views:
        anchors = [_anchor(record, view, limits) for record in named]
        obstacles = [*_markers(grouped, view, limits), *_line(members, view, limits)]
        offsets = place(anchors, obstacles, view.width, view.depth)
        pairs = zip(named, offsets, strict=True)
        found.append([_annotation(record, offset) for record, offset in pairs if offset])
    return found


def _anchor(record: Record, view: View, limits: Ranges) -> Anchor:
    return Anchor(*view.pixel(record, limits), caption(record), math.inf if record.baseline else OPTIONAL)


def caption(record: Record) -> str:
    """The words of a label, unescaped."""
    return cut(clean(record.baseline)) if record.baseline else f"#{record.number}"


def cut(name: str) -> str:
    """As much of a name as a picture has room for."""
    return name if len(name) <= LONGEST else f"{name[: LONGEST - 1]}…"


def _annotation(record: Record, offset: Offset) -> dict[str, Any]:
    text = escape(caption(record))
    # on a log axis an annotation's x is the logarithm
    at = {"xref": "x2", "x": math.log10(record.n_params)} if record.n_params else {"xref": "x", "x": 0}
    label = {
        **at,
        "yref": "y",
        "y": 100 * accuracy(record),
        "text": text if record.baseline else f"<b>{text}</b>",
        "font": {"size": 12},
        "captureevents": False,
    }
    return pinned(label, offset)


def pinned(label: Mapping[str, Any], offset: Offset) -> dict[str, Any]:
    """An annotation of Plotly at its place beside its point, with a leader where it is not near."""
    if offset.near:
        return {**label, "showarrow": False, "xshift": offset.dx, "yshift": -offset.dy}
    leader = {"showarrow": True, "arrowhead": 0, "arrowwidth": 0.8, "arrowcolor": GREY, "standoff": 6}
    return {**label, **leader, "ax": offset.dx, "ay": offset.dy, "xanchor": "center", "yanchor": "middle"}


def _markers(grouped: Mapping[str, Sequence[Record]], view: View, limits: Ranges) -> Iterator[Obstacle]:
    """The points and their bars of error."""
    crowd = sum(map(len, grouped.values())) > CROWD
    for kind in KINDS:
        if crowd and not kind.bars:
            continue
        r = kind.marker["size"] / 2 + 1
        for record in grouped[kind.key]:
            x, y = view.pixel(record, limits)
            yield Obstacle(Box(x - r, y - r, x + r, y + r), kind.weight)
            if kind.bars:
                near = r + HALO
                yield Obstacle(Box(x - near, y - near, x + near, y + near), HALO_WEIGHT)
                long = error(record) / (limits.high - limits.low) * view.depth
                yield Obstacle(Box(x - 1, y - long, x + 1, y + long), BAR_WEIGHT)


def _line(members: Sequence[Record], view: View, limits: Ranges) -> Iterator[Obstacle]:
    """The steps of the front: each point's line to the right, then up to the next."""
    corners = [view.pixel(record, limits) for record in members]
    for (x, y), (next_x, next_y) in pairwise(corners):
        yield Obstacle(Box(x, y - 2, next_x, y + 2), LINE_WEIGHT)
        yield Obstacle(Box(next_x - 2, next_y, next_x + 2, y), LINE_WEIGHT)
    for x, y in corners[-1:]:
        yield Obstacle(Box(x, y - 2, view.width, y + 2), LINE_WEIGHT)
