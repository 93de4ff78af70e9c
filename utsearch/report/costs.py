"""What accuracy costs: time to train, and memory and FLOPs where the trials recorded them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from utsearch.report.groups import accuracy, finished, front
from utsearch.report.theme import AXIS, LOG_AXIS, heading, layout, name_of, panels
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
    places = panels(list(measured))
    data = [trace for i, measure in enumerate(measured.values()) for trace in _points(records, measure, i)]
    axes: dict[str, Any] = {
        f"xaxis{i + 1 if i else ''}": {
            **LOG_AXIS,
            "domain": list(place),
            "title": {"text": title, "font": {"size": 12}},
        }
        for i, (title, place) in enumerate(zip(measured, places, strict=True))
    }
    notes = [heading("validation top-1 (%)", 0, 12)]
    return {"data": data, "layout": layout(380, **axes, yaxis=AXIS, annotations=notes)}


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
                "yaxis": "y",
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
