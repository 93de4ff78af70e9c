"""Two machines search one study on a third one's PostgreSQL, and their network is cut while they train.

    python benchmarks/two_machines.py --folder /tmp/two --out benchmarks/results/two-machines.json    # as root

The machines are network namespaces with a host name and process numbers of their own, joined by a bridge: what the
kernel gives to containers. Each runs `cli.py worker --study … --storage URL` with a folder of its own for weights and
caches, and trains for real, a small part of mini-birds. Then the one's link goes down for `--cut` seconds while the
other goes on, and later both go down. Exit code 1 if a trial was lost, changed, trained twice or left running.
"""

import argparse
import ctypes
import json
import os
import platform
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "helpers"))
from load import problems
from postgres_server import Server, postgres

from utsearch.files import write_atomic
from utsearch.search import Record, Study, StudyError, open_study

CLI = Path(__file__).parents[1] / "cli.py"
STUDY = "two"
NET = "10.213.77"
MACHINES = ("one", "two")
CLONE_NEWNET = 0x40000000


def ip(*words: str) -> None:
    """Run iproute2."""
    subprocess.run(["ip", *words], check=True)


def space(name: str) -> str:
    """A network namespace of this run."""
    return f"ut{os.getpid()}-{name}"


@contextmanager
def network() -> Iterator[None]:
    """Three machines on one switch; `db` holds the switch, so a machine's cable is unplugged there."""
    made = ["db", *MACHINES]
    try:
        for name in made:
            ip("netns", "add", space(name))
            ip("-n", space(name), "link", "set", "lo", "up")
        ip("-n", space("db"), "link", "add", "switch", "type", "bridge")
        ip("-n", space("db"), "addr", "add", f"{NET}.1/24", "dev", "switch")
        ip("-n", space("db"), "link", "set", "switch", "up")
        for number, name in enumerate(MACHINES, start=2):
            peer = ["peer", "name", "eth0", "netns", space(name)]
            ip("-n", space("db"), "link", "add", f"to-{name}", "type", "veth", *peer)
            ip("-n", space("db"), "link", "set", f"to-{name}", "master", "switch", "up")
            ip("-n", space(name), "addr", "add", f"{NET}.{number}/24", "dev", "eth0")
            ip("-n", space(name), "link", "set", "eth0", "up")
        yield
    finally:
        for name in made:
            subprocess.run(["ip", "netns", "delete", space(name)], check=False)


def enter(name: str) -> None:
    """This thread, and what it starts, is on a machine from here on."""
    with open(f"/var/run/netns/{space(name)}") as file:
        if ctypes.CDLL(None, use_errno=True).setns(file.fileno(), CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), f"cannot enter {name}")


def plug(names: tuple[str, ...], state: str) -> None:
    """Cables `up` or `down`."""
    for name in names:
        ip("-n", space("db"), "link", "set", f"to-{name}", state)


@dataclass
class Machine:
    """A worker with a network, a host name, process numbers and a folder of its own."""

    name: str
    folder: Path

    def start(self, words: list[str]) -> "subprocess.Popen[str]":
        """A command of the command line there."""
        self.folder.mkdir(parents=True, exist_ok=True)
        alone = ["unshare", "--uts", "--pid", "--fork", "--kill-child", "--mount-proc"]
        named = ["sh", "-c", f'hostname {self.name} && exec "$@"', "sh"]
        command = [sys.executable, "-W", "ignore", str(CLI), *words, "--studies", str(self.folder / "studies")]
        environment = {**os.environ, "UTSEARCH_CACHE": str(self.folder / "cache"), "OMP_NUM_THREADS": "1"}
        return subprocess.Popen(
            ["ip", "netns", "exec", space(self.name), *alone, *named, *command],
            stdout=(self.folder / "out").open("a"),
            stderr=(self.folder / "errors").open("a"),
            text=True,
            env=environment,
        )

    def said(self) -> str:
        """What its commands wrote to stderr."""
        return (self.folder / "errors").read_text()

    def has_weights(self, number: int) -> bool:
        """Of a trial."""
        return (self.folder / "studies" / STUDY / f"trial-{number}.safetensors").is_file()


@contextmanager
def database() -> Iterator[Server]:
    """PostgreSQL that the machines may reach."""
    with postgres(f"{NET}.1") as server:
        with (server.folder / "data" / "pg_hba.conf").open("a") as file:
            file.write(f"host all all {NET}.0/24 trust\n")
        server.restart()
        yield server


def counted(study: Study) -> dict[int, Record]:
    """Trials that have ended, by number."""
    return {r.number: r for r in study.records() if r.status in ("finished", "stopped")}


def hosts(study: Study) -> dict[int, str]:
    """Which machine took which trial."""
    trials = study.optuna.get_trials(deepcopy=False)
    return {t.number: t.user_attrs["worker"]["host"] for t in trials if "worker" in t.user_attrs}


@dataclass
class Watch:
    """What happens in the study while the machines work."""

    study: Study
    workers: "list[subprocess.Popen[str]]"
    machines: list[Machine]

    def wait_for(self, trials: int) -> None:
        """Until so many have ended."""
        while len(counted(self.study)) < trials:
            for worker, machine in zip(self.workers, self.machines, strict=True):
                if worker.poll():
                    raise SystemExit(f"the worker on {machine.name} ended: {machine.said()}")
            time.sleep(0.5)

    def cut(self, names: tuple[str, ...], seconds: float) -> dict[str, Any]:
        """Unplug machines for a while; what was lost by it, and who ended how many trials meanwhile."""
        before = counted(self.study)
        plug(names, "down")
        time.sleep(seconds)
        meanwhile = counted(self.study)
        plug(names, "up")
        where = hosts(self.study)
        ended = Counter(where[number] for number in meanwhile.keys() - before.keys())
        lost = [f"trial {n} was lost or changed" for n, record in before.items() if meanwhile.get(n) != record]
        return {"cut": list(names), "seconds": seconds, "ended_meanwhile": dict(ended), "problems": lost}


def run(asked: argparse.Namespace, server: Server) -> dict[str, Any]:
    """The whole scene, seen from the database's machine."""
    machines = [Machine(name, asked.folder / name) for name in MACHINES]
    url = server.url()
    small = ["--classes", "6", "--shots", "10", "--recipe", f"epochs={asked.epochs}", "--pruner", "none"]
    begin = machines[0].start(
        ["search", "--study", STUDY, "--storage", url, "--budget", "1", "--device", "cpu", *small]
    )
    if begin.wait():
        raise SystemExit(machines[0].said())
    study = open_study(STUDY, url, studies_dir=asked.folder)
    words = ["worker", "--study", STUDY, "--storage", url, "--budget", "10h", "--until", str(asked.trials)]
    words += ["--device", "cpu", "--threads", "1"]
    with ExitStack() as ending:
        workers = [machine.start([*words, "--stream", str(i)]) for i, machine in enumerate(machines, start=1)]
        for worker in workers:
            ending.callback(worker.kill)
        watch = Watch(study, workers, machines)
        watch.wait_for(asked.trials // 4)
        cuts = [watch.cut(MACHINES[1:], asked.cut)]
        watch.wait_for(asked.trials // 2)
        before = counted(study)
        cuts.append(watch.cut(MACHINES, asked.cut))
        watch.wait_for(asked.trials)
        codes = [worker.wait(600) for worker in workers]
    return {**judge(asked, study, machines), "exit_codes": codes, "cuts": cuts, "before": len(before)}


def judge(asked: argparse.Namespace, study: Study, machines: list[Machine]) -> dict[str, Any]:
    """Who trained what, and what is wrong."""
    records, where = study.records(), hosts(study)
    ended = counted(study)
    found = problems(records, asked.trials, len(machines))
    by_name = {machine.name: machine for machine in machines}
    found += [f"trial {n} has no weights on {where[n]}" for n in ended if not by_name[where[n]].has_weights(n)]
    notices = {machine.name: machine.said().count("answers again") for machine in machines}
    return {
        "trials": dict(Counter(record.status for record in records)),
        "ended_by": dict(Counter(where[number] for number in ended)),
        "given_back": sum("queued again" in str(record.reason) for record in records),
        "outages_waited_out": notices,
        "problems": found,
    }


def main() -> None:
    """Read the command line, run, tell."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True, help="scratch; emptied at the start")
    parser.add_argument("--trials", type=int, default=40)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--cut", type=float, default=60.0, help="seconds that a link is down")
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    if os.geteuid() or not (shutil.which("ip") and shutil.which("unshare")):
        raise SystemExit("network namespaces take root, and ip (Debian: iproute2) and unshare (util-linux)")
    asked.folder = asked.folder.absolute()
    with suppress(FileNotFoundError):
        shutil.rmtree(asked.folder)
    with network():
        enter("db")
        try:
            with database() as server:
                result = run(asked, server)
        except StudyError as error:
            raise SystemExit(f"error: {error}") from error
    bad = result["problems"] + [line for cut in result["cuts"] for line in cut["problems"]]
    about = {
        "command": f"python benchmarks/two_machines.py --folder FOLDER --trials {asked.trials} "
        f"--epochs {asked.epochs} --cut {asked.cut:g}",
        "machine": f"{platform.machine()}, {os.cpu_count()} cores for all three",
        "versions": {name: version(name) for name in ("utsearch", "torch", "optuna", "sqlalchemy", "psycopg")},
    }
    print(json.dumps(result))
    if asked.out:
        write_atomic(asked.out, json.dumps({"made_by": about, **result}, indent=1) + "\n")
    raise SystemExit(bool(bad or any(result["exit_codes"])))


if __name__ == "__main__":
    main()
