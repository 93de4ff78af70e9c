"""Budgets as a user writes them."""

import pytest

from utsearch.errors import UserError
from utsearch.search import Budget


@pytest.mark.parametrize(
    ("text", "trials", "seconds"),
    [
        ("40", 40, None),
        ("90s", None, 90),
        ("30m", None, 1800),
        ("4h", None, 14400),
        ("1.5H", None, 5400),
        (" 2 ", 2, None),
    ],
)
def test_trials_or_time(text: str, trials: int | None, seconds: float | None) -> None:
    assert Budget.parse(text) == Budget(trials, seconds)


@pytest.mark.parametrize("text", ["banana", "", "0", "-3", "0s", "1.5", "10d", "4h30m", "nan", "inf", "1e9", "९"])
def test_anything_else_is_refused_with_examples(text: str) -> None:
    with pytest.raises(UserError, match=r"neither a number of trials \(40\) nor a time \(90s, 30m, 4h\)"):
        Budget.parse(text)


def test_used_up() -> None:
    assert Budget(trials=2).used_up(2, 0)
    assert not Budget(trials=2).used_up(1, 1e9)
    assert Budget(seconds=5).used_up(0, 5)
    assert not Budget(seconds=5).late(4.9)
    assert not Budget(trials=2).late(1e9)
