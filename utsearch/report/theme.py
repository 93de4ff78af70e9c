"""What all figures share: axes, fonts, the legend, and how Plotly behaves."""

from __future__ import annotations

from typing import Any

from utsearch.report.palette import FONT, GREY, INK, PAPER, RULE, SOFT

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


def layout(height: int, **parts: Any) -> dict[str, Any]:
    """The layout of a plain figure, with its legend above."""
    margin = {"l": 56, "r": 14, "t": 60, "b": 50, "autoexpand": False}
    return {**BASE, "height": height, "margin": margin, "legend": {**LEGEND, "y": 1 + 22 / (height - 110)}, **parts}


def panels(titles: list[str], gap: float = 0.07) -> list[tuple[float, float]]:
    """The shares of the width that panels in a row take."""
    width = (1 - gap * (len(titles) - 1)) / len(titles)
    return [(i * (width + gap), i * (width + gap) + width) for i in range(len(titles))]


def name_of(axis: str, index: int) -> str:
    """Plotly's name of an axis, the first without a number: x, x2, x3."""
    return axis if index == 0 else f"{axis}{index + 1}"


def heading(text: str, left: float, size: int = 13) -> dict[str, Any]:
    """A panel's title, lying above its axis."""
    place = {"xref": "paper", "x": left, "xanchor": "left", "yref": "paper", "y": 1, "yanchor": "bottom"}
    return {**place, "text": text, "showarrow": False, "font": {"size": size}, "captureevents": False}
