"""What more workers are worth: throughput of N against N times that of one.

    python benchmarks/scale.py real --rounds 3 --out benchmarks/results/scale-real.json
    python benchmarks/scale.py simulated --storage postgresql+psycopg://me@localhost/studies --seconds 20 \
        --out benchmarks/results/scale-simulated.json
    python benchmarks/scale.py draw --picture docs/images/scale.png      # both results; takes Chromium

`real` trains: the command line's own workers, one thread each, on one study, one of them against as many as there are
cores; and one worker with all cores as threads. All train the same designs, in turn, `--rounds` times over.

`simulated` starts the workers of `benchmarks/load.py`: a trial **sleeps** `--seconds` for all its rungs, so a machine
with few cores can stand for many; everything else is the real search. Its efficiency is the share of a worker's time in
which it slept, so it does not matter that early stopping makes trials of unequal length.

Both count from the moment when the last worker has ended its first trial until the first worker ends its last one.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import load
from made_by import made_by
from optuna.trial import FrozenTrial

from utsearch.files import write_atomic
from utsearch.search import Study, open_study
from utsearch.tabular import open_table

RESULTS = Path(__file__).parent / "results"
COUNTED = ("finished", "stopped")
MEASURED = ("utsearch", "torch", "timm", "optuna", "sqlalchemy")


@dataclass(frozen=True)
class Ended:
    """When a trial ended, and what it was worth: 1 for a trained one, the seconds it slept for a simulated one."""

    when: datetime
    worth: float


def steady(ends: Sequence[Sequence[Ended]]) -> float:
    """Worth per second of all workers together, while all of them worked.

    Args:
        ends: of each worker, what it ended, in order of time.

    Raises:
        ValueError: a worker ended less than two trials in that time.
    """
    begin, end = max(own[0].when for own in ends), min(own[-1].when for own in ends)
    total = 0.0
    for own in ends:
        inside = [one for one in own if begin <= one.when <= end]
        if len(inside) < 2:
            raise ValueError("a worker ended less than two trials while all of them worked: more trials are needed")
        total += sum(one.worth for one in inside[1:]) / (inside[-1].when - inside[0].when).total_seconds()
    return total


def by_worker(study: Study, seconds: float | None) -> list[list[Ended]]:
    """What each process ended; trials that slept `seconds` for each of their rungs are worth what they slept."""
    found: dict[int, list[Ended]] = defaultdict(list)
    for trial in study.optuna.get_trials(deepcopy=False):
        if trial.user_attrs.get("status") in COUNTED and trial.datetime_complete is not None:
            worth = 1.0 if seconds is None else seconds * rungs_slept(trial)
            found[trial.user_attrs["worker"]["pid"]].append(Ended(trial.datetime_complete, worth))
    return [sorted(own, key=lambda one: one.when) for own in found.values()]


def rungs_slept(trial: FrozenTrial) -> int:
    """The rungs that it played itself, not the trial that it went on with."""
    return sum("trial" not in rung for rung in trial.user_attrs["rungs"])


# simulated


def simulated(asked: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """A row for each number of workers."""
    first, rungs = None, len(load.ends_of(next(iter(open_table().curves.values()))))
    for workers in asked.workers:
        row = load.measure(asked, asked.each * workers, workers)
        study = open_study(row.pop("study"), asked.storage, studies_dir=asked.folder)
        ends = by_worker(study, asked.seconds / rungs)
        assert len(ends) == workers, f"{len(ends)} of {workers} workers ended a trial"
        busy = steady(ends) / workers
        first = busy if first is None else first
        yield {**row, "busy": round(busy, 4), "efficiency": round(busy / first, 4)}


# real


@dataclass(frozen=True)
class Lane:
    """So many workers of so many threads."""

    workers: int
    threads: int

    @property
    def name(self) -> str:
        """As the results have it."""
        return f"{self.workers} x {self.threads}"


class Training:
    """A small task that workers of the command line train designs on, one study for each lane."""

    def __init__(self, asked: argparse.Namespace, folder: Path) -> None:
        from utsearch.data import Subset
        from utsearch.forms import info
        from utsearch.pareto import Scale
        from utsearch.space import load_space
        from utsearch.training import Recipe, open_problem

        self._designs = [asked.design.format(rank=1 + i) for i in range(asked.trials)]
        self._folder = folder
        subset = Subset(classes=asked.classes, shots=asked.shots)
        recipe = Recipe.parse(f"epochs={asked.epochs}")
        self._problem = open_problem("mini-birds", "vit_mini", recipe=recipe, device="cpu", seed=0, subset=subset)
        self._space = load_space("mini", info())
        box = self._space.hypervolume
        self._scale = Scale(box.p0, box.p_max, min(self._problem.floor, 0.999))

    def measure(self, lane: Lane, trials: int | None = None) -> dict[str, Any]:
        """Trials per second of a lane, and the share of the machine that others took meanwhile."""
        from utsearch.launch import running, worker_start
        from utsearch.launch.local import LocalLauncher

        study = self._study(lane)
        words = ["--study", study.name, "--studies", str(self._folder), "--device", "cpu", "--budget", "100h"]
        words += ["--threads", str(lane.threads), "--until", str(trials or len(self._designs))]
        starts = [worker_start([*words, "--stream", str(i + 1)], None) for i in range(lane.workers)]
        launcher = LocalLauncher()
        with threads_of(lane.threads), others() as taken, running(launcher, starts):
            while launcher.alive():
                time.sleep(0.5)
            assert not launcher.complaints(), launcher.complaints()
        ends = by_worker(study, None)
        assert len(ends) == lane.workers, f"{len(ends)} of {lane.workers} workers ended a trial"
        told = {"lane": lane.name, "workers": lane.workers, "threads": lane.threads, "others": taken[0]}
        return told if trials else {**told, "per_second": round(steady(ends), 5)}

    def _study(self, lane: Lane) -> Study:
        """A new study in which nothing but the designs is queued; its workers queue the known ones behind them."""
        from utsearch.search import note_search
        from utsearch.search.queue import GIVEN
        from utsearch.search.samplers import OUTSIDE
        from utsearch.search.study import start_or_resume

        name = f"scale-{lane.workers}-{lane.threads}-{time.time_ns()}"
        settings, where = self._problem.settings, {"storage_url": None, "studies_dir": self._folder}
        study = start_or_resume(name, settings, self._space, self._scale, **where, on_beat=lambda study: None)
        for design in self._designs:
            study.optuna.enqueue_trial({}, user_attrs={GIVEN: design, OUTSIDE: True})
        note_search(self._problem, study, sampler="random", pruner="none", seed=0, max_params=None)
        return study


@contextmanager
def threads_of(threads: int) -> Iterator[None]:
    """Workers started inside find this number in OMP_NUM_THREADS."""
    before = os.environ.get("OMP_NUM_THREADS")
    os.environ["OMP_NUM_THREADS"] = str(threads)
    try:
        yield
    finally:
        os.environ.pop("OMP_NUM_THREADS")
        if before is not None:
            os.environ["OMP_NUM_THREADS"] = before


@contextmanager
def others() -> Iterator[list[float]]:
    """Filled at the end with the share of all cores that processes took which are no children of this one."""
    taken: list[float] = []
    before, busy, began = own_seconds(), machine_seconds(), time.monotonic()
    yield taken
    passed = (time.monotonic() - began) * (os.cpu_count() or 1)
    taken.append(round(max(0.0, machine_seconds() - busy - own_seconds() + before) / passed, 3))


def own_seconds() -> float:
    """Processor time of this process and its children that have ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def machine_seconds() -> float:
    """Processor time of everything since the machine started: user, nice, system, interrupts and stolen time."""
    ticks = [int(word) for word in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    return (sum(ticks) - ticks[3] - ticks[4]) / os.sysconf("SC_CLK_TCK")


def real(asked: argparse.Namespace) -> dict[str, Any]:
    """Every lane in turn, `rounds` times; medians of the ratios."""
    cores = asked.cores
    lanes = [Lane(1, 1), Lane(cores, 1), Lane(1, cores)]
    with tempfile.TemporaryDirectory() as folder:
        training = Training(asked, Path(folder))
        training.measure(lanes[0], trials=1)  # decodes and fills the prefix cache
        rounds = []
        for number in range(asked.rounds):
            order = lanes if number % 2 == 0 else lanes[::-1]
            rounds.append({lane.name: training.measure(lane) for lane in order})
            print(json.dumps(rounds[-1]), flush=True)
    one, many, wide = ([found[lane.name]["per_second"] for found in rounds] for lane in lanes)
    efficiency = [m / (cores * o) for m, o in zip(many, one, strict=True)]
    against = [m / w for m, w in zip(many, wide, strict=True)]
    return {
        "cores": cores,
        "efficiency": round(statistics.median(efficiency), 4),
        "efficiencies": [round(e, 4) for e in efficiency],
        "workers_against_threads": round(statistics.median(against), 4),
        "rounds": [list(found.values()) for found in rounds],
    }


# telling


def draw(asked: argparse.Namespace) -> None:
    """A picture of both results: what N workers are worth, and their efficiency."""
    import plotly.graph_objects as go
    from plotly.subplots import make_subplots

    figure = make_subplots(1, 2, subplot_titles=("trials trained at once, on average", "efficiency"))
    for path, name, colour in ((asked.simulated, "simulated", "#0072b2"), (asked.real, "real training", "#d55e00")):
        if not path.exists():
            continue
        points = points_of(json.loads(path.read_text()))
        style: dict[str, Any] = {"name": name, "marker": {"color": colour, "size": 8}, "mode": "lines+markers"}
        x, y = [p[0] for p in points], [p[1] for p in points]
        figure.add_trace(go.Scatter(x=x, y=[n * e for n, e in points], **style), 1, 1)
        figure.add_trace(go.Scatter(x=x, y=y, showlegend=False, **style), 1, 2)
    ticks = [2**i for i in range(7)]
    ideal: dict[str, Any] = {"mode": "lines", "line": {"color": "#9498a0", "dash": "dot"}}
    figure.add_trace(go.Scatter(x=ticks, y=ticks, name="one for each worker", **ideal), 1, 1)
    figure.add_hline(0.9, line={"color": "#9498a0", "dash": "dot"}, annotation_text="0.9", col=2, row=1)
    figure.update_xaxes(type="log", tickvals=ticks, ticktext=[str(t) for t in ticks], title="workers")
    figure.update_yaxes(type="log", tickvals=ticks, ticktext=[str(t) for t in ticks], col=1, row=1)
    figure.update_yaxes(range=[0, 1.1], col=2, row=1)
    figure.update_layout(template="plotly_white", width=960, height=400, margin={"t": 50, "b": 50, "l": 50, "r": 20})
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "page.html"
        page.write_text(f'<body style="margin:0">{figure.to_html(full_html=False, config={"staticPlot": True})}</body>')
        photograph(page, asked.picture.absolute(), 960, 400)


def points_of(result: dict[str, Any]) -> list[tuple[int, float]]:
    """Workers and efficiency."""
    if "rows" in result:
        return [(row["workers"], row["efficiency"]) for row in result["rows"]]
    return [(1, 1.0), (result["cores"], result["efficiency"])]


def photograph(page: Path, picture: Path, width: int, height: int) -> None:
    """A page as a PNG of twice its size."""
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--force-device-scale-factor=2"]
    flags += [f"--window-size={width},{height}", "--virtual-time-budget=10000", f"--screenshot={picture}"]
    command = ["chromium", *flags, f"--user-data-dir={page.parent / 'profile'}", page.as_uri()]
    subprocess.run(command, check=True, capture_output=True, timeout=120)


def main() -> None:
    """Read the command line, measure, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="what", required=True)
    training = commands.add_parser("real", help=real.__doc__)
    training.add_argument("--rounds", type=int, default=3)
    training.add_argument("--trials", type=int, default=12, help="designs that each lane trains")
    training.add_argument("--cores", type=int, default=os.cpu_count())
    training.add_argument("--classes", type=int, default=10)
    training.add_argument("--shots", type=int, default=20)
    training.add_argument("--epochs", type=int, default=2)
    training.add_argument("--design", default="ffn:adapter({rank})@all", help="{rank} counts from 1")
    sleeping = commands.add_parser("simulated", help=simulated.__doc__)
    sleeping.add_argument("--storage", default=os.environ.get("UTSEARCH_STORAGE"))
    sleeping.add_argument("--workers", type=int, nargs="+", default=[2**i for i in range(7)])
    sleeping.add_argument("--each", type=int, default=10, help="trials for each worker")
    sleeping.add_argument("--seconds", type=float, default=20.0, help="a trial sleeps")
    sleeping.add_argument("--folder", type=Path, default=Path("studies"))
    for command in (training, sleeping):
        command.add_argument("--out", type=Path)
    picture = commands.add_parser("draw", help=draw.__doc__)
    picture.add_argument("--real", type=Path, default=RESULTS / "scale-real.json")
    picture.add_argument("--simulated", type=Path, default=RESULTS / "scale-simulated.json")
    picture.add_argument("--picture", type=Path, required=True)
    asked = parser.parse_args()
    if asked.what == "draw":
        draw(asked)
        return
    if asked.what == "real":
        result = {"made_by": made_by(MEASURED), **real(asked)}
    else:
        result = {"made_by": made_by(MEASURED), "seconds": asked.seconds, "rows": []}
        for row in simulated(asked):
            result["rows"].append(row)
            print(json.dumps(row), flush=True)
    print(json.dumps({key: value for key, value in result.items() if key not in ("made_by", "rounds", "rows")}))
    if asked.out:
        write_atomic(asked.out, json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
