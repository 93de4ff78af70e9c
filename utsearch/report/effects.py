"""What makes a design good: importance of the space's parameters; the gap to the front by site, form, rank, place."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

from utsearch.design import DesignError, Slot
from utsearch.report.groups import finished, thinned
from utsearch.report.palette import BLUE, GREY, INK, VERMILLION
from utsearch.report.story import Story, depth_of, regrets, slots
from utsearch.report.theme import layout, name_of, panelled, shared_axes
from utsearch.report.traces import hover
from utsearch.report.units import clean

if TYPE_CHECKING:
    from utsearch.search import Record

MOST_BARS, MOST_POINTS, MOST_NAMES = 12, 300, 10
LONGEST_TICK = 12  # letters of a name under an axis
JITTER = 7  # places beside a category's middle, so that equal points stay apart

Trait = Callable[[Slot, int], Iterable[str]]


def importance_figure(importance: Mapping[str, Mapping[str, float]]) -> dict[str, Any] | None:
    """Bars of every parameter's share, a panel for each goal; None where nothing was computed."""
    if not importance:
        return None
    first = next(iter(importance.values()))
    names = sorted(first, key=lambda name: -first[name])[:MOST_BARS][::-1]
    data = [
        {
            "type": "bar",
            "orientation": "h",
            "xaxis": name_of("x", i),
            "yaxis": name_of("y", i),
            "x": [100 * shares.get(name, 0.0) for name in names],
            "y": [escape(clean(name)) for name in names],
            "marker": {"color": BLUE},
            "hovertext": [f"{escape(clean(n))}: {100 * shares.get(n, 0.0):.0f} % for {goal}" for n in names],
            "hoverinfo": "text",
            "textposition": "none",
            "customdata": [[None, f"{n}: {100 * shares.get(n, 0.0):.1f} %"] for n in names],
        }
        for i, (goal, shares) in enumerate(importance.items())
    ]
    axes = shared_axes([{"rangemode": "tozero", "ticksuffix": " %", "nticks": 5}] * len(importance), {"ticks": ""})
    space = {"margin": {"l": 120, "r": 14, "t": 34, "b": 40, "autoexpand": False}, "bargap": 0.35, "showlegend": False}
    given = layout(90 + 24 * len(names), **axes, **space)
    return panelled(data, [f"for {goal}" for goal in importance], given)


def _place(slot: Slot, depth: int) -> list[str]:
    """In which part of the network a slot stands, in words."""
    try:
        blocks = slot.blocks.resolve(depth)
    except DesignError:
        return []
    if len(blocks) == depth:
        return ["all blocks"]
    third = int(3 * (sum(blocks) / len(blocks) + 0.5) / depth)
    return [("early", "middle", "late")[min(third, 2)]]


TRAITS: dict[str, Trait] = {
    "site": lambda slot, depth: slot.sites,
    "form": lambda slot, depth: (slot.form,),
    "rank": lambda slot, depth: () if slot.rank is None else (str(slot.rank),),
    "position": _place,
}
_PLACES = ("early", "middle", "late", "all blocks")


def slices_figure(story: Story) -> dict[str, Any] | None:
    """The gap to the front of every finished design, by what it is made of; None where nothing is tuned."""
    gaps, depth = regrets(story.records), depth_of(story)
    tuned = [record for record in finished(story.records) if slots(record)]
    if not tuned:
        return None
    titles = [f"by {name}" for name in TRAITS]
    data: list[dict[str, Any]] = []
    xaxes: list[dict[str, Any]] = []
    longest = 1
    for i, trait in enumerate(TRAITS.values()):
        groups = _groups(tuned, trait, depth)
        names = list(groups)
        data += _strips(groups, gaps, i)
        # ticks below are written out: a category axis has no places between
        longest = max(longest, *map(len, names), 1)
        xaxes.append(
            {
                "showgrid": False,
                "tickvals": list(range(len(names))),
                "ticktext": [escape(clean(name)) for name in names],
                "range": [-0.6, max(len(names), 1) - 0.4],
            }
        )
    turned = min(longest, LONGEST_TICK) * 8 + 16  # pixels, where there is no room to lie
    margin = {"l": 56, "r": 14, "t": 36, "b": turned, "autoexpand": False}
    axes = shared_axes(xaxes, {"autorange": "reversed"})
    axes["yaxis"]["title"] = {"text": "points below the front", "standoff": 6, "font": {"size": 12}}
    return panelled(data, titles, layout(340 + turned, **axes, margin=margin, showlegend=False), 0.04)


def _groups(records: Sequence[Record], trait: Trait, depth: int) -> dict[str, list[Record]]:
    """The records by each value of a trait; a design with several stands in several."""
    found: dict[str, list[Record]] = {}
    for record in records:
        for name in {name for slot in slots(record) for name in trait(slot, depth)}:
            found.setdefault(name, []).append(record)
    if all(name.isdigit() for name in found):
        order = sorted(found, key=int)
    elif set(found) <= set(_PLACES):
        order = [name for name in _PLACES if name in found]
    else:
        order = sorted(found, key=lambda name: (-len(found[name]), name))
    return {name: found[name] for name in order[:MOST_NAMES]}


def _strips(groups: Mapping[str, Sequence[Record]], gaps: Mapping[int, float], panel: int) -> list[dict[str, Any]]:
    """The designs as points, a median line for each value."""
    share = max(MOST_POINTS // max(len(groups), 1), 10)
    points = [
        (i, j, record) for i, group in enumerate(groups.values()) for j, record in enumerate(thinned(group, share))
    ]
    axes = {"type": "scatter", "xaxis": name_of("x", panel), "yaxis": name_of("y", panel)}
    strip = {
        **axes,
        "mode": "markers",
        "x": [i + 0.09 * ((3 * j) % JITTER - JITTER // 2) for i, j, _ in points],
        "y": [100 * gaps[record.number] for _, _, record in points],
        "marker": {
            "size": 7,
            "opacity": 0.6,
            "color": [VERMILLION if record.baseline else BLUE for _, _, record in points],
            "symbol": ["diamond" if record.baseline else "circle" for _, _, record in points],
            "line": {"width": 0.5, "color": GREY},
        },
        "hovertext": [hover(record, on_front=not gaps[record.number]) for _, _, record in points],
        "hoverinfo": "text",
        "customdata": [[record.number, record.design] for _, _, record in points],
    }
    xs: list[float | None] = []
    ys: list[float | None] = []
    for i, group in enumerate(groups.values()):
        middle = 100 * statistics.median(gaps[record.number] for record in group)
        xs, ys = [*xs, i - 0.38, i + 0.38, None], [*ys, middle, middle, None]
    medians = {**axes, "mode": "lines", "x": xs, "y": ys, "line": {"color": INK, "width": 2}, "hoverinfo": "skip"}
    return [strip, medians]
