"""The confirmed results as a figure: mean test top-1 over fresh seeds with 95% intervals."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from html import escape
from typing import Any

from utsearch import pareto
from utsearch.report.callouts import BAR_WEIGHT, OPTIONAL, cut, pinned
from utsearch.report.frame import Ranges, View
from utsearch.report.labels import Anchor, Box, Obstacle
from utsearch.report.labels import place as place_labels
from utsearch.report.story import Confirmed
from utsearch.report.theme import AXIS, LEGEND_ROWS, LOG_AXIS, heading, layout
from utsearch.report.traces import BEST, KNOWN, Kind
from utsearch.report.units import clean, count, percent, plural

Place = Callable[[Confirmed], float]
HEIGHT = 460
POINT, POINT_WEIGHT = 7, 60.0  # half a marker in pixels, and how bad covering it is
SIZES = (
    View(320, HEIGHT + LEGEND_ROWS, 56, 14, 60 + LEGEND_ROWS, 50),
    *(View(width, HEIGHT, 56, 14, 60, 50) for width in (560, 660, 760, 860, 960, 1060)),
)


def confirmed_figure(results: Sequence[Confirmed]) -> dict[str, Any] | None:
    """Test top-1 over parameters; None where nothing was confirmed. The linear probe stands left of the others."""
    if not results:
        return None
    groups = ((KNOWN, "catalogue", True), (BEST, "new", False))
    left = min((result.n_params for result in results if result.n_params), default=2) / 2

    def place(result: Confirmed) -> float:
        return result.n_params or left

    best = [results[i] for i in pareto.front([(result.n_params, result.top1) for result in results])]
    data = [_trace(kind, name, [r for r in results if r.known is k], place) for kind, name, k in groups]
    limits = _limits(results, place)
    axes = {
        "xaxis": {
            **LOG_AXIS,
            "range": [limits.log_low, limits.log_high],
            "nticks": max(3, round((limits.log_high - limits.log_low) / 0.45)),
            "title": {"text": "tuner parameters (log scale; the linear probe, at the left, has none)"},
        },
        "yaxis": {**AXIS, "range": [100 * limits.low, 100 * limits.high]},
    }
    traces = [_front(best, place), *(trace for trace in data if trace["x"])]
    views = [_view(results, best, place, limits, size) for size in SIZES]
    wide = {"annotations": views[-1]["layout"]["annotations"]}
    return {"data": traces, "layout": layout(HEIGHT, **axes, **wide), "views": views}


def _limits(results: Sequence[Confirmed], place: Place) -> Ranges:
    """Room for every interval, and for names at the left of the first point."""
    logs = [math.log10(place(result)) for result in results]
    ends = [end for result in results for end in result.interval or (result.top1, result.top1)]
    pad = max(0.08 * (max(ends) - min(ends)), 0.01)
    return Ranges(min(logs) - 0.2, max(logs) + 0.1, min(ends) - pad, max(ends) + pad, strip=False)


def _view(
    results: Sequence[Confirmed], best: Sequence[Confirmed], place: Place, limits: Ranges, size: View
) -> dict[str, Any]:
    """The layout for a range of widths: names of new designs and of the front's, of the others where there is room."""

    def pixel(result: Confirmed, top1: float) -> tuple[float, float]:
        share = (math.log10(place(result)) - limits.log_low) / (limits.log_high - limits.log_low)
        return share * size.width, (limits.high - top1) / (limits.high - limits.low) * size.depth

    named = sorted(results, key=lambda result: (result.known, result not in best))
    anchors, obstacles = [], []
    for result in named:
        x, y = pixel(result, result.top1)
        wanted = not result.known or result in best
        anchors.append(Anchor(x, y, cut(clean(result.name)), math.inf if wanted else OPTIONAL))
        obstacles.append(Obstacle(Box(x - POINT, y - POINT, x + POINT, y + POINT), POINT_WEIGHT))
        tops = [pixel(result, end)[1] for end in result.interval or (result.top1, result.top1)]
        obstacles.append(Obstacle(Box(x - 2, min(tops), x + 2, max(tops)), BAR_WEIGHT))
    labels = [heading("test top-1 (%)", 0, 12)]
    for result, anchor, offset in zip(
        named, anchors, place_labels(anchors, obstacles, size.width, size.depth), strict=True
    ):
        if offset:
            text = escape(anchor.text) if result.known else f"<b>{escape(anchor.text)}</b>"
            at = {"x": math.log10(place(result)), "y": 100 * result.top1}
            labels.append(pinned({**at, "text": text, "font": {"size": 11}, "captureevents": False}, offset))
    shape = {"height": size.height, "margin.t": size.top, "annotations": labels}
    return {"min_width": size.min_width, "layout": shape}


def _front(best: Sequence[Confirmed], place: Place) -> dict[str, Any]:
    """The steps of the designs whose mean none of at most their size reaches."""
    return {
        "type": "scatter",
        "mode": "lines",
        "name": "confirmed front",
        "line": {"shape": "hv", "color": BEST.marker["color"], "width": 1.5},
        "x": [place(result) for result in best],
        "y": [100 * result.top1 for result in best],
        "hoverinfo": "skip",
    }


def _trace(kind: Kind, name: str, members: Sequence[Confirmed], place: Place) -> dict[str, Any]:
    """Points with their intervals."""
    ends = [result.interval or (result.top1, result.top1) for result in members]
    ups = [100 * (high - result.top1) for result, (_, high) in zip(members, ends, strict=True)]
    downs = [100 * (result.top1 - low) for result, (low, _) in zip(members, ends, strict=True)]
    return {
        "type": "scatter",
        "mode": "markers",
        "name": f"{name} ({len(members)})",
        "marker": kind.marker,
        "x": [place(result) for result in members],
        "y": [100 * result.top1 for result in members],
        "error_y": {
            "type": "data",
            "symmetric": False,
            "array": ups,
            "arrayminus": downs,
            "color": kind.marker["color"],
            "thickness": 1.2,
            "width": 4,
        },
        "hovertext": [_words(result) for result in members],
        "hoverinfo": "text",
        "customdata": [[None, result.design or result.name] for result in members],
    }


def _words(result: Confirmed) -> str:
    how = "one seed"
    if result.interval is not None:
        low, high = map(percent, result.interval)
        how = f"95% interval {low} to {high} over {plural(result.seeds, 'seed')} and the images"
    name, design = escape(clean(result.name)), escape(clean(result.design))
    top1 = f"{percent(result.top1)} % test top-1 ({how})"
    return "<br>".join([f"<b>{name}</b>", design, f"{count(result.n_params)} parameters", top1])
