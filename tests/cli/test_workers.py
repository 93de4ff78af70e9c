"""Several workers on one study, through the command line."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from command_line import Run
from PIL import Image

from utsearch.cli.workers import check_shared, share
from utsearch.errors import UserError
from utsearch.launch.local import LocalLauncher
from utsearch.search import StudyError, open_study
from utsearch.search.study import command_line

CLI = Path(__file__).parents[2] / "cli.py"


def images(folder: Path) -> Path:
    for c in range(3):
        (folder / f"kind{c}").mkdir(parents=True)
        for i in range(8):
            Image.new("RGB", (70, 64), (60 + 80 * c, 20 * i, 255 - 80 * c)).save(folder / f"kind{c}" / f"{i}.png")
    return folder


def command(folder: Path, *words: str) -> list[str]:
    common = ["--studies", str(folder / "studies"), "--study", "mine", "--device", "cpu"]
    return [sys.executable, "-W", "ignore", str(CLI), *words, *common]


def files_of(folder: Path) -> dict[str, int]:
    """Entries of a cache, and which file each is: one that is written again is another."""
    return {path.name: path.stat().st_ino for path in folder.glob("*.f32")}


def finished(folder: Path) -> int:
    if not (folder / "studies" / "mine.db").exists():
        return 0
    try:
        records = open_study("mine", studies_dir=folder / "studies").records()
    except StudyError:  # the search has made the file and not yet the study
        return 0
    return len([r for r in records if r.status in ("finished", "stopped")])


@pytest.mark.timeout(280)
def test_two_workers_share_a_budget_and_a_third_joins(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(CLI.parent), "OMP_NUM_THREADS": "1"}
    environment["UTSEARCH_CACHE"] = str(tmp_path / "cache")
    data = images(tmp_path / "data")
    words = command(tmp_path, "search", "--dataset", str(data), "--budget", "10", "--workers", "2")
    done = subprocess.run(words, capture_output=True, text=True, env=environment, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "The budget is used up." in done.stdout, done.stdout[-2000:]
    study = open_study("mine", studies_dir=tmp_path / "studies")
    records = [r for r in study.records() if r.status in ("finished", "stopped")]
    assert 10 <= len(records) <= 11
    assert len({r.digest for r in records}) == len(records)
    assert len({t.user_attrs["worker"]["pid"] for t in study.optuna.trials if "worker" in t.user_attrs}) == 2
    assert done.stdout.count(" finished: ") + done.stdout.count(" stopped") >= 10

    filled = files_of(tmp_path / "cache" / "prefix")
    assert filled, "the search has filled the prefix cache"
    joined = subprocess.run(
        command(tmp_path, "worker", "--budget", "2", "--pack", "2"), capture_output=True, text=True, env=environment
    )
    assert joined.returncode == 0, joined.stderr
    assert len([r for r in study.records() if r.status in ("finished", "stopped")]) == len(records) + 2
    assert files_of(tmp_path / "cache" / "prefix").items() >= filled.items(), "what is there is read, not made again"
    assert study.sessions[0]["command"].startswith("cli.py search")


@pytest.mark.timeout(280)
def test_interrupting_the_search_ends_its_workers_and_loses_nothing(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(CLI.parent), "OMP_NUM_THREADS": "1"}
    data = images(tmp_path / "data")
    words = command(tmp_path, "search", "--dataset", str(data), "--budget", "1h", "--workers", "2")
    search = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment)
    deadline = time.monotonic() + 200
    while time.monotonic() < deadline and finished(tmp_path) < 3:
        time.sleep(0.2)
    search.send_signal(signal.SIGINT)
    out, err = search.communicate(timeout=120)
    assert search.returncode == 130, err
    assert finished(tmp_path) >= 3
    records = open_study("mine", studies_dir=tmp_path / "studies").records()
    assert not [r for r in records if r.status == "running"]
    assert b"Interrupted" in out


def test_cores_are_shared_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("utsearch.cli.workers._cores", lambda: 8)
    words = share(["--study", "mine"], 3, "cpu", None)
    assert [w[-5:] for w in words] == [["cpu", "--stream", str(i), "--threads", "2"] for i in (1, 2, 3)]
    assert share([], 1, "cpu", 7)[0][-1] == "7"
    assert [w[1::4] for w in share([], 2, "cuda", None, cpus=4)] == [["cuda", "4"]] * 2  # the engine hands out GPUs


def test_a_sqlite_file_is_for_one_machine() -> None:
    class Elsewhere(LocalLauncher):
        def one_machine(self) -> bool:
            return False

    for storage in (None, "sqlite:////shared/studies.db"):
        check_shared(LocalLauncher(), storage)
        with pytest.raises(UserError, match="several machines need a storage that they can share"):
            check_shared(Elsewhere(), storage)
    check_shared(Elsewhere(), "postgresql+psycopg://me@server/studies")


def test_a_wrong_launcher_ends_in_one_line_before_anything_is_read(run: Run) -> None:
    code, out, err = run("search", "--launcher", "lokal")
    assert (code, out, err) == (2, "", "error: no launcher 'lokal'; there are local, ray, slurm\n")
    code, out, err = run("search", "--launcher-option", "cpus=3")
    assert (code, out, err) == (2, "", "error: local has no option 'cpus=3'; there are none\n")


def test_a_password_is_not_kept() -> None:
    kept = command_line(["/home/me/cli.py", "search", "--storage", "postgresql+psycopg://me:secret@host/db"])
    assert kept == "cli.py search --storage postgresql+psycopg://me:***@host/db"
