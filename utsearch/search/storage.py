"""Where studies are stored: Optuna's database behind any SQLAlchemy URL, SQLite files by default."""

import random
import re
import sqlite3
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import optuna
from optuna.exceptions import ExperimentalWarning, OptunaError
from optuna.storages import RDBStorage
from optuna.storages._rdb.models import TrialModel
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import update
from sqlalchemy.engine import make_url
from sqlalchemy.exc import (
    ArgumentError,
    IntegrityError,
    NoSuchModuleError,
    OperationalError,
    ProgrammingError,
    SQLAlchemyError,
)

from utsearch.errors import UserError

HEARTBEAT_SECONDS, GRACE_SECONDS = 15, 60  # a worker that is silent for a minute is taken for dead
OPENINGS = 5  # tries to open a database that others make at the same time
SUFFIX = ".db"

OnStale = Callable[[Study, FrozenTrial], None]


class StudyError(UserError):
    """A study is missing, damaged, of other settings, or its database cannot be reached."""


class Storage(RDBStorage):
    """Optuna's database, where a waiting trial has one taker on SQLite too.

    Optuna reads the state under SELECT … FOR UPDATE, which SQLite ignores: two workers then take the same trial.
    """

    def set_trial_state_values(self, trial_id: int, state: TrialState, values: Sequence[float] | None = None) -> bool:
        """Whether the state was set; False for a trial that another worker took."""
        if state is not TrialState.RUNNING:
            return super().set_trial_state_values(trial_id, state, values)
        waiting = update(TrialModel).where(TrialModel.trial_id == trial_id, TrialModel.state == TrialState.WAITING)
        with self.engine.begin() as connection:
            taken = connection.execute(waiting.values(state=state, datetime_start=datetime.now()))
        return bool(taken.rowcount)


def check_name(name: str) -> str:
    """A study's name, which is also the name of a file and a folder.

    Raises:
        StudyError: it could not be one.
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", name):
        raise StudyError(f"a study's name is letters, digits, '.', '_' and '-', at most 100, got {name!r}")
    return name


def url_of(name: str, storage_url: str | None, studies_dir: Path) -> str:
    """The given URL, or that of the study's own SQLite file."""
    return storage_url or f"sqlite:///{(studies_dir / (name + SUFFIX)).absolute()}"


def shown(url: str) -> str:
    """A URL without its password, and a SQLite file as its path."""
    try:
        parsed = make_url(url)
    except ArgumentError:
        return "the given URL"
    is_file = parsed.get_backend_name() == "sqlite" and parsed.database
    return str(parsed.database) if is_file else parsed.render_as_string(hide_password=True)


def connect(url: str, on_stale: OnStale | None = None) -> Storage:
    """Open a database for studies; with `on_stale`, trials of workers that fell silent are handed to it.

    Raises:
        StudyError: no such kind of database, no driver, not reachable, or damaged.
    """
    with database_errors(url):
        parsed = make_url(url)
        engine: dict[str, Any] = {}
        if parsed.get_backend_name() == "sqlite":
            engine = {"connect_args": {"timeout": 60}}
            if parsed.database and Path(parsed.database).exists():
                _check_file(Path(parsed.database))
        elif parsed.get_backend_name() == "postgresql":
            engine = {"connect_args": {"connect_timeout": 10}, "pool_pre_ping": True}
        heartbeat: dict[str, Any] = {}
        if on_stale is not None:
            heartbeat = {"heartbeat_interval": HEARTBEAT_SECONDS, "grace_period": GRACE_SECONDS}
            heartbeat["heartbeat_stale_trial_callback"] = on_stale
        with experiments_allowed():
            return _open(lambda: Storage(url, engine_kwargs=engine, **heartbeat))


def _open(attempt: Callable[[], Storage]) -> Storage:
    """Again where another process makes the tables just now: Optuna looks first and makes them then, in two steps."""
    for _ in range(OPENINGS - 1):
        try:
            return attempt()
        except (IntegrityError, OperationalError, ProgrammingError) as error:
            if not isinstance(error, IntegrityError) and "already exists" not in str(error):
                raise
            time.sleep(random.uniform(0.05, 0.3))
    return attempt()


@contextmanager
def experiments_allowed() -> Iterator[None]:
    """Without Optuna's notice, meant for developers, that an interface of its may change."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        yield


@contextmanager
def quiet() -> Iterator[None]:
    """Without Optuna's own log lines: the display says the same, and better."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(before)


@contextmanager
def database_errors(url: str) -> Iterator[None]:
    """Say in one line what is wrong with a database."""
    try:
        yield
    except NoSuchModuleError as error:
        kind = make_url(url).drivername
        raise StudyError(f"no such kind of database: {kind}; there are sqlite, postgresql+psycopg, mysql+…") from error
    except ArgumentError as error:
        raise StudyError("--storage is no SQLAlchemy URL, such as postgresql+psycopg://user@host/database") from error
    except (ModuleNotFoundError, ImportError) as error:
        missing = f" {error.name}" if error.name else ""
        raise StudyError(
            f"the driver{missing} for {shown(url)} is not installed; for PostgreSQL: pip install 'utsearch[postgres]'"
        ) from error
    except (SQLAlchemyError, sqlite3.Error, OptunaError) as error:
        raise StudyError(f"cannot use the database {shown(url)}: {_first_line(error)}") from error


def _first_line(error: BaseException) -> str:
    """The innermost cause, which is what the database itself said."""
    cause = error
    while cause.__cause__ is not None or getattr(cause, "orig", None) is not None:
        cause = getattr(cause, "orig", None) or cause.__cause__ or cause
    return (str(cause).strip() or type(cause).__name__).splitlines()[0]


def _check_file(path: Path) -> None:
    """Read the whole file once: a damaged page would otherwise show itself in the middle of a search."""
    connection = sqlite3.connect(path, timeout=60)
    try:
        verdict = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    finally:
        connection.close()
    if verdict != "ok":
        raise sqlite3.DatabaseError(f"the file is damaged ({verdict.splitlines()[-1]}); restore it from a copy")
