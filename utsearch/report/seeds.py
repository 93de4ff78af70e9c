"""The confirmed results as a figure: mean test top-1 over fresh seeds with 95% intervals."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from html import escape
from typing import Any

from utsearch import pareto
from utsearch.report.callouts import cut
from utsearch.report.story import Confirmed
from utsearch.report.theme import AXIS, LOG_AXIS, heading, layout, legend_views
from utsearch.report.traces import BEST, KNOWN, Kind
from utsearch.report.units import clean, count, percent, plural

Place = Callable[[Confirmed], float]


def confirmed_figure(results: Sequence[Confirmed]) -> dict[str, Any] | None:
    """Test top-1 over parameters; None where nothing was confirmed. The linear probe stands left of the others."""
    if not results:
        return None
    groups = ((KNOWN, "catalogue", True), (BEST, "new", False))
    left = min((result.n_params for result in results if result.n_params), default=2) / 2

    def place(result: Confirmed) -> float:
        return result.n_params or left

    best = [results[i] for i in pareto.front([(result.n_params, result.top1) for result in results])]
    data = [_trace(kind, name, [r for r in results if r.known is k], place, best) for kind, name, k in groups]
    logs = [math.log10(place(result)) for result in results]
    axes = {
        "xaxis": {
            **LOG_AXIS,
            "range": [min(logs) - 0.35, max(logs) + 0.15],
            "nticks": max(3, round((max(logs) - min(logs)) / 0.45)),
            "title": {"text": "tuner parameters (log scale; the linear probe, at the left, has none)"},
        },
        "yaxis": AXIS,
        "annotations": [heading("test top-1 (%)", 0, 12)],
    }
    traces = [_front(best, place), *(trace for trace in data if trace["x"])]
    return {"data": traces, "layout": layout(420, **axes), "views": legend_views(420)}


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


def _trace(
    kind: Kind, name: str, members: Sequence[Confirmed], place: Place, named: Sequence[Confirmed]
) -> dict[str, Any]:
    """New designs and those of the front with their names, which for all would lie on each other."""
    ends = [result.interval or (result.top1, result.top1) for result in members]
    ups = [100 * (high - result.top1) for result, (_, high) in zip(members, ends, strict=True)]
    downs = [100 * (result.top1 - low) for result, (low, _) in zip(members, ends, strict=True)]
    return {
        "type": "scatter",
        "mode": "markers+text",
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
        "text": [escape(cut(clean(r.name))) if not r.known or r in named else "" for r in members],
        "textposition": "top left",  # where no better design can be
        "textfont": {"size": 11},
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
