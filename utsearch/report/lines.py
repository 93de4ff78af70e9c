"""A search as plain lines, one per event: for pipes, logs and continuous integration."""

from __future__ import annotations

from typing import IO, TYPE_CHECKING, Any, Self

from utsearch.report.board import Board
from utsearch.report.groups import accuracy, error, tally, title
from utsearch.report.units import clean, count, duration, percent

if TYPE_CHECKING:
    from utsearch.search import Event, Record


class Lines:
    """Every line is flushed, so that a log can be followed."""

    def __init__(self, board: Board, file: IO[str]) -> None:
        """Write to `file` what happens on `board`."""
        self.board, self.file = board, file

    def __enter__(self) -> Self:
        """Say what is searched."""
        self._write(headline(self.board))
        return self

    def __exit__(self, *error: object) -> None:
        """Nothing to restore."""

    def __call__(self, event: Event) -> None:
        """Say what happened."""
        from utsearch.search import RungReached, SearchEnded, TrialEnded, TrialStarted

        match event:
            case TrialStarted():
                self.board.start(event.record)
                self._write(started(event.record))
            case RungReached():
                self.board.reach(event.number, event.rung)
                self._write(f"#{event.number} {rung(event.rung)}")
            case TrialEnded():
                self.board.end(event.record)
                self._write(f"{ended(event.record, self.board)} [{state(self.board)}]")
            case SearchEnded():
                self._write(f"search ended ({event.reason}): {tally(list(self.board.records.values()))}")

    def _write(self, line: str) -> None:
        print(line, file=self.file, flush=True)


def headline(board: Board) -> str:
    """What is searched."""
    about = board.about
    return clean(f"searching {about.space} on {about.dataset} with {about.backbone}, study {about.study}")


def started(record: Record) -> str:
    """A trial and its design."""
    return f"#{record.number} started: {title(record)}, {count(record.n_params)} params"


def rung(reached: Any) -> str:
    """A rung's result."""
    return f"epoch {reached.epoch}: {percent(reached.top1)} ± {percent(reached.standard_error)} %"


def ended(record: Record, board: Board) -> str:
    """How a trial ended."""
    if record.status == "finished" and record.top1 is not None:
        where = ", on the front" if record.number in board.front else ""
        result = f"{percent(accuracy(record))} ± {percent(error(record))} % val top-1"
        before = f", resumes #{record.resumes}" if record.resumes is not None else ""
        return f"#{record.number} finished: {result}, {duration(record.seconds)}{before}{where}"
    reason = f": {clean(record.reason)}" if record.reason else ""
    if record.status == "stopped" and record.top1 is not None:
        return f"#{record.number} stopped early at epoch {record.epoch} with {percent(accuracy(record))} %{reason}"
    return f"#{record.number} {record.status}{reason}"


def state(board: Board) -> str:
    """How far the search is."""
    parts = []
    if board.trials:
        parts.append(f"{board.done}/{board.trials} trials")
    if board.left is not None:
        parts.append(f"{duration(board.left)} left")
    if board.volume is not None:
        parts.append(f"hypervolume {board.volume:.3f}")
    return ", ".join(parts) or f"{board.done} trials"
