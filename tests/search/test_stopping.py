"""The rules of early stopping as functions of plain data, and for a study of anybody's."""

import math
from pathlib import Path

import numpy as np
import optuna
import pytest
from fake_problem import FakeProblem, run_fake
from hypothesis import given
from hypothesis import strategies as st

from utsearch.errors import UserError
from utsearch.pareto import front
from utsearch.search.observed import Observed
from utsearch.search.pruner import FrontPruner
from utsearch.search.samplers import AUTO
from utsearch.search.stopping import RULES, Brackets, ForecastRule, RegretRule, make_rule, regret

RULE = RegretRule(eta=3, grace=3)
POINTS = [(1000, 0.60), (2000, 0.70), (4000, 0.72), (8000, 0.74), (16000, 0.75), (500, 0.55)]


def at_rung(size: float, value: float) -> Observed:
    return Observed(size, ((value,),), error=0.01)


PEERS = [at_rung(*point) for point in POINTS]


def test_regret_is_against_designs_of_at_most_its_size() -> None:
    assert regret((2000, 0.65), POINTS) == pytest.approx(0.05)
    assert regret((400, 0.10), POINTS) == 0
    assert regret((16000, 0.80), POINTS) == 0


def test_the_front_goes_on_whatever_its_accuracy() -> None:
    assert RULE.decide(at_rung(400, 0.10), PEERS).go_on


def test_the_noise_of_the_front_goes_on() -> None:
    assert RULE.decide(at_rung(2000, 0.695), PEERS).go_on


def test_the_hopeless_stop_and_say_why() -> None:
    decision = RULE.decide(at_rung(9000, 0.50), [*PEERS, at_rung(9000, 0.60), at_rung(9000, 0.55)])
    assert not decision.go_on
    assert decision.regret == pytest.approx(0.24)
    assert "24.0 points below" in decision.reason


def test_first_at_a_rung_go_on() -> None:
    assert RULE.decide(at_rung(9000, 0.1), PEERS[:2]).go_on


@given(
    st.tuples(st.integers(0, 10**6), st.floats(0, 1)),
    st.lists(st.tuples(st.integers(0, 10**6), st.floats(0, 1)), max_size=30),
)
def test_better_accuracy_never_turns_going_on_into_stopping(
    own: tuple[int, float], others: list[tuple[int, float]]
) -> None:
    better = (own[0], min(1.0, own[1] + 0.1))
    seen = [at_rung(*other) for other in others]
    if RULE.decide(at_rung(*own), seen).go_on:
        assert RULE.decide(at_rung(*better), seen).go_on


def slow_starter(size: float, seed: int, quality: float | None = None) -> Observed:
    """Large designs begin low and end high; what tells is the loss."""
    rng = np.random.default_rng(seed)
    end = 0.3 + 0.1 * math.log10(size) + (rng.normal(0, 0.05) if quality is None else quality)
    start = 0.6 - 0.05 * math.log10(size) + rng.normal(0, 0.02)
    return Observed(size, ((start, 2 - 2 * end + rng.normal(0, 0.01)),), end, number=seed)


STARTERS = [slow_starter(10 ** (2 + seed % 30 / 10), seed) for seed in range(30)]


def test_a_forecast_forgives_a_slow_start() -> None:
    """A large design that will be the best is below all smaller ones at the rung: the regret rule stops it."""
    promising = Observed(50_000, slow_starter(50_000, 77, quality=0.15).curve)
    assert not RegretRule().decide(promising, STARTERS).go_on
    assert ForecastRule().decide(promising, STARTERS).go_on


def test_a_forecast_stops_what_will_end_below_the_front() -> None:
    hopeless = Observed(50_000, slow_starter(50_000, 77, quality=-0.15).curve)
    decision = ForecastRule().decide(hopeless, STARTERS)
    assert not decision.go_on
    assert decision.regret > 0
    assert "a design of at most its size has" in decision.reason


def test_a_forecast_needs_finished_trials() -> None:
    hopeless = Observed(50_000, ((0.1, 3.0),))
    unfinished = [Observed(o.size, o.curve) for o in STARTERS]
    assert ForecastRule(grace=10).decide(hopeless, STARTERS[:9]).go_on
    assert ForecastRule(grace=10).decide(hopeless, unfinished).go_on
    assert ForecastRule().decide(Observed(1, ((0.1, 3.0),)), STARTERS).go_on, "none is smaller"


def test_brackets_judge_later_by_trial_number() -> None:
    hopeless = slow_starter(50_000, 77, quality=-0.15).curve * 2
    judged = {
        (number, rungs): Brackets(2).decide(Observed(50_000, hopeless[:rungs], number=number), STARTERS).go_on
        for number in (0, 1)
        for rungs in (1,)
    }
    assert judged == {(0, 1): False, (1, 1): True}


@pytest.mark.parametrize("name", RULES)
def test_rules_have_names(name: str) -> None:
    rule = make_rule(name)
    assert (rule is None) == (name == "none")


def test_an_unknown_rule_is_named() -> None:
    with pytest.raises(UserError, match="no rule of early stopping 'forcast'; did you mean forecast"):
        make_rule("forcast")


@pytest.mark.parametrize("sign", [1, -1])
def test_any_study_of_two_objectives_can_use_it(sign: int) -> None:
    """Optuna's own report and should_prune raise here; both directions of the measured objective work."""
    directions = ["minimize", "maximize" if sign > 0 else "minimize"]
    study = optuna.create_study(directions=directions, sampler=optuna.samplers.RandomSampler(seed=0))
    pruner, trained = FrontPruner(), []

    def objective(trial: optuna.Trial) -> tuple[float, float]:
        size, bonus = trial.suggest_int("size", 1, 1000), trial.suggest_float("bonus", -0.2, 0.2)
        for epoch in (1, 2, 4):
            value = (0.3 + 0.1 * math.log10(size) + bonus) * (1 - math.exp(-epoch))
            trained.append(epoch)
            if epoch < 4 and pruner.should_stop(trial, size=size, value=sign * value):
                break
        return size, sign * value

    study.optimize(objective, n_trials=80)
    stopped = [t for t in study.trials if "front_pruner/stopped" in t.user_attrs]
    assert 20 < len(stopped) < 70
    assert {t.number for t in stopped}.isdisjoint(t.number for t in study.best_trials)
    truth = [(t.params["size"], 0.3 + 0.1 * math.log10(t.params["size"]) + t.params["bonus"]) for t in study.trials]
    assert {t.number for t in study.best_trials} == set(front(truth)), "nothing of the true front was lost"


def test_one_objective_is_refused() -> None:
    study = optuna.create_study()
    with pytest.raises(ValueError, match="two objectives"):
        FrontPruner().should_stop(study.ask(), size=1, value=1)


@pytest.mark.parametrize("name", RULES)
def test_a_study_remembers_its_rule(tmp_path: Path, name: str) -> None:
    """Workers that join read it there."""
    study = run_fake(FakeProblem(), tmp_path, "1", rule=make_rule(name), sampler="auto")
    assert study.sessions[0]["pruner"] == name
    assert study.sessions[0]["sampler"] == AUTO
