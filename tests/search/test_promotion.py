"""Stopped trials that go on: which, once, with what they had, and counted once."""

import threading
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import optuna
import pytest
from fake_problem import EPOCHS, FakeProblem, fake_space, run_fake

from utsearch.report.groups import drawn
from utsearch.report.plain import trial_text
from utsearch.report.traces import hover
from utsearch.search import Budget, Study, prepare, search
from utsearch.search.doctor import check_study
from utsearch.search.observed import Observed, observed
from utsearch.search.promotion import promote
from utsearch.search.queue import TIME_UP
from utsearch.search.record import Record, latest, record_of
from utsearch.search.stopping import Decision


@dataclass(frozen=True)
class Lenient:
    """Stops every trial at its first rung until so many are known, and none after that."""

    until: int = 8

    def decide(self, own: Observed, others: Any) -> Decision:
        return Decision(len(others) >= self.until, 0.01 * own.size, "too early to tell")


@pytest.fixture(scope="module")
def grown(tmp_path_factory: pytest.TempPathFactory) -> tuple[FakeProblem, Study]:
    """Trials stopped at first, then promoted."""
    problem = FakeProblem()
    return problem, run_fake(problem, tmp_path_factory.mktemp("grown"), "14", rule=Lenient(), sampler="random")


def chains(records: list[Record]) -> list[tuple[Record, Record]]:
    by_number = {record.number: record for record in records}
    return [(by_number[r.resumes], r) for r in records if r.resumes is not None]


def test_stopped_trials_go_on_when_the_rule_would_let_them(grown: tuple[FakeProblem, Study]) -> None:
    problem, study = grown
    pairs = [(old, new) for old, new in chains(study.records()) if new.status == "finished"]
    assert pairs
    for old, new in pairs:
        assert (old.status, old.digest, old.seed, len(old.rungs)) == ("stopped", new.digest, new.seed, 1)
        assert [r["epoch"] for r in new.rungs] == list(EPOCHS)
        assert new.rungs[0] == {"trial": old.number, **old.rungs[0]}
    assert max(Counter(problem.epochs).values()) == 1  # no epoch of a design was trained twice


def test_each_is_resumed_once_and_its_budget_counts_once(grown: tuple[FakeProblem, Study]) -> None:
    records = grown[1].records()
    assert max(Counter(new.resumes for _, new in chains(records)).values()) == 1
    assert sum(r.status in ("finished", "stopped") and r.resumes is None for r in records) == 14


def test_seconds_are_its_own_and_those_before_apart(grown: tuple[FakeProblem, Study]) -> None:
    old, new = next((old, new) for old, new in chains(grown[1].records()) if new.status == "finished")
    assert new.seconds_before == pytest.approx(old.seconds) == pytest.approx(0.1)
    assert new.seconds == pytest.approx(0.1 * (EPOCHS[-1] - EPOCHS[0]))
    assert f"resumes    trial #{old.number}" in trial_text(new)
    assert f"resumes trial {old.number}" in hover(new, False)
    assert old not in drawn([old, new])
    assert drawn([old, new]) == [new]


def test_nothing_is_counted_twice(grown: tuple[FakeProblem, Study]) -> None:
    records = grown[1].records()
    digests = Counter(r.digest for r in latest(records) if r.status in ("finished", "stopped"))
    assert max(digests.values()) == 1
    assert max(Counter(r.digest for r in records if r.status == "finished").values()) == 1
    assert "twice" not in " ".join(finding.what for finding in check_study(grown[1]))


def test_a_rule_never_sees_a_trial_beside_the_one_it_goes_on_with(tmp_path: Path) -> None:
    seen: list[list[int]] = []

    @dataclass(frozen=True)
    class Spy(Lenient):
        def decide(self, own: Observed, others: Any) -> Decision:
            seen.append([own.number, *(o.number for o in others)])
            return super().decide(own, others)

    study = run_fake(FakeProblem(), tmp_path, "14", rule=Spy(), sampler="random")
    pairs = [(old.number, new.number) for old, new in chains(study.records())]
    assert pairs
    assert not [numbers for numbers in seen for old, new in pairs if old in numbers and new in numbers]


def test_off_with_no_rule(tmp_path: Path) -> None:
    run_fake(FakeProblem(), tmp_path, "6", rule=Lenient(100), sampler="random")
    study = run_fake(FakeProblem(), tmp_path, "6", rule=None, sampler="random")
    assert not chains(study.records())


@pytest.mark.parametrize("rule", [None, Lenient(0)])
def test_what_a_deadline_cut_off_goes_on(tmp_path: Path, rule: Any) -> None:
    """Baselines and new designs, with and without a rule, and no epoch is trained twice."""
    problem = FakeProblem()
    run_fake(problem, tmp_path, "4", rule=rule, sampler="random")
    study = _cut_off(problem, tmp_path, rule)
    (cut,) = (r for r in study.records() if r.reason == TIME_UP)
    study = run_fake(problem, tmp_path, "2", rule=rule, sampler="random")
    ((old, new),) = chains(study.records())
    assert (old.number, new.status, len(new.rungs)) == (cut.number, "finished", len(EPOCHS))
    assert max(Counter(problem.epochs).values()) == 1


def _cut_off(problem: FakeProblem, folder: Path, rule: Any) -> Study:
    """A session whose time is up at the first rung of its first trial."""
    problem.rung_seconds = 0.3
    study = run_fake(problem, folder, "0.25s", rule=rule, sampler="random")
    problem.rung_seconds = 0.0
    return study


def test_a_baseline_that_was_cut_off_goes_on(tmp_path: Path) -> None:
    problem = FakeProblem()
    _cut_off(problem, tmp_path, None)
    records = run_fake(problem, tmp_path, "4").records()
    ((old, new),) = chains(records)
    assert (old.baseline, old.reason, new.baseline, new.status) == ("linear", TIME_UP, "linear", "finished")
    assert Counter(problem.epochs)["linear", EPOCHS[0]] == 1


def test_a_lost_checkpoint_is_told_and_trained_from_the_start(tmp_path: Path) -> None:
    problem = FakeProblem()
    _cut_off(problem, tmp_path, None)
    for path in tmp_path.glob("fake/*.resume.safetensors"):
        path.unlink()
    ((_, new),) = chains(run_fake(problem, tmp_path, "4").records())
    assert [("trial" in rung, rung["epoch"]) for rung in new.rungs] == [(False, epoch) for epoch in EPOCHS]
    assert "trained from the start" in trial_text(new)


def test_two_workers_queue_the_same_and_one_trains_it(tmp_path: Path) -> None:
    problem = FakeProblem()
    study = run_fake(problem, tmp_path, "7", rule=Lenient(100), sampler="random")
    stopped = next(r for r in study.records() if r.status == "stopped")
    for _ in range(2):  # as if both had looked before either queued it
        kept = study.optuna.trials[stopped.number]
        study.optuna.enqueue_trial(kept.params, user_attrs={"given": stopped.design, "resumes": stopped.number})
    space = fake_space(tmp_path)
    problem.rung_seconds = 0.05
    threads = [
        threading.Thread(
            target=search,
            args=(problem, space, prepare(problem, space, "fake", studies_dir=tmp_path), Budget(trials=1)),
            kwargs={"rule": None, "sampler": "random", "stream": stream},
        )
        for stream in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    ended = [r.status for r in study.records() if r.resumes == stopped.number]
    assert sorted(ended) == ["duplicate", "finished"]
    assert max(Counter(problem.epochs).values()) == 1


def test_one_that_is_given_back_still_goes_on(tmp_path: Path) -> None:
    problem = FakeProblem()
    study = run_fake(problem, tmp_path, "7", rule=Lenient(100), sampler="random")
    old = promote(study.optuna, Lenient(0), 0, lambda t: observed(record_of(t), problem.depth))
    assert old is not None
    assert promote(study.optuna, Lenient(0), 0, lambda t: observed(record_of(t), problem.depth)) is None  # one waits
    problem.interrupting.add(study.records()[old].design)
    with pytest.raises(KeyboardInterrupt):
        run_fake(problem, tmp_path, "1", rule=None, sampler="random")
    records = run_fake(problem, tmp_path, "1", rule=None, sampler="random").records()
    assert [r.status for r in records if r.resumes == old] == ["failed", "finished"]


def test_another_seed_is_another_training(tmp_path: Path) -> None:
    study = run_fake(FakeProblem(), tmp_path, "7", rule=Lenient(100), sampler="random")
    assert promote(study.optuna, Lenient(0), 1, lambda t: observed(record_of(t), 8)) is None


def test_the_chain_counts_from_its_end() -> None:
    study = optuna.create_study(directions=("minimize", "maximize"))
    blank = record_of(study.ask()._cached_frozen_trial)
    rungs = ({"index": 0, "epoch": 1, "top1": 0.5},)
    first = replace(blank, number=0, status="stopped", rungs=rungs)
    second = replace(blank, number=1, status="stopped", rungs=rungs * 2, resumes=0)
    third = replace(blank, number=2, status="finished", rungs=rungs * 3, resumes=1)
    failed = replace(third, status="failed")
    assert [r.number for r in latest([first, second, third])] == [2]
    assert [r.number for r in latest([first, second, failed])] == [1, 2]


def test_in_a_large_study_not_every_call_looks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With four for many, a study of 12 to 15 trials is looked through at every fourth of them."""
    looked: list[int] = []

    @dataclass(frozen=True)
    class Strict:
        def decide(self, own: Observed, others: Any) -> Decision:
            looked.append(len(study.optuna.trials))
            return Decision(False, 0.1, "never")

    monkeypatch.setattr("utsearch.search.promotion.MANY", 4)
    problem = FakeProblem()
    study = run_fake(problem, tmp_path, "5", rule=Lenient(until=99), sampler="random")
    assert "stopped" in {r.status for r in study.records()}
    looked.clear()
    while len(study.optuna.trials) < 16:
        promote(study.optuna, Strict(), 0, lambda t: observed(record_of(t), problem.depth))
        study.optuna.add_trial(optuna.trial.create_trial(state=optuna.trial.TrialState.FAIL))
    assert {n for n in looked if n >= 12} == {12}
