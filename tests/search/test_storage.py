"""Databases that are missing, damaged, out of reach or somebody else's."""

import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import optuna
import pytest
from fake_problem import FakeProblem, run_fake

from utsearch.search import StudyError, open_study
from utsearch.search.patient import Storage
from utsearch.search.storage import connect, shown


def one_line(error: pytest.ExceptionInfo[StudyError]) -> str:
    text = str(error.value)
    assert len(text.splitlines()) == 1
    return text


def test_missing_study_lists_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="no studies in"):
        open_study(None, studies_dir=tmp_path)
    run_fake(FakeProblem(), tmp_path, "1")
    with pytest.raises(StudyError, match=r"no study 'fak' in .*; there are fake"):
        open_study("fak", studies_dir=tmp_path)


@pytest.mark.parametrize("damage", ["text", "truncated", "overwritten"])
def test_damaged_file_is_one_line(tmp_path: Path, damage: str) -> None:
    run_fake(FakeProblem(), tmp_path, "3")
    path = tmp_path / "fake.db"
    content = path.read_bytes()
    if damage == "text":
        path.write_text("these are my notes, not a database\n" * 50)
    elif damage == "truncated":
        path.write_bytes(content[: len(content) // 2])
    else:
        path.write_bytes(content[:4096] + b"\xff" * 8192 + content[12288:])
    for attempt in (lambda: open_study("fake", studies_dir=tmp_path), lambda: run_fake(FakeProblem(), tmp_path, "1")):
        with pytest.raises(StudyError) as error:
            attempt()
        assert "fake.db" in one_line(error)


def test_a_database_of_something_else_is_left_alone(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "other.db") as connection:
        connection.execute("CREATE TABLE recipes (name TEXT)")
    with pytest.raises(StudyError):
        open_study("other", studies_dir=tmp_path)


def test_a_study_of_plain_optuna_is_no_study_of_ours(tmp_path: Path) -> None:
    optuna.create_study(study_name="plain", storage=f"sqlite:///{tmp_path / 'plain.db'}")
    study = open_study("plain", studies_dir=tmp_path)
    with pytest.raises(StudyError, match="no study of utsearch"):
        _ = study.settings


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("banana", "no SQLAlchemy URL"),
        ("nosuch://host/db", "nosuch"),
        ("sqlite:////no/such/folder/x.db", "unable to open database file"),
        ("mysql+notadriver://user:secret@127.0.0.1/db", "notadriver"),
    ],
)
def test_unusable_urls_are_one_line(tmp_path: Path, url: str, message: str) -> None:
    with pytest.raises(StudyError, match=message) as error:
        open_study("x", url, studies_dir=tmp_path)
    assert "secret" not in one_line(error)


def test_unreachable_server_is_one_line_without_the_password(tmp_path: Path) -> None:
    pytest.importorskip("psycopg", reason="the extra 'postgres' is not installed")
    with pytest.raises(StudyError, match=r"127\.0\.0\.1") as error:
        open_study("x", "postgresql+psycopg://user:secret@127.0.0.1:9/db", studies_dir=tmp_path)
    assert "secret" not in one_line(error)


def test_shown_urls_have_no_password() -> None:
    assert shown("postgresql+psycopg://me:secret@host/db") == "postgresql+psycopg://me:***@host/db"
    assert shown("sqlite:////data/x.db") == "/data/x.db"


@pytest.mark.parametrize("name", ["../up", "a/b", "", ".hidden", "x" * 101, "a b", "é"])
def test_names_cannot_leave_the_folder(tmp_path: Path, name: str) -> None:
    with pytest.raises(StudyError, match="a study's name is letters"):
        open_study(name, studies_dir=tmp_path)


def test_a_waiting_trial_has_one_taker(tmp_path: Path) -> None:
    """Optuna's own storage lets several threads take the same trial of a SQLite file."""
    url = f"sqlite:///{tmp_path / 'queue.db'}"
    study = optuna.create_study(storage=connect(url), study_name="queue")
    for _ in range(30):
        study.enqueue_trial({})
    storages = [connect(url) for _ in range(4)]
    ready = threading.Barrier(4)

    def take(storage: Storage) -> list[int]:
        mine = optuna.load_study(study_name="queue", storage=storage)
        ready.wait()
        return [number for _ in range(30) if (number := mine.ask().number) < 30]

    with ThreadPoolExecutor(4) as pool:
        taken = sorted(number for numbers in pool.map(take, storages) for number in numbers)
    assert taken == list(range(30))


def test_a_new_file_may_be_opened_by_many_at_once(tmp_path: Path) -> None:
    """Optuna makes its tables in two steps: a second process between them used to end with a UNIQUE constraint."""
    openers = 6
    for round_ in range(4):
        barrier = threading.Barrier(openers)

        def open_it(url: str, barrier: threading.Barrier = barrier) -> Storage:
            barrier.wait()
            return connect(url)

        with ThreadPoolExecutor(openers) as pool:
            found = list(pool.map(open_it, [f"sqlite:///{tmp_path / f'{round_}.db'}"] * openers))
        assert all(optuna.get_all_study_names(storage) == [] for storage in found)
