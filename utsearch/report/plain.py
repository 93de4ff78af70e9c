"""Tables, and the front as a drawing, for a terminal or a pipe."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from utsearch.report.frame import ranges
from utsearch.report.groups import accuracy, drawn, error, front, title
from utsearch.report.traces import measured
from utsearch.report.units import clean, count, duration, percent, short_count

if TYPE_CHECKING:
    from utsearch.search import Record
    from utsearch.search.shelf import Contrast, Glance

STOPPED, PLAIN, KNOWN, BEST = "·", "o", "◆", "●"  # the later covers the earlier
TICKS = 5  # labels below the drawing, at most


def table(headings: Sequence[str], rows: Sequence[Sequence[str]], left: Sequence[str] = ()) -> str:
    """Aligned columns; those named in `left` to the left, numbers to the right."""
    lines = [list(headings), *([clean(cell) for cell in row] for row in rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(headings))]
    places = [name in left for name in headings]
    return "\n".join(
        "  ".join(
            c.ljust(w) if to_left else c.rjust(w) for c, w, to_left in zip(line, widths, places, strict=True)
        ).rstrip()
        for line in lines
    )


def drawing(records: Sequence[Record], width: int = 72, height: int = 16) -> str:
    """The front drawn in letters: log parameters to the right, top-1 upwards; the linear probe stands at the left edge.

    Args:
        records: of one study; without a drawn point the drawing is one line that says so.
        width: of the plot in letters, without the axis' labels.
        height: of the plot in lines.
    """
    shown = drawn(records)
    if not shown:
        return "no trial has reached a rung yet: nothing to draw"
    limits, members = ranges(records), {record.number for record in front(records)}
    grid = [[" "] * width for _ in range(height)]
    for record in sorted(shown, key=lambda record: _mark(record, members)[0]):
        x, y = _column(record.n_params, limits.log_low, limits.log_high, width), accuracy(record)
        row = round((limits.high - y) / (limits.high - limits.low) * (height - 1))
        if 0 <= row < height:
            grid[row][x] = _mark(record, members)[1]
    lines = []
    for i, row_letters in enumerate(grid):
        value = limits.high - (limits.high - limits.low) * i / (height - 1)
        label = percent(value) if i % 4 == 0 or i == height - 1 else ""
        lines.append(f"{label:>5} │{''.join(row_letters)}".rstrip())
    axis = _axis(limits.log_low, limits.log_high, width, limits.strip)
    legend = f"{BEST} new, on the front  {KNOWN} catalogue  {PLAIN} other new  {STOPPED} stopped early"
    return "\n".join(
        [*lines, f"{'':>5} └{'─' * width}", f"{'':>7}{axis}", f"{'':>7}val top-1 % over parameters", f"{'':>7}{legend}"]
    )


def _mark(record: Record, members: set[int]) -> tuple[int, str]:
    if record.status == "stopped":
        return 0, STOPPED
    if record.baseline:
        return 2, KNOWN
    return (3, BEST) if record.number in members else (1, PLAIN)


def _column(n_params: int, low: float, high: float, width: int) -> int:
    share = (math.log10(n_params) - low) / (high - low) if n_params else 0.0
    return min(max(round(share * (width - 1)), 0), width - 1)


def _axis(low: float, high: float, width: int, zero: bool) -> str:
    """Powers of ten, and 3 between them where there is room; 0 at the left edge if the linear probe stands there."""
    values = [base * 10**power for power in range(math.floor(low), math.ceil(high) + 1) for base in (1, 3)]
    values = [value for value in values if low <= math.log10(value) <= high]
    if len(values) > TICKS:
        values = [value for value in values if str(value).startswith("1")]
    line = "0" if zero else ""
    for value in values:
        at = _column(value, low, high, width)
        if at > len(line) or not line:  # else it would run into the one before
            line = line.ljust(at) + short_count(value)
    return line


def trial_text(record: Record) -> str:
    """All that is known of a trial."""
    facts: list[tuple[str, str]] = [
        ("design", title(record)),
        ("digest", record.digest),
        ("parameters", f"{count(record.n_params)} of the tuner, {count(record.n_head)} of the head"),
        ("status", record.status + (f": {record.reason}" if record.reason else "")),
        ("training", f"{duration(record.seconds)}, seed {record.seed}, started {record.started or '?'}"),
    ]
    if record.top1 is not None:
        facts.insert(3, ("val top-1", f"{percent(record.top1)} ± {percent(error(record))} % at epoch {record.epoch}"))
    if record.resumes is not None:
        before = f"trial #{record.resumes}, after {duration(record.seconds_before)} of training"
        facts.append(("resumes", before + (f" ({record.notice})" if record.notice else "")))
    facts += [("measured", line) for line in measured(record)]
    lines = [f"trial #{record.number}", *(f"  {name:<11}{clean(value)}" for name, value in facts)]
    if record.rungs:
        rows = [
            [str(r["epoch"]), percent(r["top1"]), _number(r, "loss"), duration(r.get("seconds", 0))]
            for r in record.rungs
        ]
        body = table(("epoch", "top-1 %", "loss", "time"), rows)
        lines += ["", *(f"  {line}" for line in body.splitlines())]
    return "\n".join(lines)


def _number(rung: Mapping[str, Any], key: str) -> str:
    return f"{rung[key]:.3f}" if key in rung else "-"


def glances_text(glances: Sequence[Glance], ages: Sequence[str]) -> str:
    """One line for each study."""
    headings = ("study", "trials", "best %", "front", "file", "age", "settings")
    rows = [_glance_row(glance, age) for glance, age in zip(glances, ages, strict=True)]
    return table(headings, rows, left=("study", "settings"))


def _glance_row(glance: Glance, age: str) -> list[str]:
    if glance.error:
        return [glance.name, "-", "-", "-", "-", "-", f"unreadable: {glance.error}"]
    best = "-" if glance.best is None else percent(glance.best)
    size = "-" if glance.size is None else f"{short_count(glance.size)}B"
    settings = f"{glance.dataset}, {glance.backbone}, space {glance.space}"
    return [glance.name, count(glance.trials), best, str(glance.front), size, age, settings]


def contrast_text(names: tuple[str, str], found: Contrast) -> str:
    """Two studies in words and a table of the designs that both trained."""
    differing = [f"  {line}" for line in found.settings] or ["  none"]
    box = f"from {short_count(found.scale.p0)} to {short_count(found.scale.p_max)} parameters"
    lines = [f"settings that differ ({names[0]} → {names[1]}):", *differing, ""]
    sides = zip(names, found.volumes, found.fronts, strict=True)
    rows = [[name, f"{v:.4f}", str(len(f)), percent(accuracy(f[-1])) if f else "-"] for name, v, f in sides]
    lines += [table(("study", "hypervolume", "front", "best %"), rows, left=("study",))]
    lines += [f"both measured in one box: {box}, above {percent(found.scale.floor)} % top-1", ""]
    if not found.shared:
        return "\n".join([*lines, "no finished design is in both"])
    pairs = [[count(a.n_params), percent(accuracy(a)), percent(accuracy(b)), title(a)] for a, b in found.shared]
    return "\n".join([*lines, table(("params", names[0], names[1], "design in both"), pairs, left=("design in both",))])
