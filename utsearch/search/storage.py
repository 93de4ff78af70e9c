"""Where studies are stored: a database, a journal for network file systems, or a proxy for hundreds of workers."""

import random
import re
import sqlite3
import time
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus, urlsplit

import optuna
from optuna.exceptions import ExperimentalWarning, OptunaError
from optuna.storages import GrpcStorageProxy, JournalStorage, get_storage, run_grpc_proxy_server
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import (
    ArgumentError,
    IntegrityError,
    NoSuchModuleError,
    OperationalError,
    ProgrammingError,
    SQLAlchemyError,
)

from utsearch.search.damage import StudyError as StudyError
from utsearch.search.journal import Journal
from utsearch.search.outage import Patience, causes_line
from utsearch.search.patient import OnBeat, Storage, one_by_one
from utsearch.search.relational import Relational

OPENINGS = 5  # tries to open a database that others make at the same time
PROXY_SECONDS = 10.0  # to answer the first call
PROXY_THREADS = 16
SUFFIX = ".db"
SQLITE_WORKERS = 8  # more than this wait for its one writer: docs/scale.md
_SECRET = ("password", "passwd", "sslpassword", "passfile")
_NETWORK = ("nfs", "nfs4", "cifs", "smb3", "smbfs", "lustre", "ceph", "glusterfs", "beegfs", "gpfs", "fuse.sshfs", "9p")


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


def kind_of(url: str) -> str:
    """`journal`, `grpc`, or SQLAlchemy's name of the database: `sqlite`, `postgresql`, `mysql`, …

    Raises:
        ArgumentError: it is no URL of a storage.
    """
    scheme = url.partition(":")[0]
    return scheme if scheme in ("journal", "grpc") else _parse(url).get_backend_name()


def shown(url: str) -> str:
    """A URL without its passwords, and a file as its path."""
    try:
        kind = kind_of(url)
    except ArgumentError:
        return "the given URL"
    if kind == "journal":
        return str(_journal_path(url))
    if kind == "grpc":
        parts = urlsplit(url)
        return f"grpc://{parts.netloc.rpartition('@')[2]}"
    parsed = _parse(url)
    if kind == "sqlite" and parsed.database:
        return str(parsed.database)
    hidden = {key: "***" if key in _SECRET else value for key, value in parsed.query.items()}
    return parsed.set(query=hidden).render_as_string(hide_password=True)


def connect(url: str, on_beat: OnBeat | None = None) -> Storage:
    """Open a storage of studies.

    Args:
        url: of SQLAlchemy, `journal:/path/of/file`, or `grpc://host:port`.
        on_beat: is called every few seconds while a trial runs, to look after the trials of workers that are gone.

    Raises:
        StudyError: no such kind of database, no driver, not reachable, or damaged.
    """
    with database_errors(url), experiments_allowed():
        kind, patience = kind_of(url), Patience(shown(url))
        if kind == "journal":
            journal = JournalStorage(Journal(str(_journal_path(url))))
            return Storage(journal, one_by_one(journal), patience, on_beat)
        if kind == "grpc":
            proxy = _proxy(url)
            return Storage(proxy, one_by_one(proxy), patience, on_beat)
        tables = _tables(url)
        storage = Storage(get_storage(tables), tables.write, patience, on_beat)
        storage.tables = tables
        return storage


def serve_proxy(url: str, host: str, port: int) -> None:
    """Stand between hundreds of workers and one database, until interrupted.

    Raises:
        StudyError: the database cannot be used, or is no database.
    """
    with database_errors(url), experiments_allowed():
        if kind_of(url) in ("journal", "grpc"):
            raise StudyError(f"the proxy stands before a database, not before {shown(url)}")
        tables = _tables(url, connections=PROXY_THREADS)
        pool = ThreadPoolExecutor(PROXY_THREADS)
        try:
            run_grpc_proxy_server(get_storage(tables), host=host, port=port, thread_pool=pool)
        except RuntimeError as error:  # what gRPC raises for a port that is taken
            raise StudyError(f"cannot listen on {host}:{port}: {causes_line(error)}") from error


def advice(url: str, workers: int = 1) -> str | None:
    """What a SQLite file is not for, where it is used for that; None for no advice."""
    if kind_of(url) != "sqlite":
        return None
    path = Path(_parse(url).database or "")
    if (system := _file_system(path)) in _NETWORK:
        return f"{path} is on {system}, where SQLite's locks may fail: use --storage journal:{path}.log, or PostgreSQL"
    if workers > SQLITE_WORKERS:
        return f"SQLite writes one at a time: {workers} workers will wait; use PostgreSQL (docs/scale.md)"
    return None


def _file_system(path: Path) -> str | None:
    """Type of the file system that a path is on, as Linux tells it; None where it cannot be told."""
    best: tuple[int, str | None] = (0, None)
    with suppress(OSError):
        for line in Path("/proc/mounts").read_text().splitlines():
            _, mount, kind, *_ = line.split(" ")
            if path.absolute().is_relative_to(mount) and len(mount) >= best[0]:
                best = (len(mount), kind)
    return best[1]


def _parse(url: str) -> URL:
    try:
        return make_url(url)
    except ValueError as error:  # a password with a slash ends as a port
        raise ArgumentError("not a URL") from error


def _journal_path(url: str) -> Path:
    path = url.removeprefix("journal:").removeprefix("//")
    return Path(path).absolute()


def _proxy(url: str) -> GrpcStorageProxy:
    parts = urlsplit(url)
    if not parts.hostname or not parts.port:
        raise StudyError(f"a proxy is named grpc://host:port, got {shown(url)}")
    proxy = GrpcStorageProxy(host=parts.hostname, port=parts.port)
    proxy.wait_server_ready(PROXY_SECONDS)
    return proxy


def _tables(url: str, connections: int = 1) -> Relational:
    """Optuna's tables in a database, made where there are none."""
    parsed, kind = _parse(url), kind_of(url)
    engine: dict[str, Any] = {}
    if kind == "sqlite":
        engine = {"connect_args": {"timeout": 60}}
        if parsed.database and Path(parsed.database).exists():
            _check_file(Path(parsed.database))
    else:  # a worker keeps one connection, and opens a second one for its signs of life
        engine = {"pool_size": connections, "max_overflow": 2}
    if kind == "postgresql":  # a cut cable is noticed in half a minute, not in two hours
        alive = {"keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 4, "tcp_user_timeout": 30_000}
        engine["connect_args"] = {"connect_timeout": 10, **alive}
    return _open(lambda: Relational(url, engine_kwargs=engine))


def _open(attempt: Callable[[], Relational]) -> Relational:
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
    """Say in one line what is wrong with a database, without its password."""
    try:
        yield
    except NoSuchModuleError as error:
        kind = url.partition(":")[0]
        there = "sqlite, postgresql+psycopg, mysql+pymysql, journal, grpc"
        raise StudyError(f"no such kind of database: {kind}; there are {there}") from error
    except ArgumentError as error:
        raise StudyError("--storage is no SQLAlchemy URL, such as postgresql+psycopg://user@host/database") from error
    except (ModuleNotFoundError, ImportError) as error:
        missing = f" {error.name}" if error.name else ""
        extra = {"mysql": "mysql", "mariadb": "mysql", "grpc": "grpc"}.get(kind_of(url), "postgres")
        raise StudyError(
            f"the driver{missing} for {shown(url)} is not installed: pip install 'utsearch[{extra}]'"
        ) from error
    except (SQLAlchemyError, sqlite3.Error, OptunaError, OSError) as error:
        raise StudyError(f"cannot use the database {shown(url)}: {scrubbed(causes_line(error), url)}") from error
    except Exception as error:
        hidden = _hidden(error)
        if hidden is None:
            raise
        raise StudyError(f"cannot use the database {shown(url)}: {scrubbed(causes_line(hidden), url)}") from error


def _hidden(error: BaseException) -> BaseException | None:
    """The error of a database behind another one, if there is one.

    Optuna's `optimize` fails with an AssertionError or an UnboundLocalError where it can write no trial's end.
    """
    if type(error).__module__.startswith("grpc"):
        return error
    if not isinstance(error, (AssertionError, UnboundLocalError)):
        return None
    before = error.__context__
    while before is not None and not isinstance(before, (SQLAlchemyError, sqlite3.Error)):
        before = before.__context__
    return before


def scrubbed(text: str, url: str) -> str:
    """A message without the passwords of a URL, which drivers may repeat."""
    try:
        parsed = _parse(url)
    except ArgumentError:
        return text
    secrets = [parsed.password, *(value for key, value in parsed.query.items() if key in _SECRET)]
    for secret in (str(one) for one in secrets if one):
        for written in {secret, quote(secret, safe=""), quote_plus(secret)}:
            text = text.replace(written, "***")
    return text


def _check_file(path: Path) -> None:
    """Read the whole file once: a damaged page would otherwise show itself in the middle of a search."""
    connection = sqlite3.connect(path, timeout=60)
    try:
        verdict = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    finally:
        connection.close()
    if verdict != "ok":
        raise sqlite3.DatabaseError(f"the file is damaged ({verdict.splitlines()[-1]}); restore it from a copy")
