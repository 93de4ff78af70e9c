import doctest

import pytest

from utsearch.report import units


def test_examples_run() -> None:
    assert doctest.testmod(units).failed == 0


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "0.0 s"), (9.96, "10 s"), (59.6, "1 min 00 s"), (3599.7, "1 h 00 min"), (-3, "0.0 s"), (float("inf"), "?")],
)
def test_durations_at_their_edges(seconds: float, words: str) -> None:
    assert units.duration(seconds) == words


@pytest.mark.parametrize(("n", "words"), [(999, "999"), (9_960, "10k"), (999_999, "1M"), (1_000_000, "1M")])
def test_short_counts_at_their_edges(n: int, words: str) -> None:
    assert units.short_count(n) == words
