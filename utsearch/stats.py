"""Intervals and tests for accuracies over seeds and images."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Hits = npt.NDArray[np.bool_]  # (seeds, images): which test images a run of each seed classified right
RESAMPLES = 50_000  # the smallest p-value, 1 in so many, has to survive Holm's correction over hundreds of comparisons


@dataclass(frozen=True)
class Paired:
    """How two designs differ on the same seeds and images: mean, 95% interval and two-sided p-value of the mean."""

    difference: float
    low: float
    high: float
    p: float


def interval(values: Sequence[float]) -> tuple[float, float]:
    """Mean and half the 95% interval by Student's t over seeds; of a single value the half is infinite.

    Raises:
        ValueError: no values.
    """
    if not values:
        raise ValueError("no values have no mean")
    if len(values) == 1:
        return values[0], math.inf
    from scipy.stats import t  # here, so that the command line answers at once

    spread = statistics.stdev(values) / math.sqrt(len(values))
    return statistics.mean(values), float(t.ppf(0.975, len(values) - 1)) * spread


def paired(own: Hits, other: Hits, *, seed: int = 0) -> Paired:
    """Compare two designs by a bootstrap over seeds and images, both drawn with replacement (Efron & Tibshirani 1993).

    The p-value is twice the smaller share of the resampled means on either side of zero, at least 1 / resamples.

    Raises:
        ValueError: the two were not measured on the same seeds and images.
    """
    if own.shape != other.shape or own.ndim != 2 or 0 in own.shape:
        raise ValueError(f"paired results need one shape (seeds, images), got {own.shape} and {other.shape}")
    gain = own.astype(np.float64) - other.astype(np.float64)
    means = _resampled(gain, seed)
    low, high = np.quantile(means, [0.025, 0.975])
    sides = min(float(np.less_equal(means, 0).mean()), float(np.greater_equal(means, 0).mean()))
    return Paired(float(gain.mean()), float(low), float(high), min(1.0, max(2 * sides, 1 / RESAMPLES)))


def spread(hits: Hits, *, seed: int = 0) -> tuple[float, float]:
    """The 95% interval of a mean accuracy by a bootstrap over seeds and images, both drawn with replacement.

    Raises:
        ValueError: no seeds or no images.
    """
    if hits.ndim != 2 or 0 in hits.shape:
        raise ValueError(f"an interval takes results of shape (seeds, images), got {hits.shape}")
    low, high = np.quantile(_resampled(hits.astype(np.float64), seed), [0.025, 0.975])
    return max(0.0, float(low)), min(1.0, float(high))


def _resampled(values: npt.NDArray[np.float64], seed: int) -> npt.NDArray[np.float64]:
    """Means of `RESAMPLES` samples of rows and columns, (resamples,).

    Rows are drawn. The mean over drawn columns is normal in the limit of many, with the columns' own covariance: it is
    drawn as such, which for 2,000 images takes a thousandth of the time.
    """
    n_seeds, n_images = values.shape
    rng = np.random.default_rng(seed)
    weights = rng.multinomial(n_seeds, np.full(n_seeds, 1 / n_seeds), size=RESAMPLES) / n_seeds  # (resamples, seeds)
    covariance = np.atleast_2d(np.cov(values, ddof=0)) / n_images
    deviations = np.sqrt(np.maximum(((weights @ covariance) * weights).sum(axis=1), 0.0))
    return weights @ values.mean(axis=1) + deviations * rng.standard_normal(RESAMPLES)


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted p-values, so that all comparisons together are wrong with the stated probability (Holm 1979)."""
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    adjusted, running = [0.0] * len(p_values), 0.0
    for rank, i in enumerate(order):
        running = max(running, min(1.0, (len(p_values) - rank) * p_values[i]))
        adjusted[i] = running
    return adjusted


def rank_correlation(x: Sequence[float], y: Sequence[float]) -> float:
    """Spearman's ρ; not a number for fewer than two values or constant ones."""
    if len(x) < 2 or len(set(x)) == 1 or len(set(y)) == 1:
        return math.nan
    from scipy.stats import spearmanr

    return float(spearmanr(x, y).statistic)


def rank_interval(rho: float, n: int) -> tuple[float, float]:
    """The 95% interval of Spearman's ρ of n pairs by Fisher's transformation, standard error √(1.06/(n − 3)).

    Source: Fieller, Hartley & Pearson 1957.

    Raises:
        ValueError: fewer than four pairs.
    """
    if n < 4:
        raise ValueError(f"an interval of a rank correlation takes four pairs or more, got {n}")
    middle, half = math.atanh(max(-1 + 1e-12, min(1 - 1e-12, rho))), 1.96 * math.sqrt(1.06 / (n - 3))
    return math.tanh(middle - half), math.tanh(middle + half)
