"""A study of a stranger, or a damaged one: refused in one line that names the trial, and nothing of it is run."""

import json
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from fake_problem import FakeProblem, fake_space, run_fake
from optuna.trial import TrialState, create_trial

from utsearch.cli import main
from utsearch.report.report import report
from utsearch.report.telling import story_of
from utsearch.search import Budget, Event, Study, StudyError, open_study, prepare, search
from utsearch.search.damage import check_trial
from utsearch.search.doctor import check_studies

SCRIPT = "</script><img src=x onerror=alert(1)>"
SQL = "'; DROP TABLE trials; --"


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("searched")
    run_fake(FakeProblem(), folder, "6", "mine", sampler="random")
    return folder / "mine.db"


@pytest.fixture
def study(searched: Path, tmp_path: Path) -> Study:
    """One's own copy."""
    shutil.copy(searched, tmp_path)
    return open_study("mine", studies_dir=tmp_path)


def write(folder: Path, statement: str, *values: object) -> None:
    with sqlite3.connect(folder / "mine.db") as connection:
        assert connection.execute(statement, values).rowcount
    connection.close()


def set_attribute(folder: Path, key: str, text: str, number: int = 2) -> None:
    where = "trial_id = (SELECT trial_id FROM trials WHERE number = ?) AND key = ?"
    write(folder, f"UPDATE trial_user_attributes SET value_json = ? WHERE {where}", text, number, key)


@pytest.mark.parametrize(
    ("key", "text", "message"),
    [
        ("n_params", '"many"', "its n_params is not a count"),
        ("n_params", "-1", "its n_params is not a count"),
        ("n_params", "9" * 5000, "cannot be read .ValueError"),
        ("rungs", "[" * 3000, "cannot be read .RecursionError"),
        ("rungs", '[{"index": 0, "epoch": 1, "top1": "best", "loss": 1}]', "its rungs is not a list of rungs"),
        ("rungs", '[{"index": 0, "epoch": 1, "top1": NaN, "loss": 1}]', "its rungs is not a list of rungs"),
        ("design", '"\\u001b]0;owned\\u0007"', "its design is not a line of text"),
        ("design", '"\\ud800"', "its design is not a line of text"),
        ("design", f'"{"a" * 30_000}"', "its design is not a line of text"),
        ("status", '"won"', "its status is not one of finished, stopped"),
        ("worker", '{"host": "x", "pid": 1e400}', "its worker is not a host and a process"),
        ("design", '"__import__(1)"', "its design is none"),
        ("digest", "{", "cannot be read .JSONDecodeError"),
    ],
)
def test_a_damaged_trial_is_named(study: Study, tmp_path: Path, key: str, text: str, message: str) -> None:
    set_attribute(tmp_path, key, text)
    with pytest.raises(StudyError, match=f"^trial 2 .*{message}.*; restore the study from a copy$") as error:
        open_study("mine", studies_dir=tmp_path).records()
    assert str(error.value).isprintable()
    problems = [found.what for found in check_studies("mine", None, tmp_path) if found.severity == "problem"]
    assert problems == [str(error.value)]


@pytest.mark.parametrize("key", ["settings", "scale", "session"])
@pytest.mark.parametrize("text", ["[]", "{", '{"dataset": 1, "p0": 1}', '{"a": "\\ud800"}', "[" * 3000])
def test_damaged_attributes_of_a_study_are_one_line(study: Study, tmp_path: Path, key: str, text: str) -> None:
    write(tmp_path, "UPDATE study_user_attributes SET value_json = ? WHERE key LIKE ?", text, f"{key}%")
    with pytest.raises(StudyError) as error:
        story_of(open_study("mine", studies_dir=tmp_path))
    assert str(error.value).isprintable()


def test_a_damaged_study_ends_a_command_with_exit_code_2(
    study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    set_attribute(tmp_path, "rungs", "{}")
    for words in (["pareto"], ["show", "2"], ["export", "--out", str(tmp_path / "out")]):
        monkeypatch.setattr("sys.argv", ["utsearch", *words, "--study", "mine", "--studies", str(tmp_path)])
        with pytest.raises(SystemExit) as ended:
            main()
        assert ended.value.code == 2
        assert capsys.readouterr().err.startswith("error: trial 2 is damaged: its rungs is not")


def test_a_trial_cannot_go_on_with_one_that_is_not_there() -> None:
    given: dict[str, Any] = {"state": TrialState.FAIL, "user_attrs": {"resumes": 5}}
    with pytest.raises(StudyError, match="goes on with a later trial"):
        check_trial(create_trial(**given))


def test_names_from_a_study_are_text_in_a_page(study: Study, tmp_path: Path) -> None:
    set_attribute(tmp_path, "baseline", json.dumps(SCRIPT), number=1)
    kept = study.optuna.user_attrs["settings"]
    named = json.dumps({**kept, "dataset": {"name": SCRIPT}, "versions": {SCRIPT: SCRIPT}})
    write(tmp_path, "UPDATE study_user_attributes SET value_json = ? WHERE key = 'settings'", named)
    page = report([story_of(open_study("mine", studies_dir=tmp_path))])
    assert "onerror=alert(1)" in page, "it is shown"
    assert "<img src=x" not in page
    assert SCRIPT not in page


def test_names_in_a_study_are_no_sql(study: Study, tmp_path: Path) -> None:
    set_attribute(tmp_path, "digest", json.dumps(SQL))
    opened = open_study("mine", studies_dir=tmp_path)
    before = len(opened.records())
    opened.optuna.enqueue_trial({}, user_attrs={SQL: SQL, "given": "ffn:lora(4)"})
    problem, space = FakeProblem(), fake_space(tmp_path)
    search(problem, space, opened, Budget(trials=1), sampler="random")
    again = open_study("mine", studies_dir=tmp_path)
    assert len(again.records()) > before
    assert again.records()[2].digest == SQL
    assert SQL in again.optuna.get_trials()[before].user_attrs
    for name in (SQL, "../mine", "mine/../mine", "mine\0"):
        with pytest.raises(StudyError, match="a study's name is"):
            open_study(name, studies_dir=tmp_path)


def test_a_study_holds_text_and_numbers_and_no_objects(study: Study, tmp_path: Path) -> None:
    """Optuna keeps JSON: whatever a cell says, reading it makes texts, numbers, lists and tables."""
    with sqlite3.connect(tmp_path / "mine.db") as connection:
        tables = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        kinds = {
            row[0]
            for table in tables
            for (column,) in connection.execute("SELECT name FROM pragma_table_info(?)", (table,))
            for row in connection.execute(f"SELECT DISTINCT typeof({column}) FROM {table}")
        }
    connection.close()
    assert kinds <= {"text", "integer", "real", "null"}, "a blob would be an object"
    pickled = "gASVHgAAAAAAAACMBXBvc2l4lIwGc3lzdGVtlJOUjAN0b3WUhZRSlC4="  # os.system("tou") to who unpickles
    set_attribute(tmp_path, "digest", json.dumps(pickled))
    assert open_study("mine", studies_dir=tmp_path).records()[2].digest == pickled


def test_a_database_that_goes_while_trials_train_is_told_in_one_line(tmp_path: Path) -> None:
    """The file is deleted under the search: SQLite refuses to write, and Optuna's own loop fails on that."""
    problem, space = FakeProblem(), fake_space(tmp_path)
    study = prepare(problem, space, "gone", studies_dir=tmp_path)
    ended: list[Event] = []

    def note(event: Event) -> None:
        ended.append(event)
        (tmp_path / "gone.db").unlink(missing_ok=True)

    with pytest.raises(StudyError, match=r"cannot use the database .*: attempt to write a readonly database"):
        search(problem, space, study, Budget(trials=5), on_event=note)
    assert ended
