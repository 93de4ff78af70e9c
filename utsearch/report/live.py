"""The live display of a search: a picture that redraws itself on a terminal, one line per event anywhere else."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Protocol, Self

from utsearch.report.board import Board
from utsearch.report.lines import Lines

if TYPE_CHECKING:
    from rich.console import Console

    from utsearch.search import Event


class Display(Protocol):
    """What `search(..., on_event=display)` calls, inside `with display:`."""

    def __enter__(self) -> Self:
        """Begin to draw."""

    def __exit__(self, *error: object) -> None:
        """Leave the terminal as it was, also after Ctrl-C."""

    def __call__(self, event: Event) -> None:
        """Take in one event."""


def display(board: Board, console: Console | None = None) -> Display:
    """The display that fits the output."""
    if console is None and not sys.stdout.isatty():
        return Lines(board, sys.stdout)
    from rich.console import Console as RichConsole

    from utsearch.report.screen import Screen

    console = console or RichConsole()
    live = console.is_terminal and not console.is_dumb_terminal
    return Screen(board, console) if live else Lines(board, console.file)
