"""The limit on latency: read, measured before training, kept as a constraint, and learnt by the sampler."""

from pathlib import Path

import optuna
import pytest
from fake_problem import FakeProblem, fake_space, run_fake

from utsearch.errors import UserError
from utsearch.search import Budget, LatencyLimit, search, unstored
from utsearch.search.ehvi import GRACE


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fake run saves to the working folder where the study has none."""
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(("text", "share"), [("12ms", 1.5), (" 24ms ", 0.75), ("1.2x", 1.25), ("3X", 0.5)])
def test_a_limit_is_a_time_or_a_factor(text: str, share: float) -> None:
    cost = {"latency": 0.018, "latency_times": 1.5}
    assert LatencyLimit.parse(text).share(cost) == pytest.approx(share)


@pytest.mark.parametrize("text", ["", "12", "0ms", "0x", "-1ms", "12 s", "x", "1e3ms", "nanx", "١٢ms"])
def test_what_is_no_limit_is_one_line(text: str) -> None:
    with pytest.raises(UserError, match=r"--max-latency .* is neither") as caught:
        LatencyLimit.parse(text)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("sampler", ["random", "tpe", "ehvi"])
def test_slow_designs_are_measured_refused_and_a_violated_constraint(tmp_path: Path, sampler: str) -> None:
    problem = FakeProblem()
    study = run_fake(problem, tmp_path, "15", sampler=sampler, max_latency=LatencyLimit.parse("15ms"))
    records = study.records()
    trained = [r for r in records if r.status in ("finished", "stopped")]
    assert len(trained) == 15
    assert all(r.cost["latency"] <= 0.015 for r in trained)
    refused = [r for r in records if r.status == "infeasible"]
    assert refused
    assert all(r.cost["latency"] > 0.015 and "more than 15ms" in str(r.reason) for r in refused)
    assert not {r.design for r in refused} & set(problem.started)
    slow = [t for t in study.optuna.trials if t.number in {r.number for r in refused}]
    assert all(t.state is optuna.trial.TrialState.PRUNED and max(t.constraints.values()) > 0 for t in slow)
    assert study.sessions[-1]["max_latency"] == "15ms"


def test_the_sampler_learns_what_is_slow(tmp_path: Path) -> None:
    """At 1.5 times the bare network a third of random designs is too slow; once it has learnt, few are."""
    study = unstored(FakeProblem(), fake_space(tmp_path))
    limit = LatencyLimit.parse("1.5x")
    search(FakeProblem(), fake_space(tmp_path), study, Budget(trials=30), max_latency=limit, rule=None)
    records = [r for r in study.records() if r.baseline is None]
    done = [r.number for r in records if r.status == "finished"]
    taught = done[GRACE + 2]
    early = [r.status == "infeasible" for r in records if r.number <= taught]
    late = [r.status == "infeasible" for r in records if r.number > taught]
    assert sum(late) / len(late) < 0.5 * sum(early) / len(early)
