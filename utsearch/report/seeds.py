"""The confirmed results as a figure: mean test top-1 over fresh seeds with 95% intervals."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from typing import Any

from utsearch.report.story import Confirmed
from utsearch.report.theme import AXIS, LOG_AXIS, heading, layout
from utsearch.report.traces import BEST, KNOWN, Kind
from utsearch.report.units import clean, count, percent, plural


def confirmed_figure(results: Sequence[Confirmed]) -> dict[str, Any] | None:
    """Test top-1 over parameters; None where nothing was confirmed. The linear probe stands at one parameter."""
    if not results:
        return None
    groups = ((KNOWN, "catalogue", True), (BEST, "new", False))
    data = [_trace(kind, name, [r for r in results if r.known is known]) for kind, name, known in groups]
    logs = [math.log10(max(result.n_params, 1)) for result in results]
    axes = {
        "xaxis": {
            **LOG_AXIS,
            "range": [min(logs) - 0.15, max(logs) + 0.15],
            "title": {"text": "tuner parameters (log scale; the linear probe has none)"},
        },
        "yaxis": AXIS,
        "annotations": [heading("test top-1 (%)", 0, 12)],
    }
    return {"data": [trace for trace in data if trace["x"]], "layout": layout(420, **axes)}


def _trace(kind: Kind, name: str, members: Sequence[Confirmed]) -> dict[str, Any]:
    halves = [100 * result.half if result.half is not None else 0.0 for result in members]
    return {
        "type": "scatter",
        "mode": "markers+text",
        "name": f"{name} ({len(members)})",
        "marker": kind.marker,
        "x": [max(result.n_params, 1) for result in members],
        "y": [100 * result.top1 for result in members],
        "error_y": {"type": "data", "array": halves, "color": kind.marker["color"], "thickness": 1.2, "width": 4},
        "text": [escape(clean(result.name)) for result in members],
        "textposition": "top center",
        "textfont": {"size": 11},
        "hovertext": [_words(result) for result in members],
        "hoverinfo": "text",
        "customdata": [[None, result.design or result.name] for result in members],
    }


def _words(result: Confirmed) -> str:
    how = "one seed"
    if result.half is not None:
        how = f"± {percent(result.half)}, 95% over {plural(result.seeds, 'seed')}"
    name, design = escape(clean(result.name)), escape(clean(result.design))
    top1 = f"{percent(result.top1)} % test top-1 ({how})"
    return "<br>".join([f"<b>{name}</b>", design, f"{count(result.n_params)} parameters", top1])
