"""A search on a terminal: a picture that redraws itself, with the time left, the best so far, what is training."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Self

from rich import box
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from utsearch.report.board import Board, Running
from utsearch.report.groups import accuracy, tally, title
from utsearch.report.lines import headline
from utsearch.report.units import clean, count, duration, percent

if TYPE_CHECKING:
    from utsearch.search import Event

REFRESHES = 2  # a second; more would take time from the training


class Screen:
    """Draws the board in place; leaving the context restores the cursor, also after Ctrl-C."""

    def __init__(self, board: Board, console: Console) -> None:
        """Draw `board` on `console`."""
        self.board = board
        self._lock = threading.Lock()  # rich redraws from a thread of its own
        self._live = Live(get_renderable=self._draw, console=console, refresh_per_second=REFRESHES)

    def __enter__(self) -> Self:
        """Begin to draw."""
        self._live.start(refresh=True)
        return self

    def __exit__(self, *error: object) -> None:
        """Draw the last state and stop; a second Ctrl-C on the way must not leave the cursor hidden."""
        try:
            self._live.stop()
        finally:
            self._live.console.show_cursor(True)

    def __call__(self, event: Event) -> None:
        """Take in an event; the next redrawing shows it."""
        from utsearch.search import RungReached, TrialEnded, TrialStarted

        with self._lock:
            match event:
                case TrialStarted():
                    self.board.start(event.record)
                case RungReached():
                    self.board.reach(event.number, event.rung)
                case TrialEnded():
                    self.board.end(event.record)

    def _draw(self) -> RenderableType:
        with self._lock:
            return picture(self.board)


def picture(board: Board) -> RenderableType:
    """The whole display; every line fits the width, so that redrawing never leaves scraps behind."""
    parts: list[RenderableType] = [_line(headline(board), "bold"), _progress(board), _counts(board)]
    if board.best():
        parts.append(_best(board))
    parts += [_running(running) for running in board.running.values()]
    return Group(*parts)


def _progress(board: Board) -> RenderableType:
    grid = Table.grid(expand=True, padding=(0, 1))
    grid.add_column(ratio=1)
    grid.add_column(justify="right", no_wrap=True)
    left = "" if board.left is None else f"{duration(board.left)} left"
    done = f"{board.done} of {board.trials} trials" if board.trials else f"{board.done} trials"
    grid.add_row(ProgressBar(total=1.0, completed=board.share), ", ".join(filter(None, (done, left))))
    return grid


def _counts(board: Board) -> Text:
    volume = "" if board.volume is None else f" · hypervolume {board.volume:.3f}"
    return Text(f"{tally(list(board.records.values()))}{volume}", style="dim")  # may wrap: no number is cut off


def _best(board: Board) -> Table:
    """The best of each decade of parameters; a star marks the front, bold the new designs."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), expand=True)
    for heading in ("size", "top-1 %", "params"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("best so far", no_wrap=True, overflow="ellipsis", ratio=1)
    for size, record in board.best():
        star = "★ " if record.number in board.front else "  "
        design = _line(f"{star}#{record.number} {title(record)}", "" if record.baseline else "bold")
        table.add_row(size, percent(accuracy(record)), count(record.n_params), design)
    return table


def _running(running: Running) -> RenderableType:
    record = running.record
    rungs = "  ".join(f"epoch {rung.epoch}: {percent(rung.top1)}" for rung in running.rungs) or "training"
    design = _line(f"▸ #{record.number}, {count(record.n_params)} params: {title(record)}", "cyan")
    return Group(design, _line(f"  {rungs}", "dim"))


def _line(text: str, style: str) -> Text:
    """One line of text from data: no control characters, no markup, cut where the terminal ends."""
    return Text(clean(text), style=style, no_wrap=True, overflow="ellipsis")
