"""The Gaussian process against the textbook's formulas, written out with explicit inverses and scipy's density."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import multivariate_normal

from utsearch.search.surrogate import LENGTHS, NOISES, Row, fit

RNG = np.random.default_rng(0)
ROWS = [Row({"a": float(a), "b": float(b)}) for a, b in RNG.random((25, 2))]
VALUES = [0.5 + 0.2 * row.features["a"] - 0.1 * row.features["b"] ** 2 + float(RNG.normal(0, 0.01)) for row in ROWS]
ASKED = [Row({"a": 0.3, "b": 0.9}), Row({"b": 0.5}), Row({"a": 2.0, "b": -1.0})]


def kernel(x: np.ndarray, y: np.ndarray, length: float) -> np.ndarray:
    squares = np.array([[np.sum((p - q) ** 2) for q in y] for p in x])
    return 1 + x @ y.T / x.shape[1] + np.exp(-squares / (2 * length**2))


def matrix(rows: list[Row]) -> np.ndarray:
    return np.array([[row.features.get("a", 0.0), row.features.get("b", 0.0)] for row in rows])


def test_mean_and_spread_are_the_textbooks_at_the_likeliest_hyperparameters() -> None:
    x, y = matrix(ROWS), np.array(VALUES)
    z = (y - y.mean()) / y.std()
    grid = [(length, noise) for length in LENGTHS for noise in NOISES]
    covariances = {g: kernel(x, x, g[0]) + g[1] * np.eye(len(x)) for g in grid}
    length, noise = max(grid, key=lambda g: multivariate_normal(np.zeros(len(x)), covariances[g]).logpdf(z))
    inverse = np.linalg.inv(covariances[length, noise])
    asked = matrix(ASKED)
    cross = kernel(asked, x, length)
    mean = y.mean() + y.std() * cross @ inverse @ z
    variance = np.diag(kernel(asked, asked, length) - cross @ inverse @ cross.T)

    fitted = fit(ROWS, VALUES)
    found, spread = fitted.predict(ASKED)
    assert (fitted.length, fitted.noise) == (length, noise)
    assert found == pytest.approx(mean, rel=1e-8)
    assert spread == pytest.approx(y.std() * np.sqrt(variance), rel=1e-6)
    assert fitted.error == pytest.approx(y.std() * np.sqrt(noise))


def test_what_is_uncertain_counts_less() -> None:
    """One value far off: believed without an error of its own, passed over with a large one."""
    off = [*VALUES[:-1], VALUES[-1] + 1.0]
    here = [ROWS[-1]]
    (believed,), _ = fit(ROWS, off).predict(here)
    (doubted,), _ = fit(ROWS, off, [0.0] * 24 + [10.0]).predict(here)
    assert abs(doubted - VALUES[-1]) < 0.1 < believed - VALUES[-1]


@settings(max_examples=30, deadline=None)
@given(st.floats(0.01, 1000), st.floats(-5, 5))
def test_figures_may_have_any_scale(scale: float, shift: float) -> None:
    """Losses and parameters are standardised: another unit changes no forecast."""
    plain = [Row(row.features, (v,)) for row, v in zip(ROWS, VALUES, strict=True)]
    other = [Row(row.features, (scale * v + shift,)) for row, v in zip(ROWS, VALUES, strict=True)]
    first, _ = fit(plain, VALUES).predict([Row({"a": 0.5}, (0.6,))])
    second, _ = fit(other, VALUES).predict([Row({"a": 0.5}, (scale * 0.6 + shift,))])
    assert first == pytest.approx(second, abs=1e-4)


def test_no_trials_are_refused() -> None:
    with pytest.raises(ValueError, match="needs trials"):
        fit([], [])


def test_equal_values_are_forecast_as_they_are() -> None:
    mean, spread = fit(ROWS, [0.5] * len(ROWS)).predict(ASKED)
    assert mean == pytest.approx([0.5] * 3)
    assert (spread < 1e-4).all()
