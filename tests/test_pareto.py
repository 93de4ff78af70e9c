"""Fronts and hypervolume against brute force and Optuna's own."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna._hypervolume import compute_hypervolume

from utsearch.pareto import Scale, front, hypervolume, knee

SCALE = Scale(p0=100, p_max=100_000, floor=0.4)
POINTS = st.lists(st.tuples(st.integers(0, 200_000), st.floats(0, 1)), min_size=1, max_size=30)


def dominates(a: tuple[float, float], b: tuple[float, float]) -> bool:
    return a[0] <= b[0] and a[1] >= b[1] and a != b


@given(POINTS)
def test_front_is_what_nothing_dominates(points: list[tuple[float, float]]) -> None:
    chosen = [points[i] for i in front(points)]
    assert set(chosen) == {p for p in points if not any(dominates(q, p) for q in points)}
    assert len(set(chosen)) == len(chosen)
    assert chosen == sorted(chosen)


@given(POINTS)
def test_hypervolume_equals_optunas(points: list[tuple[float, float]]) -> None:
    losses = [(x, 1 - y) for x, y in map(SCALE.normalise, points) if x < 1 and y > 0]
    expected = compute_hypervolume(np.array(losses), np.ones(2)) if losses else 0.0
    assert hypervolume(points, SCALE) == pytest.approx(expected, abs=1e-12)


@given(POINTS, st.tuples(st.integers(0, 200_000), st.floats(0, 1)))
def test_hypervolume_never_falls_with_another_point(
    points: list[tuple[float, float]], other: tuple[float, float]
) -> None:
    assert hypervolume([*points, other], SCALE) >= hypervolume(points, SCALE) - 1e-12


def test_hypervolume_by_hand() -> None:
    """A design of 1,000 parameters, a third of three decades, at half the gain dominates 2/3 · 1/2 of the box."""
    assert hypervolume([(1000, 0.7)], SCALE) == pytest.approx(1 / 3)
    assert hypervolume([(0, 1.0)], SCALE) == 1
    assert hypervolume([(1000, 0.3), (10**6, 1.0)], SCALE) == 0
    assert hypervolume([], SCALE) == 0


def test_knee_is_the_bend() -> None:
    assert knee([(100, 0.50), (1000, 0.80), (10_000, 0.82), (100_000, 0.83)]) == 1
    assert knee([(5, 0.5)]) == 0
    with pytest.raises(ValueError, match="no knee"):
        knee([])


def test_scale_round_trip_and_bounds() -> None:
    assert Scale.from_dict(SCALE.to_dict()) == SCALE
    for bad in ((0, 10, 0.5), (10, 10, 0.5), (1, 10, 1.0), (1, 10, -0.1)):
        with pytest.raises(ValueError, match="a scale needs"):
            Scale(*bad)
    assert math.isclose(SCALE.normalise((100_000, 1.0))[0], 1)
