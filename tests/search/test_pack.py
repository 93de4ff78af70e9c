"""Several trials in training at once in one process: the same designs and results, each with an end of its own."""

import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from fake_problem import FakeProblem, FakeRun, fake_space, run_fake
from optuna.trial import TrialState

from utsearch.design import Design
from utsearch.errors import UserError
from utsearch.search import Budget, RungReached, SearchEnded, Study, StudyError, TrialStarted, prepare, search
from utsearch.search.patient import Storage
from utsearch.search.stopping import RegretRule
from utsearch.search.turns import Turns


def results(study: Study) -> set[tuple[str, int, float | None, str]]:
    counted = (r for r in study.records() if r.status in ("finished", "stopped"))
    return {(r.design, r.n_params, r.top1, r.status) for r in counted}


def open_trials(study: Study) -> list[int]:
    return [t.number for t in study.optuna.get_trials(states=(TrialState.RUNNING,))]


def searched(folder: Path, problem: FakeProblem, budget: str, **options: Any) -> Study:
    folder.mkdir(exist_ok=True)
    return run_fake(problem, folder, budget, sampler="random", rule=None, **options)


def test_the_same_designs_and_results_as_one_by_one(tmp_path: Path) -> None:
    alone, problem = searched(tmp_path / "alone", FakeProblem(), "10"), FakeProblem()
    together = searched(tmp_path / "together", problem, "10", pack=4)
    assert len(results(alone)) == 10
    assert results(together) == results(alone)
    assert len(set(problem.started)) == len(problem.started) == 10, "no design is trained twice"
    trained = [r for r in together.records() if r.status == "finished"]
    assert all(together.weights(r.number).read_text() == r.design for r in trained)


def test_four_are_in_training_at_once_and_take_turns(tmp_path: Path) -> None:
    events: list[Any] = []
    searched(tmp_path, FakeProblem(), "8", pack=4, on_event=events.append)
    numbers = [event.number for event in events if isinstance(event, RungReached)]
    assert numbers[:8] == [0, 1, 2, 3, 0, 1, 2, 3]
    assert isinstance(events[-1], SearchEnded)
    assert sum(isinstance(event, SearchEnded) for event in events) == 1
    assert sum(isinstance(event, TrialStarted) for event in events) == 8


def test_a_design_that_is_in_training_is_no_second_trial(tmp_path: Path) -> None:
    problem, space = FakeProblem(), fake_space(tmp_path)
    study = prepare(problem, space, "fake", studies_dir=tmp_path)
    for _ in range(3):
        study.optuna.enqueue_trial({}, user_attrs={"given": "ffn:lora(2)@all", "outside": True})
    search(problem, space, study, Budget(trials=6), sampler="random", pack=4, rule=None)
    assert problem.started.count("ffn:lora(2)") == 1
    same = [r.status for r in study.records() if r.design == "ffn:lora(2)"]
    assert sorted(same) == ["duplicate", "duplicate", "finished"]


def test_one_that_fails_leaves_the_others(tmp_path: Path) -> None:
    problem = FakeProblem(failing=frozenset({"ffn:lora(4)"}))
    study = searched(tmp_path, problem, "9", pack=3)
    assert [(r.baseline, r.status) for r in study.records()][1] == ("lora-4", "failed")
    assert len(results(study)) == 9


def test_early_stopping_ends_single_trials(tmp_path: Path) -> None:
    rule = RegretRule(eta=4, grace=4)
    study = run_fake(FakeProblem(), tmp_path, "20", sampler="random", rule=rule, pack=4)
    statuses = [r.status for r in study.records()]
    assert statuses.count("finished") + statuses.count("stopped") == 20
    assert "stopped" in statuses


def test_ctrl_c_gives_all_running_trials_back(tmp_path: Path) -> None:
    class Slow(FakeProblem):
        signalled = False

        def start_beside(self, design: Design, seed: int = 0, *, resume: Path | None = None) -> FakeRun:
            if len(self.started) == 2 and not self.signalled:
                self.signalled = True
                os.kill(os.getpid(), signal.SIGINT)
            return super().start_beside(design, seed, resume=resume)

    with pytest.raises(KeyboardInterrupt):
        searched(tmp_path, Slow(rung_seconds=0.05), "50", pack=3)
    study = prepare(FakeProblem(), fake_space(tmp_path), "fake", studies_dir=tmp_path)
    assert not open_trials(study)
    broken = [r for r in study.records() if r.reason == "interrupted; queued again"]
    assert len(broken) >= 2
    waiting = study.optuna.get_trials(states=(TrialState.WAITING,))
    assert {t.user_attrs["retry_of"] for t in waiting if "retry_of" in t.user_attrs} == {r.number for r in broken}
    done = searched(tmp_path, FakeProblem(), "3", pack=3)
    assert {r.baseline for r in done.records() if r.status == "finished"} == {"linear", "lora-4", "outside"}


def test_an_error_of_one_gives_the_others_back_and_is_told(tmp_path: Path) -> None:
    class Full(FakeRun):
        def save(self, path: Path) -> None:
            raise OSError(28, "No space left on device")

    class Problem(FakeProblem):
        def start_beside(self, design: Design, seed: int = 0, *, resume: Path | None = None) -> FakeRun:
            return Full(self, design, seed)

    with pytest.raises(StudyError, match="No space left on device"):
        searched(tmp_path, Problem(), "6", pack=3)
    study = prepare(FakeProblem(), fake_space(tmp_path), "fake", studies_dir=tmp_path)
    assert not open_trials(study)
    assert {r.status for r in study.records() if r.rungs} == {"failed"}
    assert all("queued again" in str(r.reason) for r in study.records() if r.rungs)


def test_every_running_trial_has_a_heartbeat(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    beating: set[int] = set()
    record = Storage.record_heartbeat

    def beat(storage: Storage, trial_id: int) -> None:
        beating.add(trial_id)
        record(storage, trial_id)

    monkeypatch.setattr(Storage, "record_heartbeat", beat)
    study = searched(tmp_path, FakeProblem(), "6", pack=3)
    trained = {t._trial_id for t in study.optuna.trials if t.state is TrialState.COMPLETE}
    assert len(trained) >= 6
    assert trained <= beating


def test_a_deadline_ends_all_at_their_next_rung(tmp_path: Path) -> None:
    study = searched(tmp_path, FakeProblem(rung_seconds=0.3), "1s", pack=3)
    records = [r for r in study.records() if r.rungs]
    assert 1 <= len(records) <= 3
    assert all(len(r.rungs) < 3 for r in records)
    assert {r.reason for r in records} == {"the time was up"}
    assert not open_trials(study)


def test_a_problem_that_cannot_is_refused(tmp_path: Path) -> None:
    class Single(FakeProblem):
        start_beside = None  # type: ignore[assignment]

    with pytest.raises(UserError, match="one design at a time; leave out --pack"):
        searched(tmp_path, Single(), "4", pack=2)


def test_turns_go_round_and_only_one_has_them() -> None:
    turns, order, inside = Turns(), list[int](), list[int]()

    def work(number: int) -> None:
        with turns:
            for _ in range(20):
                inside.append(number)
                time.sleep(0.0005)
                assert inside == [number], "another one came in between"
                order.append(inside.pop())
                turns.pass_on()

    with turns:  # until all stand in the queue
        threads = [threading.Thread(target=work, args=(number,)) for number in range(3)]
        for thread in threads:
            thread.start()
        time.sleep(0.1)
    for thread in threads:
        thread.join()
    assert order == order[:3] * 20
    assert sorted(order[:3]) == [0, 1, 2]
