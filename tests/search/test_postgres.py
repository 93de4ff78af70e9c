"""Every kind of storage, with a real server: one taker, the same trials, outages, passwords."""

import os
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import optuna
import pytest
from cable import cable
from fake_problem import FakeProblem, fake_space
from optuna.distributions import IntDistribution
from optuna.storages._grpc.server import make_server
from optuna.trial import TrialState
from postgres_server import Server

from utsearch.search import Budget, StudyError, open_study, prepare, search
from utsearch.search.patient import Storage
from utsearch.search.storage import connect, database_errors

SCRIPT = Path(__file__).parents[1] / "helpers" / "fake_problem.py"
KINDS = ("sqlite", "postgresql", "journal", "grpc")
WORKERS = 4  # under an outage


@pytest.fixture(params=KINDS)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A storage of each kind."""
    if request.param == "journal":
        yield f"journal:{tmp_path / 'studies.log'}"
    elif request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'studies.db'}"
    elif request.param == "postgresql":
        yield request.getfixturevalue("server").url()
    else:
        pytest.importorskip("grpc", reason="the extra 'grpc' is not installed")
        proxied = make_server(connect(f"sqlite:///{tmp_path / 'proxied.db'}").inner, "127.0.0.1", 0)
        port = proxied.add_insecure_port("127.0.0.1:0")
        proxied.start()
        yield f"grpc://127.0.0.1:{port}"
        proxied.stop(None)


def test_a_waiting_trial_has_one_taker_in_every_kind(url: str, tmp_path: Path) -> None:
    name = f"queue-{tmp_path.name}"
    study = optuna.create_study(storage=connect(url), study_name=name)
    for _ in range(6):
        study.enqueue_trial({})
    storages = [connect(url) for _ in range(3)]
    ready = threading.Barrier(3)

    def take(storage: Storage) -> list[int]:
        mine = optuna.load_study(study_name=name, storage=storage)
        ready.wait()
        return [number for _ in range(6) if (number := mine.ask().number) < 6]

    with ThreadPoolExecutor(3) as pool:
        taken = sorted(number for numbers in pool.map(take, storages) for number in numbers)
    assert taken == list(range(6))


def test_what_one_writes_another_reads(url: str, tmp_path: Path) -> None:
    """As Optuna's own storage in memory keeps it."""
    name = f"facts-{tmp_path.name}"
    found = []
    for storage in (connect(url), optuna.storages.InMemoryStorage()):
        study = optuna.create_study(storage=storage, study_name=name, directions=["minimize", "maximize"])
        trial = study.ask({"rank": IntDistribution(1, 8)})
        trial.set_user_attr("design", "ffn:lora(4)")
        rungs = [{"index": i, "epoch": 1 + i, "top1": 0.5 + i / 4, "loss": 1.0} for i in range(2)]
        trial.set_user_attr("rungs", rungs[:1])
        trial.set_user_attr("rungs", rungs)
        trial.set_constraint("stopped", 0.25)
        study.tell(trial, [100.0, 0.75])
        study.enqueue_trial({"rank": 3}, user_attrs={"given": "linear"})
        reader = connect(url) if isinstance(storage, Storage) else storage
        found.append(optuna.load_study(study_name=name, storage=reader).trials)
    for stored, expected in zip(*found, strict=True):
        assert (stored.number, stored.state, stored.values) == (expected.number, expected.state, expected.values)
        assert (stored.params if stored.state is TrialState.COMPLETE else {}).keys() == expected.params.keys()
        assert stored.user_attrs == expected.user_attrs
        assert stored.system_attrs == expected.system_attrs
        assert stored.distributions == expected.distributions
        if stored.datetime_start is not None:
            assert abs(stored.datetime_start.timestamp() - time.time()) < 120  # local time, as Optuna shows it


def test_a_search_in_every_kind(url: str, tmp_path: Path) -> None:
    problem, space = FakeProblem(), fake_space(tmp_path)
    name = f"search-{tmp_path.name}"
    study = prepare(problem, space, name, storage_url=url, studies_dir=tmp_path)
    search(problem, space, study, Budget(trials=6), sampler="random")
    records = open_study(name, url, studies_dir=tmp_path).records()
    counted = [r for r in records if r.status in ("finished", "stopped")]
    assert len(counted) == 6
    assert all(r.rungs and r.top1 == r.rungs[-1]["top1"] for r in counted)
    assert {"linear", "lora-4", "outside"} <= {r.baseline for r in counted}


def start(folder: Path, name: str, url: str, until: int, stream: int) -> "subprocess.Popen[str]":
    words = [str(SCRIPT), str(folder), name, "1h", "0.05", url, str(until), str(stream)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-W", "ignore", *words]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=environment)


@pytest.mark.timeout(290)
@pytest.mark.parametrize("fault", ["restart", "cut"])
def test_an_outage_under_load_loses_nothing(server: Server, tmp_path: Path, fault: str) -> None:
    name, until = f"{fault}-{tmp_path.name}", 32
    study = prepare(FakeProblem(), fake_space(tmp_path), name, storage_url=server.url(), studies_dir=tmp_path)
    with cable(server.port) as line, ExitStack() as ending:
        url = server.url().replace(f":{server.port}/", f":{line.port}/")
        workers = [start(tmp_path, name, url, until, 1 + i) for i in range(WORKERS)]
        for worker in workers:
            ending.callback(worker.kill)
        while sum(r.status == "finished" for r in study.records()) < 6:
            assert all(worker.poll() is None for worker in workers), [w.communicate()[1] for w in workers if w.poll()]
            time.sleep(0.2)
        before = {r.number: r for r in study.records() if r.status in ("finished", "stopped")}
        if fault == "restart":
            server.restart(pause=2.5)
        else:
            line.cut()
            time.sleep(2.5)
            line.mend()
        said = [worker.communicate(timeout=240)[1] for worker in workers]
    assert [worker.returncode for worker in workers] == [0] * WORKERS, said
    assert any("does not answer" in text and "answers again" in text for text in said)
    records = study.records()
    assert all(records[number] == record for number, record in before.items())
    counted = Counter(r.digest for r in records if r.status in ("finished", "stopped"))
    assert until <= sum(counted.values()) <= until + WORKERS - 1
    assert max(counted.values()) == 1
    assert not [r for r in records if r.status in ("running", "waiting")]


@pytest.mark.parametrize(
    "form",
    [
        "postgresql+psycopg://me:s3cr%40et@127.0.0.1:9/db",
        "postgresql+psycopg://me@127.0.0.1:9/db?password=s3cr%40et",
        "postgresql+psycopg://me:s3cr%40et/@127.0.0.1:9/db",
        "mysql+pymysql://me:s3cr%40et@127.0.0.1:9/db",
        "grpc://me:s3cr%40et@127.0.0.1",
        "sqlite+nosuch://me:s3cr%40et@127.0.0.1/db",
    ],
)
def test_no_error_repeats_a_password(form: str, tmp_path: Path) -> None:
    with pytest.raises(StudyError) as error:
        open_study("x", form, studies_dir=tmp_path)
    assert len(str(error.value).splitlines()) == 1
    assert "s3cr" not in str(error.value)


def test_a_driver_that_repeats_the_password_is_scrubbed() -> None:
    url = "postgresql+psycopg://me:s3cr%40et@host/db"
    with pytest.raises(StudyError) as error, database_errors(url):
        raise OSError("cannot parse 'host=host password=s3cr@et user=me' (s3cr%40et)")
    assert "s3cr" not in str(error.value)
    assert "password=***" in str(error.value)
