"""The geometry of the front's picture: ranges of the axes, sizes for page widths, and where a point falls in pixels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from utsearch.report.groups import accuracy, drawn, finished, front

if TYPE_CHECKING:
    from utsearch.search import Record

STRIP, GAP = 0.055, 0.015  # shares of the width: the axis of 0 parameters, and the break before the log axis


@dataclass(frozen=True)
class Ranges:
    """Limits of the axes: log10 of the parameters, and top-1 in 0…1."""

    log_low: float
    log_high: float
    low: float
    high: float
    strip: bool  # whether a design has no parameters at all, which a log axis cannot show

    @property
    def start(self) -> float:
        """Where the log axis starts, as a share of the width."""
        return STRIP + GAP if self.strip else 0.0


@dataclass(frozen=True)
class View:
    """One size of the picture, for containers from `min_width` on."""

    min_width: int
    height: int
    left: int
    right: int
    top: int
    bottom: int

    @property
    def width(self) -> int:
        """Of the plot area, in pixels."""
        return self.min_width - self.left - self.right

    @property
    def depth(self) -> int:
        """Height of the plot area, in pixels."""
        return self.height - self.top - self.bottom

    def ticks(self, limits: Ranges) -> int:
        """How many ticks the log axis has room for: decades only where narrow, else 1, 2 and 5 of each.

        Plotly labels 1, 2 and 5 when a tick stands for 0.3 to 0.7 of a decade, and 1 to 9 below that.
        """
        decades = limits.log_high - limits.log_low
        per_decade = self.width * (1 - limits.start) / decades
        return max(1, round(decades / (0.45 if per_decade > 110 else 1.0)))

    def pixel(self, record: Record, ranges: Ranges) -> tuple[float, float]:
        """A point's place from the upper left corner of the plot area."""
        y = (ranges.high - accuracy(record)) / (ranges.high - ranges.low) * self.depth
        if record.n_params == 0:
            return STRIP / 2 * self.width, y
        share = (math.log10(record.n_params) - ranges.log_low) / (ranges.log_high - ranges.log_low)
        return (ranges.start + share * (1 - ranges.start)) * self.width, y


TITLE, LEGEND_ROW = 26, 29  # pixels above the plot: the y axis' title, and each row of the legend

# The narrower, the more rows the legend's five entries take.
VIEWS = (
    View(300, 560, 36, 8, TITLE + 5 * LEGEND_ROW, 46),
    *(View(width, 500, 36, 8, TITLE + 3 * LEGEND_ROW, 46) for width in (340, 400, 460)),
    *(View(width, 510, 44, 12, TITLE + 2 * LEGEND_ROW, 50) for width in (540, 620, 700)),
    *(View(width, 540, 46, 14, TITLE + LEGEND_ROW, 52) for width in (780, 860, 940, 1020, 1100)),
)


def ranges(records: Sequence[Record]) -> Ranges:
    """Limits that show the front and the catalogue; far worse trials may fall below, where the reader can scroll.

    One diverged trial at 2 % would press everything that matters into the upper edge.
    """
    shown = drawn(records)
    logs = [math.log10(record.n_params) for record in shown if record.n_params] or [3.0, 4.0]
    pad = max(0.06 * (max(logs) - min(logs)), 0.08)
    return Ranges(min(logs) - pad, max(logs) + pad, *_heights(records), any(record.n_params == 0 for record in shown))


def below(records: Sequence[Record], limits: Ranges) -> int:
    """How many drawn points lie under the visible range."""
    return sum(accuracy(record) < limits.low for record in drawn(records))


def _heights(records: Sequence[Record]) -> tuple[float, float]:
    done = finished(records)
    if not done:
        tops = [accuracy(record) for record in drawn(records)] or [0.0, 1.0]
        return max(min(tops) - 0.05, 0.0), min(max(tops) + 0.05, 1.0)
    kept = [accuracy(record) for record in (*front(records), *(record for record in done if record.baseline))]
    low, high = min(kept), max(kept)
    span = max(high - low, 0.02)
    floor = max(low - 0.25 * span, min(accuracy(record) for record in done) - 0.08 * span, 0.0)
    return floor, min(high + 0.14 * span, 1.0 + 0.02 * span)
