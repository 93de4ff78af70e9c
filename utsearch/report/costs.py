"""What accuracy costs: time to train, and memory and FLOPs where the trials recorded them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from utsearch.report.groups import accuracy, finished, front
from utsearch.report.theme import LOG_AXIS, layout, name_of, panelled, shared_axes
from utsearch.report.traces import BEST, KNOWN, PLAIN, hover, kinds

if TYPE_CHECKING:
    from utsearch.search import Record

Measure = Callable[["Record"], float | None]
MEASURES: dict[str, Measure] = {
    "seconds of training": lambda record: record.seconds or None,
    "MB of a training step, frozen weights apart": lambda record: _scaled(record, "memory", 1e6),
    "MB of GPU memory at the peak": lambda record: _scaled(record, "peak_memory", 1e6),
    "MFLOPs of one image": lambda record: _scaled(record, "flops", 1e6),
}


def _scaled(record: Record, key: str, unit: float) -> float | None:
    value = record.cost.get(key)
    return value / unit if value else None


def costs_figure(records: Sequence[Record]) -> dict[str, Any] | None:
    """Top-1 over each cost that was recorded, a panel each; None where none was."""
    done = finished(records)
    measured = {title: measure for title, measure in MEASURES.items() if any(measure(record) for record in done)}
    if not measured:
        return None
    data = [trace for i, measure in enumerate(measured.values()) for trace in _points(records, measure, i)]
    # not the `~s` of parameters, which writes half a megabyte as 500m
    xaxes = [
        {
            **LOG_AXIS,
            "tickformat": "~g",
            "nticks": _ticks(done, measure),
            "title": {"text": title, "font": {"size": 12}},
        }
        for title, measure in measured.items()
    ]
    titles = ["validation top-1 (%)", *[""] * (len(measured) - 1)]
    return panelled(data, titles, layout(380, **shared_axes(xaxes, {})))


def _ticks(records: Sequence[Record], measure: Measure) -> int:
    """So many that a tick stands for about half a decade, where Plotly writes 1, 2 and 5 of each."""
    costs = [cost for record in records if (cost := measure(record))]
    return max(4, round(math.log10(max(costs) / min(costs)) / 0.45))


def _points(records: Sequence[Record], measure: Measure, panel: int) -> list[dict[str, Any]]:
    grouped, members = kinds(records), {record.number for record in front(records)}
    traces = []
    for kind in (PLAIN, KNOWN, BEST):
        group = [(record, cost) for record in grouped[kind.key] if (cost := measure(record))]
        traces.append(
            {
                "type": "scatter",
                "mode": "markers",
                "xaxis": name_of("x", panel),
                "yaxis": name_of("y", panel),
                "name": kind.words,
                "legendgroup": kind.key,
                "legendrank": kind.rank,
                "showlegend": panel == 0,
                "marker": {**kind.marker, "size": min(kind.marker["size"], 9)},
                "x": [cost for _, cost in group],
                "y": [100 * accuracy(record) for record, _ in group],
                "hovertext": [hover(record, record.number in members) for record, _ in group],
                "hoverinfo": "text",
                "customdata": [[record.number, record.design] for record, _ in group],
            }
        )
    return traces
