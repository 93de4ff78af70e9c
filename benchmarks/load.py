"""Many workers with simulated training on one storage: nothing lost, doubled or stuck, and what a trial costs.

    python benchmarks/load.py --storage postgresql+psycopg://me@localhost/studies --trials 10000 --workers 64
    python benchmarks/load.py --storage URL --trials 200 --workers 1 2 4 8 16 32 64 --out benchmarks/results/load.json

**Simulated**: a trial sleeps `--seconds` for all its rungs together and returns recorded learning curves of the tabular
benchmark, one drawn for each design by its digest; the study's settings say so. Everything else is the real search:
the worker's loop, claims, early stopping (`regret`), and the storage. A worker is a process without torch.
"""

import argparse
import json
import os
import subprocess
import sys
import time
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from made_by import made_by

from utsearch.design import Design, FormInfo
from utsearch.files import write_atomic
from utsearch.search import Budget, Record, Study, make_rule, open_study, prepare, search
from utsearch.search.record import latest
from utsearch.space import Space, load_space
from utsearch.tabular import open_table
from utsearch.tabular.replay import Recorded
from utsearch.tabular.table import Curve, Epoch

DATABASE = ("utsearch", "optuna", "sqlalchemy", "psycopg")
RANKS = [1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64]
SLOTS = ("ffn", "mha", "qkv", "proj")
CATALOGUE = {"lora": FormInfo("lora", SLOTS, True)}
SPACE = """title = "simulated load"
[hypervolume]
p0 = 100
p_max = 1_000_000
[positions]
first = [0.0, 0.25, 0.5, 0.75]
count = [0.25, 0.5, 1.0]
""" + "".join(f'[slots.{s}]\nsites = ["{s}"]\n[slots.{s}.forms.lora]\nrank = {RANKS}\n' for s in SLOTS)
RUNG_EPOCHS = (1, 2)


def ends_of(curve: Curve) -> list[Epoch]:
    """Of a recorded curve the epochs that end a rung: the last one always does."""
    return [*(epoch for epoch in curve[:-1] if epoch.epoch in RUNG_EPOCHS), curve[-1]]


@dataclass(frozen=True)
class Known:
    """A design as a search resolves it."""

    design: Design
    digest: str
    n_params: int


@dataclass
class Slept:
    """Stands for a run: sleeps, and returns a recorded curve."""

    curve: Curve
    seconds: float
    done: int = 0  # rungs of the run that it goes on with
    notice: str = ""
    cost: Mapping[str, float] = field(default_factory=dict)

    def rungs(self) -> Iterator[Recorded]:
        """Each takes its share of the seconds."""
        ends = ends_of(self.curve)
        for index, end in enumerate(ends[self.done :], start=self.done):
            time.sleep(self.seconds / len(ends))
            measured = (end.top1, 0.005, end.loss, end.balanced, end.ece)
            self.done = index + 1
            yield Recorded(index, end.epoch, *measured, 0.0, end.seconds, end is ends[-1])

    def save(self, path: Path) -> None:
        """How far it came: no weights were trained."""
        write_atomic(path, str(self.done))


@dataclass
class Simulated:
    """Stands for `utsearch.training.Problem`."""

    seconds: float
    curves: tuple[Curve, ...]
    depth: int = 12
    n_head: int = 1000
    floor: float = 0.4
    known: Mapping[str, Design] = field(default_factory=dict)

    @property
    def settings(self) -> dict[str, Any]:
        """Marked as simulated."""
        about = {"simulated": f"sleeps {self.seconds} s a trial; recorded curves drawn by digest"}
        named = {key: {"name": "simulated"} for key in ("dataset", "backbone")}
        return {**named, "recipe": {"epochs": 8}, **about}

    def resolve(self, design: Design) -> Known:
        """Any design."""
        size = sum(100 * (s.rank or 1) * len(s.blocks.resolve(self.depth)) for s in design.slots)
        return Known(design, f"{zlib.crc32(str(design).encode()):08x}{zlib.adler32(str(design).encode()):08x}", size)

    def start(self, design: Design, seed: int = 0, *, resume: Path | None = None) -> Slept:
        """One of the recorded curves, from the rung after the one where a stopped run was left."""
        curve = self.curves[zlib.crc32(str(design).encode()) % len(self.curves)]
        return Slept(curve, self.seconds, 0 if resume is None else int(resume.read_text()))


def simulated(seconds: float, folder: Path) -> tuple[Simulated, Space]:
    """The problem and its space."""
    path = folder / "load.toml"
    if not path.exists():
        write_atomic(path, SPACE)
    curves = open_table().curves
    return Simulated(seconds, tuple(curves[key] for key in sorted(curves))), load_space(str(path), CATALOGUE)


def work(arguments: argparse.Namespace) -> None:
    """One worker; prints its processor seconds."""
    problem, space = simulated(arguments.seconds, arguments.folder)
    study = prepare(problem, space, arguments.study, storage_url=arguments.storage, studies_dir=arguments.folder)
    begun = time.process_time()
    rule, until = make_rule("regret"), arguments.trials[0]
    options: dict[str, Any] = {"sampler": "random", "rule": rule, "until": until, "stream": arguments.stream}
    search(problem, space, study, Budget(seconds=3600), **options)
    print(json.dumps({"cpu": time.process_time() - begun, "torch": "torch" in sys.modules}))


def start(arguments: argparse.Namespace, study: str, until: int, stream: int) -> "subprocess.Popen[str]":
    """A worker in a process of its own."""
    words = ["--folder", str(arguments.folder), "--study", study, "--trials", str(until), "--stream", str(stream)]
    environment = {**os.environ, "UTSEARCH_STORAGE": arguments.storage, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-W", "ignore", __file__, "--seconds", str(arguments.seconds), *words]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)


def problems(records: list[Record], until: int, workers: int) -> list[str]:
    """What is lost, doubled or stuck."""
    counted = [r for r in latest(records) if r.status in ("finished", "stopped")]
    found = [f"{d} was trained {n} times" for d, n in Counter(r.digest for r in counted).items() if n > 1]
    found += [f"trial {r.number} is {r.status}" for r in records if r.status in ("running", "waiting")]
    found += [f"trial {r.number} has no result" for r in counted if r.top1 is None]
    if not until <= len(counted) < until + workers:
        found.append(f"{len(counted)} trials count, {until} were asked for")
    return found


def measure(arguments: argparse.Namespace, trials: int, workers: int) -> dict[str, Any]:
    """One study with so many workers."""
    name = f"load-{workers}-{int(time.time())}"
    problem, space = simulated(arguments.seconds, arguments.folder)
    study = prepare(problem, space, name, storage_url=arguments.storage, studies_dir=arguments.folder)
    processes = [start(arguments, name, trials, i + 1) for i in range(workers)]
    told = [json.loads(process.communicate()[0]) for process in processes]
    assert not any(one["torch"] for one in told), "a simulated worker needs no torch"
    records = study.records()
    result = {"study": name, "workers": workers, "trials": trials, **rate(study), **pages(study, arguments)}
    cpu = sum(one["cpu"] for one in told)
    return {**result, "cpu_ms_per_trial": round(1000 * cpu / trials, 1), "problems": problems(records, trials, workers)}


def rate(study: Study) -> dict[str, float]:
    """Trials per second between the first start, when all workers were loading still, and the last end."""
    ended = [t for t in study.optuna.get_trials(deepcopy=False) if t.datetime_complete and t.datetime_start]
    times = sorted(t.datetime_complete for t in ended if t.user_attrs.get("status") in ("finished", "stopped"))
    low, high = len(times) // 10, len(times) - 1 - len(times) // 10  # without the workers' starts and ends
    seconds = (times[high] - times[low]).total_seconds()
    busy = [(t.datetime_complete - t.datetime_start).total_seconds() for t in ended]
    return {"per_second": round((high - low) / seconds, 2), "seconds_per_trial": round(sum(busy) / len(busy), 3)}


def pages(study: Study, arguments: argparse.Namespace) -> dict[str, float]:
    """Seconds to open the study, and to compute its front."""
    from utsearch.search import front_records

    begun = time.perf_counter()
    records = open_study(study.name, arguments.storage, studies_dir=arguments.folder).records()
    opened = time.perf_counter() - begun
    front_records(records)
    return {"open_seconds": round(opened, 2), "front_seconds": round(time.perf_counter() - begun - opened, 3)}


def main() -> None:
    """Parse the command line, run, tell."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--storage", default=os.environ.get("UTSEARCH_STORAGE"))
    parser.add_argument("--trials", type=int, nargs="+", default=[200], help="one number, or one for each of --workers")
    parser.add_argument("--workers", type=int, nargs="+", default=[64])
    parser.add_argument("--seconds", type=float, default=2.0, help="a trial sleeps")
    parser.add_argument("--folder", type=Path, default=Path("studies"))
    parser.add_argument("--out", type=Path)
    parser.add_argument("--study", help=argparse.SUPPRESS)
    parser.add_argument("--stream", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.stream is not None:
        work(arguments)
        return
    trials = arguments.trials * len(arguments.workers) if len(arguments.trials) == 1 else arguments.trials
    rows = []
    for workers, n in zip(arguments.workers, trials, strict=True):
        rows.append(measure(arguments, n, workers))
        print(json.dumps(rows[-1]), flush=True)
    if arguments.out:
        about = {"made_by": made_by(DATABASE), "simulated": f"a trial sleeps {arguments.seconds} s"}
        write_atomic(arguments.out, json.dumps({**about, "rows": rows}, indent=1) + "\n")
    raise SystemExit(any(row["problems"] for row in rows))


if __name__ == "__main__":
    main()
