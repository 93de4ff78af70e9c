"""What all figures share: axes, fonts, the legend, and how Plotly behaves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from utsearch.report.palette import FONT, GREY, INK, PAPER, RULE, SOFT

Figure = dict[str, Any]  # data and layout, and views where the layout depends on the width

CONFIG = {
    "displaylogo": False,
    "responsive": True,
    "doubleClick": "reset",
    # named one by one: Plotly's own choice has a button that uploads the data to a server
    "modeBarButtons": [["zoom2d", "pan2d", "zoomIn2d", "zoomOut2d", "resetScale2d", "toImage"]],
    "plotlyServerURL": "",
    "toImageButtonOptions": {"format": "svg", "filename": "front"},
}
AXIS: dict[str, Any] = {
    "showline": True,
    "linecolor": GREY,
    "gridcolor": RULE,
    "zeroline": False,
    "ticks": "outside",
    "tickcolor": GREY,
    "tickfont": {"color": SOFT},
}
LOG_AXIS: dict[str, Any] = {
    **AXIS,
    "type": "log",
    "tickformat": "~s",
    "minor": {"ticks": "outside", "ticklen": 3, "tickcolor": GREY},
}
BASE: dict[str, Any] = {
    "template": "none",
    "font": {"family": FONT, "size": 13, "color": INK},
    "paper_bgcolor": PAPER,
    "plot_bgcolor": "rgba(0,0,0,0)",
    "hovermode": "closest",
    "hoverlabel": {
        "align": "left",
        "bgcolor": PAPER,
        "bordercolor": GREY,
        "font": {"family": FONT, "size": 13, "color": INK},
    },
    "modebar": {"bgcolor": "rgba(0,0,0,0)", "color": GREY, "activecolor": SOFT},
}
LEGEND: dict[str, Any] = {
    "orientation": "h",
    "xref": "container",
    "x": 0,
    "yanchor": "bottom",
    "font": {"size": 12},
    "bgcolor": "rgba(0,0,0,0)",
}


SIDE_BY_SIDE = 560  # pixels of width from which panels stand in a row; below they stand on each other
BETWEEN = 74  # pixels between two panels that stand on each other: ticks, an axis' title, the next heading


def layout(height: int, **parts: Any) -> dict[str, Any]:
    """The layout of a plain figure, with its legend above."""
    margin = {"l": 56, "r": 14, "t": 60 if parts.get("showlegend", True) else 36, "b": 50, "autoexpand": False}
    return {**BASE, "height": height, "margin": margin, "legend": {**LEGEND, "y": 1 + 22 / (height - 110)}, **parts}


def panels(n: int, gap: float = 0.07) -> list[tuple[float, float]]:
    """The shares of the width that panels in a row take."""
    width = (1 - gap * (n - 1)) / n
    return [(i * (width + gap), i * (width + gap) + width) for i in range(n)]


def shared_axes(xaxes: Sequence[Mapping[str, Any]], yaxis: Mapping[str, Any]) -> dict[str, Any]:
    """An x axis of its own and the same y axis for each panel; `panel_views` says where they stand."""
    axes: dict[str, Any] = {}
    for i, xaxis in enumerate(xaxes):
        axes[axis_key("x", i)] = {**AXIS, **xaxis, "anchor": name_of("y", i)}
        follows = {"matches": "y"} if i else {}
        axes[axis_key("y", i)] = {**AXIS, **yaxis, **follows, "anchor": name_of("x", i)}
    return axes


LEGEND_ROWS = 58  # more pixels above a narrow figure, whose legend stands in four rows instead of one


def legend_views(height: int) -> list[Figure]:
    """Layouts of a plain figure with a legend, narrow and wide."""
    narrow = {"height": height + LEGEND_ROWS, "margin.t": 60 + LEGEND_ROWS}
    return [
        {"min_width": 0, "layout": narrow},
        {"min_width": SIDE_BY_SIDE, "layout": {"height": height, "margin.t": 60}},
    ]


def panel_views(
    titles: Sequence[str], height: int, margin: Mapping[str, int], gap: float = 0.07, legend: int = 0
) -> list[Figure]:
    """Layouts for two ranges of widths: panels on each other where it is narrow, else in a row.

    Args:
        titles: of the panels, lying above them.
        height: of the figure in a row, in pixels.
        margin: around all panels, in pixels.
        gap: between two in a row, as a share of the width.
        legend: more pixels above where it is narrow.
    """
    n, inner = len(titles), height - margin["t"] - margin["b"]
    total = n * inner + (n - 1) * BETWEEN
    rows = [(1 - (i * (inner + BETWEEN) + inner) / total, 1 - i * (inner + BETWEEN) / total) for i in range(n)]
    top = margin["t"]
    narrow: dict[str, Any] = {"height": total + top + margin["b"] + legend, "margin.t": top + legend}
    wide: dict[str, Any] = {"height": height, "margin.t": top}
    for i, (column, row) in enumerate(zip(panels(n, gap), rows, strict=True)):
        x, y = axis_key("x", i), axis_key("y", i)
        narrow |= {f"{x}.domain": [0, 1], f"{y}.domain": [max(row[0], 0.0), row[1]], f"{y}.showticklabels": True}
        wide |= {f"{x}.domain": list(column), f"{y}.domain": [0, 1], f"{y}.showticklabels": i == 0}
    narrow["annotations"] = [heading(title, 0, 12, row[1]) for title, row in zip(titles, rows, strict=True)]
    wide["annotations"] = [heading(title, place[0], 12) for title, place in zip(titles, panels(n, gap), strict=True)]
    # a legend lies a fixed number of pixels above the plot, of whatever height that is
    narrow["legend.y"], wide["legend.y"] = (1 + 22 / pixels for pixels in (total, inner))
    return [{"min_width": 0, "layout": narrow}, {"min_width": SIDE_BY_SIDE, "layout": wide}]


def panelled(data: Sequence[Figure], titles: Sequence[str], given: Figure, gap: float = 0.07) -> Figure:
    """A figure of panels: its data, its layout in a row, and its views."""
    legend = LEGEND_ROWS if given.get("showlegend", True) else 0
    views = panel_views(titles, given["height"], given["margin"], gap, legend)
    wide, placed = views[-1]["layout"], {**given}
    for key, value in wide.items():
        axis, _, part = key.partition(".")
        placed[axis] = {**placed[axis], part: value} if part else value
    return {"data": list(data), "layout": placed, "views": views}


def name_of(axis: str, index: int) -> str:
    """Plotly's name of an axis, the first without a number: x, x2, x3."""
    return axis if index == 0 else f"{axis}{index + 1}"


def axis_key(axis: str, index: int) -> str:
    """The key of an axis in a layout: xaxis, xaxis2."""
    return f"{axis}axis{name_of(axis, index)[1:]}"


def heading(text: str, left: float, size: int = 13, top: float = 1) -> dict[str, Any]:
    """A panel's title, lying above its axis."""
    place = {"xref": "paper", "x": left, "xanchor": "left", "yref": "paper", "y": top, "yanchor": "bottom"}
    return {**place, "text": text, "showarrow": False, "font": {"size": size}, "captureevents": False}
