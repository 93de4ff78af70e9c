"""Workers that are killed at random moments."""

import os
import platform
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from fake_problem import FakeProblem, run_fake
from optuna.trial import TrialState

from utsearch.search import Record, open_study
from utsearch.search.queue import give_back, recover

SCRIPT = Path(__file__).parents[1] / "helpers" / "fake_problem.py"
KILLS = 10  # benchmarks/kill.py: more
NOBODY = 2**22 - 3  # a process number that is not in use


def start(folder: Path) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [sys.executable, "-W", "ignore", str(SCRIPT), str(folder), "fake", "999", "0.02"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )


def finished(folder: Path) -> dict[int, Record]:
    if not (folder / "fake.db").exists():
        return {}
    return {
        r.number: r for r in open_study("fake", studies_dir=folder).records() if r.status in ("finished", "stopped")
    }


def wait_for_trials(folder: Path, more_than: int, worker: "subprocess.Popen[bytes]") -> None:
    """So that each kill meets a worker at work; the moment after that is random."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and worker.poll() is None:
        if (folder / "fake.db").exists() and len(list((folder / "fake").glob("*.safetensors"))) > more_than:
            return
        time.sleep(0.02)
    raise AssertionError("the worker does nothing")


@pytest.mark.timeout(280)
def test_kill_nine_ten_times_loses_and_doubles_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = random.Random(0)
    before: dict[int, Record] = {}
    for _ in range(KILLS):
        worker = start(tmp_path)
        wait_for_trials(tmp_path, len(list((tmp_path / "fake").glob("*.safetensors"))), worker)
        time.sleep(rng.uniform(0, 0.4))
        worker.send_signal(signal.SIGKILL)
        worker.wait()
        now = finished(tmp_path)
        assert all(now[number] == record for number, record in before.items()), "a finished trial was lost or changed"
        before = now
    monkeypatch.setattr("utsearch.search.queue.SIGNED", 0)  # the last one may have been killed before it signed
    study = run_fake(FakeProblem(), tmp_path, "10", sampler="random")
    records = study.records()
    trained = Counter(r.digest for r in records if r.status in ("finished", "stopped"))
    assert max(trained.values()) == 1, "a finished trial was trained again"
    assert all(study.weights(r.number).exists() for r in records if r.status in ("finished", "stopped"))
    assert not [r for r in records if r.status in ("running", "waiting")], "a trial is stuck"
    assert all("its worker died" in str(r.reason) for r in records if r.status == "failed")
    assert {"linear", "lora-4", "outside"} == {r.baseline for r in records if r.baseline and r.status == "finished"}


@pytest.mark.timeout(280)
def test_a_signal_at_any_moment_leaves_no_trial_running(tmp_path: Path) -> None:
    rng = random.Random(1)
    for i in range(6):
        worker = start(tmp_path)
        wait_for_trials(tmp_path, len(list((tmp_path / "fake").glob("*.safetensors"))), worker)
        time.sleep(rng.uniform(0, 0.3))
        worker.send_signal(signal.SIGINT if i % 2 else signal.SIGTERM)
        assert worker.wait(60) != 0
        records = open_study("fake", studies_dir=tmp_path).records()
        assert not [r for r in records if r.status == "running"]
        assert {r.reason for r in records if r.status == "failed"} <= {"interrupted; queued again"}


def test_a_trial_that_others_took_for_dead_does_not_end_its_worker(tmp_path: Path) -> None:
    class Slept(FakeProblem):
        def start(self, design: Any, seed: int = 0, **resume: Any) -> Any:
            if str(design) == "ffn:lora(4)" and str(design) not in self.started:
                study = open_study("fake", studies_dir=tmp_path).optuna
                (mine,) = study.get_trials(states=(TrialState.RUNNING,))
                study._storage.set_trial_state_values(mine._trial_id, state=TrialState.FAIL)
                give_back(study, mine, "its worker fell silent")
            return super().start(design, seed, **resume)

    study = run_fake(Slept(), tmp_path, "6")
    same = [r for r in study.records() if r.design == "ffn:lora(4)"]
    assert [r.status for r in same] == ["failed", "finished"]
    assert not [r for r in study.records() if r.status in ("running", "waiting")]


def test_a_trial_that_kills_its_worker_three_times_is_given_up(tmp_path: Path) -> None:
    study = run_fake(FakeProblem(), tmp_path, "3")
    study.optuna.enqueue_trial({}, user_attrs={"given": "ffn:lora(7)", "outside": True})
    storage = study.optuna._storage
    for _ in range(3):
        (waiting,) = (t for t in study.optuna.trials if t.state is TrialState.WAITING)
        storage.set_trial_state_values(waiting._trial_id, state=TrialState.RUNNING)
        storage.set_trial_user_attr(waiting._trial_id, "worker", {"host": platform.node(), "pid": NOBODY})
        assert recover(study.optuna) == 1
    broken = [r for r in study.records() if r.status == "failed"]
    assert [r.reason for r in broken] == ["its worker died; queued again"] * 2 + ["its worker died 3 times"]
    assert not [t for t in study.optuna.trials if not t.state.is_finished()]


def test_another_machines_running_trial_is_left_to_its_heartbeat(tmp_path: Path) -> None:
    study = run_fake(FakeProblem(), tmp_path, "3")
    study.optuna.enqueue_trial({}, user_attrs={"given": "ffn:lora(7)", "outside": True})
    (waiting,) = (t for t in study.optuna.trials if t.state is TrialState.WAITING)
    study.optuna._storage.set_trial_state_values(waiting._trial_id, state=TrialState.RUNNING)
    study.optuna._storage.set_trial_user_attr(waiting._trial_id, "worker", {"host": "elsewhere", "pid": NOBODY})
    assert recover(study.optuna) == 0
