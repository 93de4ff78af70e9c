"""Ridge regression whose penalty and error come from leaving one out."""

from collections.abc import Sequence

import numpy as np

PENALTIES = (0.3, 1.0, 3.0, 10.0, 30.0, 100.0)  # on standardised figures


def ridge(known: Sequence[Sequence[float]], values: Sequence[float], asked: Sequence[float]) -> tuple[float, float]:
    """The forecast for one row of figures, and the root mean square of the leave-one-out errors.

    All leave-one-out residuals come from one decomposition: r / (1 − h), with h the leverage (Allen 1974).

    Args:
        known: rows of figures, (n, k).
        values: what each row came to, (n).
        asked: the row to forecast, (k).
    """
    x, y = np.asarray(known, dtype=np.float64), np.asarray(values, dtype=np.float64)
    middle, spread = x.mean(axis=0), x.std(axis=0) + 1e-9
    u, s, vt = np.linalg.svd((x - middle) / spread, full_matrices=False)
    centred, best = y - y.mean(), (np.inf, PENALTIES[0])
    for penalty in PENALTIES:
        shrink = s**2 / (s**2 + penalty)
        leverage = (u**2) @ shrink + 1 / len(y)
        residuals = (centred - u @ (shrink * (u.T @ centred))) / np.maximum(1 - leverage, 1e-9)
        best = min(best, (float(np.sqrt(np.mean(residuals**2))), penalty))
    error, penalty = best
    weights = vt.T @ (s / (s**2 + penalty) * (u.T @ centred))
    return float(y.mean() + (np.asarray(asked) - middle) / spread @ weights), error
