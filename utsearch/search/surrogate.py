"""What a trial will reach, from what its design is and how it has begun: a Gaussian process over all trials.

Kernel: a constant, a linear part and a squared exponential (Rasmussen & Williams 2006, §4.2); its length and noise are
those of the largest marginal likelihood on a small grid, so that a fit takes milliseconds.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.linalg import solve_triangular

Array = npt.NDArray[np.float64]

LENGTHS = (1.0, 2.0, 4.0)
NOISES = (0.01, 0.03, 0.1, 0.3)  # variance, in that of the values
FIGURES = 0.5  # spread of a figure beside features of 0…1


@dataclass(frozen=True)
class Row:
    """One trial: named features, absent ones are 0, each about 0…1; and figures, equally many for all, of any scale."""

    features: Mapping[str, float]
    figures: tuple[float, ...] = ()


@dataclass(frozen=True)
class Surrogate:
    """A fitted process; made by `fit`."""

    names: tuple[str, ...]
    shift: Array
    scale: Array
    known: Array
    length: float
    noise: float
    middle: float
    spread: float
    solved: Array
    factor: npt.NDArray[Any]

    def predict(self, rows: Sequence[Row]) -> tuple[Array, Array]:
        """Mean and standard deviation of the noiseless values, (n) each."""
        asked = (_matrix(rows, self.names) - self.shift) * self.scale
        cross = _kernel(asked, self.known, self.length)
        half = _solve(self.factor, cross.T)
        variance = _diagonal(asked) - (half**2).sum(axis=0)
        mean = self.middle + self.spread * (cross @ self.solved)
        return mean, self.spread * np.sqrt(np.maximum(variance, 1e-12))

    @property
    def error(self) -> float:
        """Standard deviation of a measurement around its noiseless value."""
        return float(self.spread * np.sqrt(self.noise))


def fit(rows: Sequence[Row], values: Sequence[float], errors: Sequence[float] | None = None) -> Surrogate:
    """Fit to trials; `errors` are standard deviations of the values beyond those of all measurements.

    Raises:
        ValueError: no rows.
    """
    if not rows:
        raise ValueError("a surrogate needs trials to learn from")
    names = tuple(sorted({name for row in rows for name in row.features}))
    x, y = _matrix(rows, names), np.asarray(values, dtype=np.float64)
    shift, scale = np.zeros(x.shape[1]), np.ones(x.shape[1])
    figures = slice(len(names), None)
    shift[figures] = x[:, figures].mean(axis=0)
    scale[figures] = FIGURES / np.maximum(x[:, figures].std(axis=0), 1e-9)
    known, middle, spread = (x - shift) * scale, float(y.mean()), max(float(y.std()), 1e-6)
    centred = (y - middle) / spread
    extra = np.zeros(len(y)) if errors is None else (np.asarray(errors) / spread) ** 2
    best: tuple[float, float, float] | None = None
    for length in LENGTHS:
        kernel = _kernel(known, known, length)
        for noise in NOISES:
            likelihood = _likelihood(kernel + np.diag(noise + extra), centred)
            best = max(best or (likelihood, length, noise), (likelihood, length, noise))
    assert best is not None
    _, length, noise = best
    factor = np.linalg.cholesky(_kernel(known, known, length) + np.diag(noise + extra))
    solved = _solve(factor, _solve(factor, centred), transposed=True)
    return Surrogate(names, shift, scale, known, length, noise, middle, spread, solved, factor)


def _matrix(rows: Sequence[Row], names: Sequence[str]) -> Array:
    """Features by the order of `names`, then figures: (rows, names + figures). Designs have few of many features."""
    column = {name: i for i, name in enumerate(names)}
    out = np.zeros((len(rows), len(names) + len(rows[0].figures)))
    out[:, len(names) :] = [row.figures for row in rows]
    for i, row in enumerate(rows):
        for name, value in row.features.items():
            if name in column:
                out[i, column[name]] = value
    return out


def _solve(factor: npt.NDArray[Any], values: Array, *, transposed: bool = False) -> Array:
    """With a lower triangular factor, or its transpose."""
    out: Array = solve_triangular(factor, values, lower=True, trans=int(transposed), check_finite=False)
    return out


def _kernel(a: Array, b: Array, length: float) -> Array:
    squares = (a**2).sum(axis=1)[:, None] + (b**2).sum(axis=1)[None] - 2 * a @ b.T
    out: Array = 1 + a @ b.T / max(a.shape[1], 1) + np.exp(-np.maximum(squares, 0) / (2 * length**2))
    return out


def _diagonal(a: Array) -> Array:
    out: Array = 2 + (a**2).sum(axis=1) / max(a.shape[1], 1)
    return out


def _likelihood(covariance: Array, centred: Array) -> float:
    factor = np.linalg.cholesky(covariance)
    half = _solve(factor, centred)
    return float(-0.5 * half @ half - np.log(np.diag(factor)).sum())
