"""The Pareto front as a Plotly figure: tuner parameters against validation top-1.

A logarithmic axis has no place for 0 parameters, so the linear probe gets a narrow axis of its own, left of a visible
break. Shape and size say the same as colour, for print and for the colour-blind.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from utsearch.report.callouts import callouts
from utsearch.report.frame import STRIP, TITLE, VIEWS, Ranges, View, ranges
from utsearch.report.theme import AXIS, BASE, LEGEND, LOG_AXIS
from utsearch.report.traces import traces

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

    from utsearch.search import Record


def pareto_figure(records: Sequence[Record], view: View = VIEWS[-1]) -> Figure:
    """The figure at one size; `sized` gives what changes at others."""
    from plotly import graph_objects as go

    limits, (size,) = ranges(records), sized(records, [view])
    figure = go.Figure({"data": traces(records, limits), "layout": _layout(limits)})
    figure.update_layout({key.replace(".", "_"): value for key, value in size.items()})
    return figure


def sized(records: Sequence[Record], views: Sequence[View] = VIEWS) -> list[dict[str, Any]]:
    """The part of the layout that depends on the size, for each: height, margins, labels, number of ticks.

    The keys are dotted, as `Plotly.relayout` takes them, so that the rest stays as the reader has zoomed it.
    """
    limits = ranges(records)
    return [
        {
            "height": view.height,
            "margin": {"l": view.left, "r": view.right, "t": view.top, "b": view.bottom, "autoexpand": False},
            "annotations": [_heading(view), *labels],
            "legend.y": 1 + TITLE / view.depth,
            "xaxis2.nticks": view.ticks(limits),
        }
        for view, labels in zip(views, callouts(records, views), strict=True)
    ]


def widths(records: Sequence[Record]) -> list[dict[str, Any]]:
    """What the page's script sets from which width of the window on."""
    layouts = zip(VIEWS, sized(records), strict=True)
    return [{"min_width": view.min_width, "layout": layout} for view, layout in layouts]


def _layout(limits: Ranges) -> dict[str, Any]:
    return {**BASE, "legend": LEGEND, **_axes(limits)}


def _axes(limits: Ranges) -> dict[str, Any]:
    zero = {**AXIS, "range": [-1, 1], "tickvals": [0], "ticktext": ["0"], "fixedrange": True, "showgrid": False}
    return {
        "xaxis": {**zero, "domain": [0, STRIP if limits.strip else 0.001], "visible": limits.strip},
        "xaxis2": {
            **LOG_AXIS,
            "range": [limits.log_low, limits.log_high],
            "domain": [limits.start, 1],
            "anchor": "y",
            "title": {"text": "tuner parameters (log scale)", "standoff": 8},
        },
        "yaxis": {**AXIS, "range": [100 * limits.low, 100 * limits.high]},
    }


def _heading(view: View) -> dict[str, Any]:
    """The y axis' title, lying above the axis: it reads better than a turned one and takes no width."""
    place = {"xref": "paper", "x": 0, "xanchor": "left", "xshift": 2 - view.left}
    return {
        **place,
        "yref": "paper",
        "y": 1,
        "yanchor": "bottom",
        "yshift": 2,
        "text": "validation top-1 (%)",
        "showarrow": False,
    }
