"""The same contract for every engine: processes of this machine, a Ray cluster of two nodes, submitit's local jobs."""

import importlib.util
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from utsearch.launch import Launcher, LauncherError, Start, make_launcher, running
from utsearch.launch.process import STORAGE_VARIABLE, WorkerProcess, worker_start
from utsearch.search import Record, StudyError, open_study

SCRIPT = Path(__file__).parents[1] / "helpers" / "fake_problem.py"
SECRET = "sqlite:///hunter2"
ENGINES = {"local": None, "ray": "ray", "slurm": "submitit"}


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    """A Ray cluster of two nodes with one core each: two workers can only be on different nodes."""
    needs("ray")
    from ray.cluster_utils import Cluster

    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    made.add_node(num_cpus=1)
    yield made.address
    made.shutdown()


@pytest.fixture(params=ENGINES)
def launcher(request: pytest.FixtureRequest, tmp_path: Path) -> Launcher:
    options = []
    if request.param == "ray":
        options = [f"address={request.getfixturevalue('cluster')}"]
    if request.param == "slurm":
        needs("submitit")
        options = ["cluster=local"]
    return make_launcher(request.param, options, device="cpu", folder=tmp_path / "engine")


def needs(module: str) -> None:
    if importlib.util.find_spec(module) is None:
        assert "CI" not in os.environ, f"{module} is not installed, and CI skips nothing"
        pytest.skip(f"{module} is not installed")


def fake_worker(folder: Path, budget: str, rung_seconds: float) -> Start:
    """A worker that searches a stored study of formulas."""
    command = (sys.executable, "-W", "ignore", str(SCRIPT), str(folder), "fake", budget, str(rung_seconds))
    return Start(command, {"PYTHONPATH": os.pathsep.join(sys.path)}, str(folder))


def failing_worker(folder: Path) -> Start:
    """Says the storage that it was told of, and fails."""
    code = f"import os, sys; sys.exit('error: no study in ' + os.environ[{STORAGE_VARIABLE!r}])"
    return Start((sys.executable, "-c", code), {STORAGE_VARIABLE: SECRET}, str(folder))


def records(folder: Path) -> list[Record]:
    try:
        return open_study("fake", studies_dir=folder).records()
    except StudyError:  # nobody has made it yet
        return []


def wait_until_over(launcher: Launcher, seconds: float = 100) -> None:
    deadline = time.monotonic() + seconds
    while launcher.alive():
        assert time.monotonic() < deadline, "the workers do not end"
        time.sleep(0.1)


def wait_for_trials(launcher: Launcher, folder: Path, n: int, seconds: float = 100) -> None:
    deadline = time.monotonic() + seconds
    while sum(r.status in ("finished", "stopped") for r in records(folder)) < n:
        assert launcher.alive(), launcher.complaints()
        assert time.monotonic() < deadline, "the workers do nothing"
        time.sleep(0.1)


def running_commands() -> str:
    """The command lines of every process of this machine that can be read."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found.append(path.read_bytes().decode(errors="replace"))
        except OSError:
            continue
    return "\n".join(found)


def test_workers_run_to_their_end_and_failures_are_told(launcher: Launcher, tmp_path: Path) -> None:
    assert launcher.one_machine()
    with running(launcher, [fake_worker(tmp_path, "6", 0.01), failing_worker(tmp_path)]):
        wait_until_over(launcher)
        assert launcher.complaints() == [f"no study in {SECRET}"]
    ended = [r for r in records(tmp_path) if r.status in ("finished", "stopped")]
    assert len(ended) == 6


def test_an_interrupt_ends_the_workers_and_gives_their_trials_back(launcher: Launcher, tmp_path: Path) -> None:
    starts = [fake_worker(tmp_path, "999", 0.05)] * 2
    starts = [Start(s.command, {**s.environment, STORAGE_VARIABLE: SECRET}, s.folder) for s in starts]
    commands: list[str] = []

    def search() -> None:
        with running(launcher, starts):
            wait_for_trials(launcher, tmp_path, 3)
            commands.append(running_commands())
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        search()
    assert str(SCRIPT) in commands[0]
    assert SECRET not in commands[0], "a password would be seen by every user of the machine"
    assert str(tmp_path) not in running_commands()
    left = records(tmp_path)
    assert not [r for r in left if r.status == "running"]
    assert {r.reason for r in left if r.status == "failed"} <= {"interrupted; queued again"}


def test_a_cluster_that_can_never_hold_the_workers_is_found_before_they_start(cluster: str, tmp_path: Path) -> None:
    launcher = make_launcher("ray", [f"address={cluster}"], device="auto", folder=tmp_path)
    with (
        pytest.raises(LauncherError, match="of 2 nodes has room for 2 workers of 1 cores, not for 3"),
        running(launcher, [fake_worker(tmp_path, "1", 0)] * 3),
    ):
        pass
    launcher = make_launcher("ray", [f"address={cluster}", "gpus=0.5"], device="auto", folder=tmp_path)
    with (
        pytest.raises(LauncherError, match=r"0 workers of 1 cores and 0\.5 GPUs"),
        running(launcher, [Start((), {}, "")]),
    ):
        pass


def test_a_worker_that_does_not_listen_is_killed(tmp_path: Path) -> None:
    code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); time.sleep(60)"
    process = WorkerProcess(Start((sys.executable, "-c", code), {}, str(tmp_path)))
    time.sleep(0.5)
    process.interrupt()
    assert process.wait(0.2).code in (-9, -15)
    process.close()


def test_the_command_of_a_worker_carries_no_storage() -> None:
    start = worker_start(["--study", "mine"], "postgresql+psycopg://me:secret@host/db")
    assert start.command == (sys.executable, "-m", "utsearch", "worker", "--study", "mine")
    assert start.environment[STORAGE_VARIABLE].endswith("secret@host/db")
    assert worker_start([], None).environment.keys() == {"PYTHONPATH"}


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("lokal", [], "no launcher 'lokal'; there are local, ray, slurm"),
        ("local", ["cpus=1"], "local has no option 'cpus=1'; there are none"),
        ("slurm", ["partitoin=gpu"], "did you mean partition"),
        ("slurm", ["partition"], "slurm has no option 'partition'; there are cluster="),
        ("slurm", ["minutes=soon"], "slurm option minutes: time limit of each job, a whole number"),
        ("slurm", ["partition=gpu --wrap=reboot"], "slurm option partition"),
        ("slurm", ["account=a\nb"], "slurm option account"),
        ("slurm", [], "there is no Slurm here"),
        ("ray", ["placement=random"], "ray option placement: spread"),
        ("ray", ["gpus=-1"], "ray option gpus"),
        ("ray", ["address=127.0.0.1:9"], "nothing answers at 127.0.0.1:9"),
    ],
)
def test_options_are_checked(
    name: str, options: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")  # a machine without srun
    if name in ("ray", "slurm"):
        needs({"ray": "ray", "slurm": "submitit"}[name])
    with pytest.raises(LauncherError, match=message):
        make_launcher(name, options, device="cpu", folder=tmp_path)
