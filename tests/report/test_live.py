"""The live display, recorded: on a terminal of any width, and as plain lines."""

import io
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from utsearch.report.board import Board, board
from utsearch.report.groups import About, tally
from utsearch.report.lines import Lines
from utsearch.report.live import Display, display
from utsearch.report.screen import Screen, picture
from utsearch.search import Record, RungReached, SearchEnded, TrialEnded, TrialStarted

LONG = "mha:prefix(10)@all + ffn:adapter(8, act=relu, insert=parallel, scale=0.1)@last/2"


def play(shown: Display, records: Sequence[Record]) -> None:
    """A search as its events."""
    with shown:
        for record in records:
            shown(TrialStarted(replace(record, status="running", top1=None)))
            for reached in record.rungs:
                shown(RungReached(record.number, rung(reached)))
            shown(TrialEnded(record))
        shown(SearchEnded("budget"))


def rung(values: dict[str, Any]) -> SimpleNamespace:
    """A rung as training gives it."""
    return SimpleNamespace(**{"standard_error": 0.01, **values})


@pytest.fixture
def clock() -> Callable[[], float]:
    times: Iterator[float] = iter(range(10_000))
    return lambda: float(next(times))


def screen(width: int = 100) -> Console:
    return Console(width=width, height=50, file=io.StringIO(), force_terminal=True, color_system=None)


def output(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@pytest.mark.parametrize("width", [60, 80, 120, 200])
def test_every_line_fits_and_no_number_is_cut(study: Sequence[Record], about: About, width: int) -> None:
    shown = board(about, study, trials=80)
    shown.start(replace(study[-1], number=99, design=LONG, n_params=12_345, status="running", top1=None))
    for reached in study[0].rungs:
        shown.reach(99, rung(reached))
    console = screen(width)
    console.print(picture(shown))
    lines = output(console).splitlines()
    assert max(map(len, lines)) <= width
    text = " ".join(" ".join(lines).split())
    for words in (
        "30 finished",
        "23 stopped early",
        "1 failed",
        "4 repeated",
        "hypervolume 0.",
        "0 of 80 trials",
        "#99",
    ):
        assert words in text
    assert "epoch 12: 51.2" in text


def test_best_of_each_size(record: Callable[..., Record], about: About) -> None:
    records = [
        record(0, baseline="linear", design="linear", n_params=0, top1=0.5),
        record(1, n_params=400, top1=0.55),
        record(2, n_params=600, top1=0.6),
        record(3, n_params=40_000, top1=0.58),
        record(4, n_params=50_000, status="stopped", top1=0.9),
    ]
    best = [(size, r.number) for size, r in board(about, records).best()]
    assert best == [("0", 0), ("100–1k", 2), ("10k–100k", 3)]


def test_time_left_is_the_rest_of_a_budget_of_time(about: About, clock: Callable[[], float]) -> None:
    shown = Board(about, seconds=90, clock=clock)
    assert shown.left == 89
    assert shown.share == pytest.approx(2 / 90)


def test_time_left_of_a_budget_of_trials_is_estimated_from_those_that_count(
    record: Callable[..., Record], about: About, clock: Callable[[], float]
) -> None:
    shown = Board(about, trials=4, clock=clock)
    assert shown.left is None
    for number, status in enumerate(("finished", "duplicate", "stopped", "infeasible")):
        shown.end(record(number, status=status))
    assert shown.done == 2
    assert shown.share == 0.5
    assert shown.left == pytest.approx(shown.elapsed - 1, abs=1.1)


def test_a_budget_of_time_may_have_begun_before_the_display(about: About) -> None:
    assert (board(about, seconds=90, started=time.monotonic() - 60).left or 0) < 31


def test_a_queued_trial_is_waiting_then_running_then_done(record: Callable[..., Record], about: About) -> None:
    shown = board(about, [record(0, status="waiting", top1=None, epoch=0)])
    seen = [tally(list(shown.records.values()))]
    for take, status in ((shown.start, "running"), (shown.end, "finished")):
        take(record(0, status=status))
        seen.append(tally(list(shown.records.values())))
    assert seen == ["1 trial: 1 waiting", "1 trial: 1 running", "1 trial: 1 finished"]


def test_going_on_counts_this_session_only(study: Sequence[Record], about: About) -> None:
    shown = board(about, study, trials=10)
    assert (shown.done, len(shown.records)) == (0, len(study))
    assert shown.best()


def interrupt() -> None:
    raise KeyboardInterrupt


def test_a_terminal_gets_its_cursor_back_also_after_ctrl_c(about: About) -> None:
    console = screen()
    shown = display(board(about, trials=80), console)
    assert isinstance(shown, Screen)
    with pytest.raises(KeyboardInterrupt), shown:
        interrupt()
    hidden, visible = output(console).rfind("\x1b[?25l"), output(console).rfind("\x1b[?25h")
    assert 0 <= hidden < visible


def test_a_whole_search_on_a_terminal(study: Sequence[Record], about: About) -> None:
    console = screen(80)
    play(display(board(about, trials=53), console), study)
    text = output(console)
    assert "53 of 53 trials" in text
    assert "58 trials: 30 finished" in text
    assert "★ #0 linear" in text


def test_elsewhere_every_event_is_a_line(study: Sequence[Record], about: About) -> None:
    console = Console(file=io.StringIO())
    shown = display(board(about, trials=53), console)
    assert isinstance(shown, Lines)
    play(shown, study)
    lines = output(console).splitlines()
    assert "\x1b" not in output(console)
    assert lines[0] == "searching mini on mini-birds with vit_mini, study birds"
    assert lines[1] == "#0 started: linear, 0 params"
    assert lines[2].startswith("#0 epoch 1: ")
    assert any(
        line.startswith("#0 finished: 51.2 ± 1.1 % val top-1, 31 s, on the front [1/53 trials, ") for line in lines
    )
    for words in ("stopped early at epoch", "failed: the loss became NaN", " duplicate ["):
        assert any(words in line for line in lines)
    assert lines[-1] == "search ended (budget): 58 trials: 30 finished, 23 stopped early, 1 failed, 4 repeated"


def test_lines_are_flushed_as_they_come(record: Callable[..., Record], about: About) -> None:
    raw = io.BytesIO()
    shown = Lines(board(about), io.TextIOWrapper(io.BufferedWriter(raw, 1 << 20), write_through=False))
    with shown:
        shown(TrialStarted(record(0)))
        assert b"#0 started" in raw.getvalue()


def test_names_from_data_are_not_obeyed(record: Callable[..., Record], about: About) -> None:
    shown = board(replace(about, study="[red]a\x1b[2J"), [record(0, design="[bold]b[/]\x1b]0;x\x07")])
    console = screen()
    console.print(picture(shown))
    assert "[red]a" in output(console)
    assert "[bold]b[/]" in output(console)
    assert "\x1b" not in output(console)
