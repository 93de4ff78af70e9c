"""Intervals and tests against scipy, closed formulas and simulation."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats as scipy_stats

from utsearch.stats import holm, interval, paired, rank_correlation, rank_interval, spread


def test_interval_is_scipys() -> None:
    values = [0.61, 0.64, 0.66, 0.59, 0.62]
    mean, half = interval(values)
    low, high = scipy_stats.t.interval(0.95, 4, loc=np.mean(values), scale=scipy_stats.sem(values))
    assert (mean - half, mean + half) == pytest.approx((low, high))


def test_one_seed_has_no_interval_and_none_no_mean() -> None:
    assert interval([0.5]) == (0.5, math.inf)
    with pytest.raises(ValueError, match="no values"):
        interval([])


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_lies_between_the_plain_value_and_bonferroni(values: list[float]) -> None:
    adjusted = holm(values)
    assert all(p <= a <= min(1.0, len(values) * p) + 1e-12 for p, a in zip(values, adjusted, strict=True))
    assert sorted(adjusted) == [adjusted[i] for i in sorted(range(len(values)), key=lambda i: values[i])]


def test_holm_of_the_textbook() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_paired_interval_of_one_seed_is_the_normal_one_over_images() -> None:
    rng = np.random.default_rng(0)
    own, other = rng.random((1, 4000)) < 0.7, rng.random((1, 4000)) < 0.65
    result = paired(own, other)
    gain = own.astype(float)[0] - other.astype(float)[0]
    half = 1.96 * gain.std() / math.sqrt(len(gain))
    assert result.difference == pytest.approx(gain.mean())
    assert result.low == pytest.approx(gain.mean() - half, abs=0.002)
    assert result.high == pytest.approx(gain.mean() + half, abs=0.002)
    assert result.p < 0.01


def test_paired_finds_nothing_where_there_is_nothing() -> None:
    """Of designs that are equal, about one in twenty looks different at 5%: the bootstrap must not find many more."""
    rng = np.random.default_rng(1)
    found = sum(paired(*(rng.random((2, 5, 200)) < 0.6)).p < 0.05 for _ in range(60))
    assert found <= 9  # binomial(60, 0.05) exceeds 9 once in 500


def test_the_interval_is_that_of_drawing_seeds_and_images_one_by_one() -> None:
    rng = np.random.default_rng(3)
    hits = rng.random((6, 300)) < rng.random(300) + np.linspace(-0.1, 0.1, 6)[:, None]
    means = [
        hits[rng.integers(6, size=6)][:, rng.integers(300, size=300)].mean() for _ in range(4000)
    ]  # the textbook's two-way bootstrap
    assert spread(hits) == pytest.approx(np.quantile(means, [0.025, 0.975]), abs=0.006)
    assert spread(np.array([[True, True, True, False]] * 3))[1] == 1.0  # of four images, and no more than all
    with pytest.raises(ValueError, match="shape"):
        spread(np.ones((0, 5), bool))


def test_a_hundred_comparisons_may_still_be_significant() -> None:
    own, other = np.random.default_rng(0).random((2, 10, 2000)) < np.array([0.8, 0.7])[:, None, None]
    assert holm([paired(own, other).p, *[1.0] * 199])[0] < 0.05


def test_paired_needs_the_same_runs() -> None:
    with pytest.raises(ValueError, match="one shape"):
        paired(np.ones((2, 5), bool), np.ones((3, 5), bool))


def test_rank_correlation_is_of_ranks() -> None:
    assert rank_correlation([1, 2, 3, 4], [1, 4, 9, 16]) == pytest.approx(1)
    assert math.isnan(rank_correlation([1, 1], [1, 2]))


def test_interval_of_a_rank_correlation_covers() -> None:
    """Of 400 samples of 12 pairs with a known correlation, about 95% have it in their interval."""
    rng, covered = np.random.default_rng(0), 0
    true = 6 / math.pi * math.asin(0.7 / 2)  # Spearman's ρ of a normal pair with Pearson's 0.7
    for _ in range(400):
        x = rng.normal(size=12)
        y = 0.7 * x + math.sqrt(1 - 0.49) * rng.normal(size=12)
        low, high = rank_interval(rank_correlation(list(x), list(y)), 12)
        covered += low <= true <= high
    assert 0.91 <= covered / 400 <= 0.99
