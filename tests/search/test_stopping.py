"""The regret rule as a function of plain data."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from utsearch.search.stopping import RegretRule, regret

RULE = RegretRule(eta=3, grace=3)
PEERS = [(1000, 0.60), (2000, 0.70), (4000, 0.72), (8000, 0.74), (16000, 0.75), (500, 0.55)]


def test_regret_is_against_designs_of_at_most_its_size() -> None:
    assert regret((2000, 0.65), PEERS) == pytest.approx(0.05)
    assert regret((400, 0.10), PEERS) == 0
    assert regret((16000, 0.80), PEERS) == 0


def test_the_front_goes_on_whatever_its_accuracy() -> None:
    assert RULE.decide((400, 0.10), 0.01, PEERS).go_on


def test_the_noise_of_the_front_goes_on() -> None:
    assert RULE.decide((2000, 0.695), 0.01, PEERS).go_on


def test_the_hopeless_stop_and_say_why() -> None:
    decision = RULE.decide((9000, 0.50), 0.01, [*PEERS, (9000, 0.60), (9000, 0.55)])
    assert not decision.go_on
    assert decision.regret == pytest.approx(0.24)
    assert "24.0 points below" in decision.reason


def test_first_at_a_rung_go_on() -> None:
    assert RULE.decide((9000, 0.1), 0.01, PEERS[:2]).go_on


@given(
    st.tuples(st.integers(0, 10**6), st.floats(0, 1)),
    st.lists(st.tuples(st.integers(0, 10**6), st.floats(0, 1)), max_size=30),
)
def test_better_accuracy_never_turns_going_on_into_stopping(
    own: tuple[int, float], others: list[tuple[int, float]]
) -> None:
    better = (own[0], min(1.0, own[1] + 0.1))
    if RULE.decide(own, 0.01, others).go_on:
        assert RULE.decide(better, 0.01, others).go_on
