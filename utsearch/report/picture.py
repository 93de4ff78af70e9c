"""The front as a small PNG for places that draw no page: a model card, a README."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from utsearch.report.groups import accuracy, drawn, finished, front
from utsearch.report.units import clean, percent, short_count

if TYPE_CHECKING:
    from PIL.ImageDraw import ImageDraw
    from PIL.ImageFont import FreeTypeFont, ImageFont

    from utsearch.search import Record

WIDTH, HEIGHT, SCALE = 820, 500, 2  # drawn at twice the size
LEFT, RIGHT, TOP, BOTTOM = 62, 20, 44, 52
INK, SOFT, RULE, FAINT, KNOWN, NEW = "#1f2328", "#59636e", "#dfe3e8", "#c4cad1", "#d55e00", "#0072b2"

Point = tuple[float, float]


def front_picture(records: Sequence[Record], marked: int | None = None) -> bytes:
    """Parameters on a log axis against validation top-1, the front as steps; the trial `marked` in a ring.

    The linear probe, which has no parameters, is a dashed line.

    Raises:
        ValueError: no trial has finished.
    """
    from PIL import Image, ImageDraw

    if not finished(records):
        raise ValueError("a picture of a front needs a finished trial")
    image = Image.new("RGB", (WIDTH * SCALE, HEIGHT * SCALE), "white")
    _Picture(ImageDraw.Draw(image), records).draw(marked)
    file = io.BytesIO()
    image.quantize(64).save(file, "PNG", optimize=True)
    return file.getvalue()


class _Picture:
    """What is drawn where."""

    def __init__(self, pen: ImageDraw, records: Sequence[Record]) -> None:
        self._pen, self._records = pen, records
        shown = [record for record in drawn(records) if record.n_params]
        sizes = [math.log10(record.n_params) for record in shown] or [0.0]
        done = [accuracy(record) for record in finished(records)]
        self._x = (min(sizes) - 0.1, max(sizes) + 0.1)
        span = max(max(done) - min(done), 0.02)
        self._y = (min(done) - 0.06 * span, max(done) + 0.1 * span)

    def draw(self, marked: int | None) -> None:
        self._axes()
        for record in drawn(self._records):
            if record.status == "stopped":
                self._dot(record, FAINT, 2)
        self._steps()
        for record in finished(self._records):
            self._dot(record, KNOWN if record.baseline else NEW, 4 if record.baseline else 3)
        self._names()
        for record in finished(self._records):
            if record.number == marked and record.n_params:
                x, y = self._at(record.n_params, accuracy(record))
                self._ring(x, y, 9)

    def _at(self, n_params: int, top1: float) -> Point:
        across = (math.log10(n_params) - self._x[0]) / (self._x[1] - self._x[0])
        up = (top1 - self._y[0]) / (self._y[1] - self._y[0])
        return LEFT + across * (WIDTH - LEFT - RIGHT), HEIGHT - BOTTOM - up * (HEIGHT - TOP - BOTTOM)

    def _axes(self) -> None:
        bottom = HEIGHT - BOTTOM
        for power in range(math.floor(self._x[0]), math.ceil(self._x[1]) + 1):
            for digit in (1, 2, 5):
                if self._x[0] <= math.log10(digit * 10**power) <= self._x[1]:
                    x, _ = self._at(max(1, round(digit * 10**power)), self._y[0])
                    self._line([(x, TOP), (x, bottom)], RULE)
                    self._text((x, bottom + 6), short_count(digit * 10**power), SOFT, "ma")
        step = _round_step((self._y[1] - self._y[0]) / 6)
        for i in range(math.ceil(self._y[0] / step), math.floor(self._y[1] / step) + 1):
            _, y = self._at(1, i * step)
            self._line([(LEFT, y), (WIDTH - RIGHT, y)], RULE)
            self._text((LEFT - 6, y), percent(i * step, 0 if step >= 0.01 else 1), SOFT, "rm")
        self._text(((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 20), "tuner parameters (log scale)", INK, "mm")
        self._text((12, 20), "validation top-1 (%), one seed", INK, "lm")
        for i, (colour, words) in enumerate(((KNOWN, "catalogue"), (NEW, "new designs"), (FAINT, "stopped early"))):
            x = WIDTH - RIGHT - 330 + 110 * i
            self._disc(x, 20, 4, colour)
            self._text((x + 9, 20), words, INK, "lm")

    def _steps(self) -> None:
        members = [record for record in front(self._records) if record.n_params]
        probe = [accuracy(record) for record in front(self._records) if not record.n_params]
        if probe:
            _, y = self._at(1, probe[0])
            for left in range(LEFT, WIDTH - RIGHT, 10):
                self._line([(left, y), (left + 5, y)], KNOWN)
        corners: list[Point] = []
        for record in members:
            x, y = self._at(record.n_params, accuracy(record))
            corners += [(x, corners[-1][1])] if corners else []
            corners.append((x, y))
        if corners:
            self._line([*corners, (WIDTH - RIGHT, corners[-1][1])], INK, 2)

    def _names(self) -> None:
        """The catalogue's names, those of the front first; one that would lie on another is left out."""
        taken: list[tuple[float, float, float, float]] = []
        members = {record.number for record in front(self._records)}
        known = [record for record in finished(self._records) if record.baseline]
        for record in sorted(known, key=lambda record: record.number not in members):
            if record.n_params:
                x, y = self._at(record.n_params, accuracy(record))
            else:
                x, y = LEFT + 4, self._at(1, accuracy(record))[1] - 2
            label = clean(record.baseline or "")
            side = "ls" if x < WIDTH - 150 else "rs"
            place = (x + 6 if side == "ls" else x - 6, y - 4)
            box = self._pen.textbbox(_scaled(place), label, font=_font(11), anchor=side)
            if all(box[2] < t[0] or t[2] < box[0] or box[3] < t[1] or t[3] < box[1] for t in taken):
                taken.append(box)
                self._text(place, label, KNOWN, side, 11)

    def _dot(self, record: Record, colour: str, radius: float) -> None:
        if record.n_params and accuracy(record) >= self._y[0]:
            self._disc(*self._at(record.n_params, accuracy(record)), radius, colour)

    def _disc(self, x: float, y: float, radius: float, colour: str) -> None:
        self._pen.ellipse([*_scaled((x - radius, y - radius)), *_scaled((x + radius, y + radius))], fill=colour)

    def _ring(self, x: float, y: float, radius: float) -> None:
        box = [*_scaled((x - radius, y - radius)), *_scaled((x + radius, y + radius))]
        self._pen.ellipse(box, outline=INK, width=2 * SCALE)

    def _line(self, points: Sequence[Point], colour: str, width: int = 1) -> None:
        self._pen.line([_scaled(point) for point in points], fill=colour, width=width * SCALE)

    def _text(self, place: Point, words: str, colour: str, anchor: str, size: int = 13) -> None:
        self._pen.text(_scaled(place), words, fill=colour, font=_font(size), anchor=anchor)


def _scaled(point: Point) -> Point:
    return point[0] * SCALE, point[1] * SCALE


def _font(size: int) -> FreeTypeFont | ImageFont:
    from PIL import ImageFont

    return ImageFont.load_default(size * SCALE)


def _round_step(least: float) -> float:
    """The next of 1, 2, 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(least))
    return next(step * power for step in (1, 2, 5, 10) if step * power >= least * 0.999)
