"""Learning curves by rungs, and hypervolume over the search."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

from utsearch import pareto
from utsearch.report.groups import accuracy, finished, thinned
from utsearch.report.palette import BLUE, INK
from utsearch.report.story import Story
from utsearch.report.theme import AXIS, heading, layout, legend_views, name_of, panelled, shared_axes
from utsearch.report.traces import BEST, KINDS, Kind, kinds
from utsearch.report.units import HOUR, MINUTE, clean, count, percent

if TYPE_CHECKING:
    from utsearch.search import Record

MOST = 120  # curves of one kind; of more, evenly chosen ones are drawn


def curves_figure(records: Sequence[Record]) -> dict[str, Any] | None:
    """Top-1 at every rung: catalogue and front, others thinned; None where no rung was reached."""
    grouped = kinds(records)
    found = [
        _curves(kind, thinned(grouped[kind.key], MOST), len(grouped[kind.key])) for kind in KINDS if grouped[kind.key]
    ]
    if not found:
        return None
    epochs = sorted({rung["epoch"] for record in records for rung in record.rungs})
    return {
        "data": found,
        "layout": layout(
            420,
            xaxis={**AXIS, "title": {"text": "epoch of the rung"}, "tickvals": epochs, "type": "log"},
            yaxis=AXIS,
            annotations=[heading("validation top-1 (%)", 0, 12)],
        ),
        "views": legend_views(420),
    }


def _curves(kind: Kind, members: Sequence[Record], total: int) -> dict[str, Any]:
    """One trace for all curves of a kind, with gaps between them: hundreds of traces would be slow."""
    xs: list[int | None] = []
    ys: list[float | None] = []
    words: list[str] = []
    named: list[list[Any] | None] = []
    for record in members:
        for rung in record.rungs:
            xs.append(rung["epoch"])
            ys.append(100 * rung["top1"])
            words.append(_rung_words(record, rung))
            named.append([record.number, record.design])
        xs, ys, words, named = [*xs, None], [*ys, None], [*words, ""], [*named, None]
    drawn = f"{len(members)} of {total}" if len(members) < total else str(total)
    strong = kind.bars
    return {
        "type": "scatter",
        "mode": "lines+markers",
        "name": f"{kind.words} ({drawn})",
        "legendrank": kind.rank,
        "line": {"color": kind.marker["color"], "width": 2 if kind is BEST else 1},
        "marker": {**kind.marker, "size": 6 if strong else 4},
        "opacity": 1 if strong else 0.4,
        "x": xs,
        "y": ys,
        "hovertext": words,
        "hoverinfo": "text",
        "customdata": named,
    }


def _rung_words(record: Record, rung: Any) -> str:
    name = escape(clean(record.baseline or record.design))
    return f"<b>#{record.number}</b> {name}<br>epoch {rung['epoch']}: {percent(rung['top1'])} % val top-1"


def growth(records: Sequence[Record], scale: pareto.Scale) -> Iterator[tuple[Record, float, float]]:
    """In the order of trials: each that finished, the seconds trained by then, and the hypervolume reached."""
    members: list[tuple[float, float]] = []
    seconds = 0.0
    done = {record.number for record in finished(records)}
    for record in sorted(records, key=lambda record: record.number):
        seconds += record.seconds if record.status != "duplicate" else 0.0
        if record.number in done:
            members.append((record.n_params, accuracy(record)))
            members = [members[i] for i in pareto.front(members)]
            yield record, seconds, pareto.hypervolume(members, scale)


def volume_figure(story: Story) -> dict[str, Any] | None:
    """Hypervolume over trials and over training time, side by side; None without a scale or a finished trial."""
    if story.about.scale is None or not (steps := list(growth(story.records, story.about.scale))):
        return None
    size, unit = _unit(steps[-1][1])
    xs: tuple[list[float], list[float]] = (
        [record.number + 1 for record, _, _ in steps],
        [seconds / size for _, seconds, _ in steps],
    )
    # the trials that raised it have markers; the first one has made it what it is
    raised = [i for i, (_, _, now) in enumerate(steps) if i == 0 or now > steps[i - 1][2]]
    data = [trace for i, x in enumerate(xs) for trace in _volume_traces(steps, x, raised, i)]
    xaxes = [
        {"rangemode": "tozero", "title": {"text": text, "font": {"size": 12}}}
        for text in ("trials", f"{unit} of training")
    ]
    return panelled(data, ["hypervolume", ""], layout(320, **shared_axes(xaxes, {}), showlegend=False))


def _volume_traces(
    steps: Sequence[tuple[Record, float, float]], x: Sequence[float], raised: Sequence[int], panel: int
) -> list[dict[str, Any]]:
    axes = {"xaxis": name_of("x", panel), "yaxis": name_of("y", panel), "type": "scatter"}
    line = {"shape": "hv", "width": 2, "color": INK}
    path = {**axes, "mode": "lines", "x": list(x), "y": [v for _, _, v in steps], "line": line, "hoverinfo": "skip"}
    marks = {
        **axes,
        "mode": "markers",
        "marker": {"size": 8, "color": BLUE},
        "x": [x[i] for i in raised],
        "y": [steps[i][2] for i in raised],
        "hovertext": [_volume_words(steps[i][0], steps[i][2]) for i in raised],
        "hoverinfo": "text",
        "customdata": [[steps[i][0].number, steps[i][0].design] for i in raised],
    }
    return [path, marks]


def _volume_words(record: Record, volume: float) -> str:
    name = escape(clean(record.baseline or record.design))
    return f"<b>#{record.number}</b> {name}<br>{count(record.n_params)} parameters<br>hypervolume {volume:.4f}"


def _unit(seconds: float) -> tuple[float, str]:
    return (HOUR, "hours") if seconds > 2 * HOUR else (MINUTE, "minutes")
