"""What the front's picture draws: the points by kind, what they say, and the front as steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from textwrap import wrap
from typing import TYPE_CHECKING, Any

from utsearch.report.frame import Ranges
from utsearch.report.groups import accuracy, drawn, error, finished, front
from utsearch.report.palette import BLUE, GREY, INK, PAPER, VERMILLION
from utsearch.report.units import clean, count, duration, percent

if TYPE_CHECKING:
    from utsearch.search import Record

START = 1.0  # parameters at which the front's line enters the log axis: left of every design


@dataclass(frozen=True)
class Kind:
    """One sort of points: its words in the legend, its place there, its marker, and how much a label must avoid it."""

    key: str
    words: str
    rank: int
    marker: dict[str, Any]
    weight: float
    bars: bool = False


STOPPED = Kind("stopped", "stopped early", 5, {"size": 5, "color": GREY, "opacity": 0.5}, 3)
PLAIN = Kind("new", "other new", 4, {"size": 8, "color": BLUE, "opacity": 0.5}, 12)
KNOWN = Kind(
    "known",
    "catalogue",
    3,
    {"symbol": "diamond", "size": 11, "color": VERMILLION, "line": {"width": 1, "color": PAPER}},
    400,
    bars=True,
)
BEST = Kind(
    "best",
    "new, on the front",
    1,
    {"size": 13, "color": BLUE, "line": {"width": 1.5, "color": PAPER}},
    400,
    bars=True,
)
KINDS = (STOPPED, PLAIN, KNOWN, BEST)  # in drawing order


def kinds(records: Sequence[Record]) -> dict[str, list[Record]]:
    """The drawn records by the key of their kind."""
    numbers = {record.number for record in front(records)}
    done = finished(records)
    return {
        STOPPED.key: [record for record in drawn(records) if record.status == "stopped"],
        PLAIN.key: [record for record in done if not record.baseline and record.number not in numbers],
        KNOWN.key: [record for record in done if record.baseline],
        BEST.key: [record for record in done if not record.baseline and record.number in numbers],
    }


def traces(records: Sequence[Record], limits: Ranges) -> list[dict[str, Any]]:
    """All traces, faint ones first, the line of the front below the points that are compared."""
    grouped, numbers = kinds(records), {record.number for record in front(records)}
    faint, bright = (
        [trace for kind in some for trace in points(kind, grouped[kind.key], numbers)]
        for some in (KINDS[:2], KINDS[2:])
    )
    return [*faint, *steps(front(records), limits), *bright]


def points(kind: Kind, members: Sequence[Record], on_front: set[int]) -> list[dict[str, Any]]:
    """One trace on the log axis, and one on the axis of 0 where needed."""
    split = (("x2", [record for record in members if record.n_params]), ("x", [r for r in members if not r.n_params]))
    shown = next((axis for axis, group in split if group), None)
    common = {
        "type": "scatter",
        "mode": "markers",
        "name": f"{kind.words} ({len(members)})",
        "legendgroup": kind.key,
        "legendrank": kind.rank,
        "marker": kind.marker,
        "hoverinfo": "text",
    }
    return [
        {
            **common,
            "showlegend": axis == shown,
            "xaxis": axis,
            "x": [record.n_params for record in group],
            "y": [100 * accuracy(record) for record in group],
            "error_y": _bars(kind, group),
            "hovertext": [hover(record, record.number in on_front) for record in group],
            "customdata": [[record.number, record.design] for record in group],
            "cliponaxis": axis == "x2",  # the axis of 0 is hardly wider than a marker
        }
        for axis, group in split
        if group
    ]


def steps(members: Sequence[Record], limits: Ranges) -> list[dict[str, Any]]:
    """The front as steps: the best accuracy to be had for at most so many parameters."""
    if not members:
        return []
    style = {
        "type": "scatter",
        "mode": "lines",
        "name": "Pareto front",
        "legendgroup": "front",
        "legendrank": 2,
        "line": {"shape": "hv", "width": 2, "color": INK},
        "hoverinfo": "skip",
    }
    xs = [float(record.n_params or START) for record in members]
    ys = [100 * accuracy(record) for record in members]
    lines = [{**style, "xaxis": "x2", "x": [*xs, 10**limits.log_high], "y": [*ys, ys[-1]]}]
    if members[0].n_params == 0:
        lines.append({**style, "showlegend": False, "xaxis": "x", "x": [0, 1], "y": [ys[0], ys[0]]})
    return lines


def hover(record: Record, on_front: bool) -> str:
    """What a point says: Plotly reads a subset of HTML, so everything from data is escaped."""
    name = clean(record.baseline or "new design") + (", on the front" if on_front else "")
    lines = [f"<b>#{record.number}</b> {escape(name)}"]
    lines += [escape(line) for line in wrap(clean(record.design), 56, break_on_hyphens=False)]
    lines.append(f"{count(record.n_params)} parameters")
    lines.append(f"{percent(accuracy(record))} ± {percent(error(record))} % val top-1")
    rung = f" (rung {len(record.rungs)})" if record.rungs else ""
    stopped = "stopped early at " if record.status == "stopped" else ""
    lines.append(f"{stopped}epoch {record.epoch}{rung}, {duration(record.seconds)}")
    if record.resumes is not None:
        lines.append(f"resumes trial {record.resumes}, after {duration(record.seconds_before)} of training")
    if record.prior is not None:
        scored = "" if record.prior_score is None else f" with a score of {record.prior_score:.4g}"
        lines.append(f"queued by {escape(clean(record.prior))}{scored}")
    lines += measured(record)
    return "<br>".join(lines)


def measured(record: Record) -> list[str]:
    """What else was recorded of a trial, in words; older studies have less."""
    last, cost = record.rungs[-1] if record.rungs else {}, record.cost
    parts = []
    if "balanced" in last:
        parts.append(f"balanced {percent(last['balanced'])} %, calibration error {percent(last['ece'])} %")
    if "images_per_second" in last:
        parts.append(f"{last['images_per_second']:,.0f} images/s")
    if "flops" in cost:
        parts.append(f"{cost['flops'] / 1e6:,.0f} MFLOPs per image, {cost['memory'] / 1e6:,.0f} MB per training step")
    if "mergeable" in cost:
        parts.append("folds into the weights" if cost["mergeable"] else "does not fold into the weights")
    if "micro_batch" in cost:
        parts.append(f"{cost['micro_batch']} images at a time, since a whole batch found no memory")
    if "peak_memory" in cost:
        parts.append(f"{cost['peak_memory'] / 1e6:,.0f} MB of GPU memory at the peak")
    return parts


def _bars(kind: Kind, group: Sequence[Record]) -> dict[str, Any]:
    """One standard error, for the points that are compared."""
    bars = {"type": "data", "array": [100 * error(record) for record in group], "visible": kind.bars}
    return {**bars, "color": kind.marker["color"], "thickness": 1, "width": 0}
