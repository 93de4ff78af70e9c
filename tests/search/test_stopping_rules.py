"""The rules that ours is compared with, benchmarks/stopping_rules.py, against Optuna's ranks, draws and by hand."""

import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.study._multi_objective import _fast_non_domination_rank

from utsearch.search.observed import Observed
from utsearch.search.surrogate import fit

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
from stopping_rules import EpsilonNetRule, ExpectedGainRule, NonDominatedRule, _net, layers

POINTS = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=1, max_size=25)


@given(POINTS)
def test_layers_are_optunas_ranks(points: list[tuple[int, int]]) -> None:
    ranks = _fast_non_domination_rank(np.array([(size, -value) for size, value in points], dtype=float))
    expected = [sorted(np.flatnonzero(ranks == rank).tolist()) for rank in range(ranks.max() + 1)]
    assert layers(points) == expected


@given(POINTS)
def test_each_next_point_of_a_net_is_the_farthest(points: list[tuple[int, int]]) -> None:
    """By brute force over all that are left, in units of the points' spans."""
    order = _net(points, list(range(len(points))))
    assert sorted(order) == list(range(len(points)))
    spans = np.ptp(np.array(points, dtype=float), axis=0)
    x = np.array(points) / np.where(spans == 0, 1, spans)
    for i in range(1, len(order)):
        near = [min(np.linalg.norm(x[j] - x[k]) for k in order[:i]) for j in order[i:]]
        assert near[0] == pytest.approx(max(near))


@pytest.mark.parametrize("rule", [NonDominatedRule(eta=2), EpsilonNetRule(eta=2)])
def test_the_first_share_by_layer_goes_on(rule: NonDominatedRule | EpsilonNetRule) -> None:
    others = [Observed(10.0**i, ((0.1 * i,),)) for i in range(1, 6)]  # one front
    assert rule.decide(Observed(5.0, ((0.3,),)), others).go_on, "dominates all of larger size and less value"
    assert not rule.decide(Observed(10.0**6, ((0.05,),)), others).go_on, "dominated by all"


def test_expected_gain_is_that_of_normal_draws() -> None:
    """The gain of the hypervolume by 20,000 draws of the forecast; the rule stops just above that share of it."""
    others = [Observed(10.0**i, ((0.1 * i + 0.01 * (i % 3),),), final=0.1 * i, number=i) for i in range(1, 7)]
    own = Observed(3_000.0, ((0.33,),))
    fitted = fit([o.row(1) for o in others], [o.final or 0.0 for o in others])
    (mean,), (spread,) = fitted.predict([own.row(1)])
    draws = np.random.default_rng(0).normal(mean, np.hypot(spread, fitted.error), 20_000)
    sizes = np.log10([o.size + 1 for o in others])
    finals = np.array([o.final or 0.0 for o in others])

    def volume(x: float, y: float) -> float:
        edges = np.sort([*sizes, x])
        best = [max([0.1, *finals[sizes <= left], *([y] if x <= left else [])]) - 0.1 for left in edges[:-1]]
        return float(np.diff(edges) @ best)

    own_size, before = float(np.log10(3_001)), volume(float(sizes[0]), 0.1)
    share = np.mean([volume(own_size, y) - before for y in draws]) / before
    assert ExpectedGainRule(share=0.95 * share, grace=3).decide(own, others).go_on
    assert not ExpectedGainRule(share=1.05 * share, grace=3).decide(own, others).go_on
    assert ExpectedGainRule(share=1.0, grace=7).decide(own, others).go_on, "six have finished"
