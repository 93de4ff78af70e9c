"""The front drawn in letters, and a trial in words."""

from collections.abc import Callable, Sequence

from utsearch.report.plain import BEST, KNOWN, PLAIN, STOPPED, drawing, table, trial_text
from utsearch.search import Record


def test_higher_accuracy_is_higher_and_more_parameters_further_right(record: Callable[..., Record]) -> None:
    records = [
        record(0, design="linear", baseline="linear", n_params=0, top1=0.5),
        record(1, n_params=1000, top1=0.6),
        record(2, n_params=10_000, top1=0.7),
        record(3, n_params=10_000, top1=0.55),
        record(4, n_params=3_000, top1=0.58, status="stopped", epoch=1),
    ]
    lines = drawing(records, width=60, height=20).splitlines()[:20]
    found = {mark: [(i, line.index(mark)) for i, line in enumerate(lines) if mark in line] for mark in (BEST, KNOWN)}
    (big_row, big_column), (small_row, small_column) = found[BEST]
    ((zero_row, zero_column),) = found[KNOWN]
    assert big_row < small_row < zero_row
    assert big_column > small_column > zero_column
    assert sum(PLAIN in line for line in lines) == sum(STOPPED in line for line in lines) == 1
    assert all(len(line) <= 67 for line in lines)


def test_ticks_are_sizes_and_the_probe_stands_at_zero(study: Sequence[Record]) -> None:
    axis = drawing(study).splitlines()[-3].split()
    assert axis[0] == "0"
    assert {"1k", "10k", "100k"} <= set(axis)


def test_ticks_never_run_into_each_other(record: Callable[..., Record]) -> None:
    sizes = (300, 384, 50_000)
    records = [record(0, baseline="linear", n_params=0), *(record(i, n_params=n) for i, n in enumerate(sizes, 1))]
    for width in (40, 72, 112):
        ticks = drawing(records, width).splitlines()[-3].split()
        assert ticks[0] == "0"
        assert set(ticks) <= {"0", "300", "1k", "3k", "10k", "30k"}
        assert len(ticks) >= 4


def test_nothing_to_draw_is_said() -> None:
    assert drawing([]) == "no trial has reached a rung yet: nothing to draw"


def test_a_trial_tells_rungs_cost_and_reason(record: Callable[..., Record]) -> None:
    text = trial_text(record(7, top1=0.7, status="stopped", epoch=3, reason="too far below"))
    assert "trial #7" in text
    assert "stopped: too far below" in text
    assert "70.0 ± 1.0 % at epoch 3" in text
    assert "\x1b" not in trial_text(record(1, design="a\x1b[2J"))


def test_columns_are_aligned() -> None:
    assert table(("n", "name"), [["1", "a"], ["100", "long"]], left=("name",)) == "  n  name\n  1  a\n100  long"
