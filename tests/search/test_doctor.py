"""A study broken in every way that the check-up knows, repaired, and checked again."""

import os
import platform
import shutil
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

import optuna
import pytest
import torch
from fake_problem import FakeProblem, run_fake
from optuna.trial import TrialState
from safetensors.torch import save_file

from utsearch.findings import Finding
from utsearch.search import Study, open_study
from utsearch.search.doctor import check_storage, check_studies, check_study

NOBODY = 2**22 - 3  # a process number that is not in use


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six trials with weights that are none of a network, but in the right format."""
    folder = tmp_path_factory.mktemp("made")
    run_fake(FakeProblem(), folder, "6", sampler="random")
    for path in (folder / "fake").iterdir():
        save_file({"a": torch.zeros(3)}, path)
    return folder


@pytest.fixture
def study(made: Path, tmp_path: Path) -> Study:
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    return open_study("fake", studies_dir=tmp_path)


def change(study: Study, statement: str, *values: object) -> None:
    """In the database, past Optuna."""
    with sqlite3.connect(study.studies_dir / "fake.db") as connection:
        connection.execute(statement, values)
    connection.close()


def problems(study: Study) -> list[Finding]:
    return [finding for finding in check_study(study) if finding.severity == "problem"]


def ended(study: Study) -> list[int]:
    return [r.number for r in study.records() if r.status in ("finished", "stopped")]


def start_for(study: Study, worker: dict[str, object], **attributes: object) -> int:
    """A running trial of some worker."""
    study.optuna.enqueue_trial({}, user_attrs={"given": "ffn:lora(7)", "outside": True, "worker": worker, **attributes})
    (waiting,) = (t for t in study.optuna.trials if t.state is TrialState.WAITING)
    study.optuna._storage.set_trial_state_values(waiting._trial_id, state=TrialState.RUNNING)
    return waiting.number


def repaired(study: Study) -> list[Finding]:
    """What is left after every repair."""
    for finding in problems(study):
        assert finding.repair is not None, finding
        finding.repair.do()
    return problems(study)


def test_a_whole_study_has_no_problem(study: Study, tmp_path: Path) -> None:
    assert problems(study) == []
    found = [*check_storage(None, tmp_path), *check_studies(None, None, tmp_path)]
    assert {finding.severity for finding in found} == {"fine"}
    assert [f.what for f in check_storage(f"sqlite:///{tmp_path / 'fake.db'}", tmp_path)][1] == "it can be written"


def test_a_dead_workers_trial_is_given_back(study: Study) -> None:
    number = start_for(study, {"host": platform.node(), "pid": NOBODY})
    (found,) = problems(study)
    assert found.what == f"trial {number} in training by no process"
    assert repaired(study) == []
    (queued,) = (t for t in study.optuna.trials if t.state is TrialState.WAITING)
    assert queued.user_attrs["retry_of"] == number


def test_another_machines_silent_trial_is_given_back(study: Study) -> None:
    number = start_for(study, {"host": "elsewhere", "pid": 1})
    trial = study.optuna.trials[number]
    assert problems(study) == [], "without a heartbeat nothing is known of it"
    statement = (
        "INSERT INTO trial_system_attributes (trial_id, key, value_json) "
        "VALUES (?, 'utsearch:beat', CAST(strftime('%s', 'now') - 3600 AS TEXT))"
    )
    change(study, statement, trial._trial_id)
    (found,) = problems(study)
    assert found.what == f"trial {number}: no heartbeat for more than a minute"
    assert repaired(study) == []
    assert [t.user_attrs.get("retry_of") for t in study.optuna.trials if t.state is TrialState.WAITING] == [number]


def _stray(study: Study) -> None:
    save_file({"a": torch.zeros(3)}, study.weights(999))


def _temporary(study: Study) -> None:
    path = study.weights(0).parent / ".trial-3.safetensors.ab12"
    path.touch()
    os.utime(path, (time.time() - 7200,) * 2)


@pytest.mark.parametrize(("harm", "said"), [(_stray, "trial-999.safetensors"), (_temporary, "of killed writers")])
def test_files_of_nobody_are_removed(study: Study, harm: Callable[[Study], None], said: str) -> None:
    before = sorted((study.studies_dir / "fake").iterdir())
    harm(study)
    (found,) = problems(study)
    assert said in found.what
    (study.studies_dir / "fake" / ".trial-7.safetensors.new").touch()  # in writing just now
    assert repaired(study) == []
    (study.studies_dir / "fake" / ".trial-7.safetensors.new").unlink()
    assert sorted((study.studies_dir / "fake").iterdir()) == before


def test_missing_and_damaged_weights_are_told_apart_from_those_elsewhere(study: Study) -> None:
    here, damaged, elsewhere = ended(study)[:3]
    study.weights(here).unlink()
    study.weights(damaged).write_bytes(study.weights(damaged).read_bytes()[:-1])
    study.weights(elsewhere).unlink()
    trial = study.optuna.trials[elsewhere]
    statement = "UPDATE trial_user_attributes SET value_json = ? WHERE key = 'worker' AND trial_id = ?"
    change(study, statement, '{"host": "elsewhere", "pid": 1}', trial._trial_id)
    again = open_study("fake", studies_dir=study.studies_dir)
    lost, cut = problems(again)
    assert lost.what.startswith(f"trial {here} trained here without weights")
    assert "was it cut short?" in cut.what
    (note,) = (f for f in check_study(again) if f.severity == "note")
    assert note.what.startswith(f"trial {elsewhere} trained elsewhere")


def test_damaged_and_foreign_databases_are_problems_and_hide_no_other(study: Study, tmp_path: Path) -> None:
    (tmp_path / "bad.db").write_bytes(b"SQLite format 3\0" + b"\xff" * 5000)
    optuna.create_study(study_name="foreign", storage=f"sqlite:///{tmp_path / 'foreign.db'}")
    found = {f.area: f for f in check_studies(None, None, tmp_path) if f.severity == "problem"}
    assert set(found) == {"study bad", "study foreign"}
    assert "cannot use the database" in found["study bad"].what
    assert "no study of utsearch" in found["study foreign"].what
    assert "study fake" in {f.area for f in check_studies(None, None, tmp_path)}
    (gone,) = check_storage("postgresql+psycopg://me:secret@127.0.0.1:1/db", tmp_path)
    assert gone.severity == "problem"
    assert "secret" not in gone.what
