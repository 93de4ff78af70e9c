"""The race itself: searches that train, each with its own clock of one thread's seconds."""

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import optuna
import torch

from racing import plain
from racing.recorded import Lane
from racing.trace import End
from utsearch.data import Subset
from utsearch.design import Design
from utsearch.files import write_atomic
from utsearch.forms import info
from utsearch.pareto import Scale
from utsearch.search import Budget, Event, TrialEnded, make_rule, prepare, search
from utsearch.search.cuts import useful_cuts
from utsearch.search.prior import enqueue_prior
from utsearch.space import Space, load_space
from utsearch.training import Problem, Recipe, open_problem
from utsearch.training.sensitivity import SensitivityPrior
from utsearch.tuning import Resolved

SCALE = "scale.json"
CACHE = 1_000_000_000  # bytes, the command line's own default


@dataclass(frozen=True)
class Bare(Problem):
    """A problem without known designs: every lane starts from nothing."""

    @cached_property
    def known(self) -> dict[str, Design]:
        """None."""
        return {}


@dataclass(frozen=True)
class Track:
    """What all lanes run on: mini-birds at 48 pixels on one thread."""

    space: str = "mini"
    classes: int = 20
    shots: int | None = None

    def open(self, seed: int, *, known: bool) -> tuple[Problem, Space]:
        """A fresh problem, so that no lane finds what another one computed; reading the data is no lane's time."""
        torch.set_num_threads(1)
        opened = open_problem(
            "mini-birds",
            "vit_mini",
            recipe=Recipe(epochs=4, rungs=(1, 2, 4)),
            subset=Subset(classes=self.classes, shots=self.shots),
            img_size=48,
            device="cpu",
            seed=seed,
        )
        kind = Problem if known else Bare
        problem = kind(opened.backbone, opened.dataset, opened.recipe, opened.device, opened.seed)
        return problem, load_space(self.space, info())


class Log:
    """The ends of a lane's trials in a file of one line each; going on adds to its clock."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.ends = read_ends(path)
        last = self.ends[-1] if self.ends else End(0.0, "", 0, 0.0)
        self._cpu, self._wall = time.process_time() - last.seconds, time.perf_counter() - last.wall

    def restart(self) -> None:
        """What has been done since is no part of the time: a lane that goes on has set itself up before."""
        if self.ends:
            last = self.ends[-1]
            self._cpu, self._wall = time.process_time() - last.seconds, time.perf_counter() - last.wall

    def seconds(self) -> float:
        """Of the processor, in all of the lane's sessions."""
        return time.process_time() - self._cpu

    def add(self, digest: str, n_params: int, top1: float, status: str) -> None:
        """A trial has ended."""
        wall = time.perf_counter() - self._wall
        end = End(round(self.seconds(), 3), digest, n_params, top1, status, round(wall, 3))
        self.ends.append(end)
        with self._path.open("a") as file:
            file.write(json.dumps(asdict(end)) + "\n")
        print(
            f"{self._path.stem} {len(self.ends)}: {end.seconds:.1f} s {status} {n_params} {100 * top1:.1f} %",
            flush=True,
        )


def scale_of(folder: Path, track: Track, seed: int) -> Scale:
    """Of the hypervolumes of all lanes and seeds: the space's sizes, and the first seed's linear probe."""
    path = folder / SCALE
    if not path.is_file():
        problem, space = track.open(seed, known=False)
        limits = space.hypervolume
        write_atomic(path, json.dumps(Scale(limits.p0, limits.p_max, problem.floor).to_dict()))
    return saved_scale(folder)


def saved_scale(folder: Path) -> Scale:
    """What `scale_of` wrote."""
    return Scale.from_dict(json.loads((folder / SCALE).read_text()))


def read_ends(path: Path) -> list[End]:
    """What a lane has done so far."""
    return [End(**json.loads(line)) for line in path.read_text().splitlines()] if path.is_file() else []


def run(lane: Lane, name: str, track: Track, seed: int, folder: Path, trials: int, longest: float, enough: Any) -> None:
    """Search by a lane; see `racing.recorded.race` for the arguments. Trials and times are kept in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    problem, space = track.open(seed, known=lane.baselines)
    log = Log(folder / f"{name}-{seed}.jsonl")
    if lane.kind == "plain":
        _plain(lane, problem, space, seed, folder / f"{name}-{seed}.db", trials, log)
    else:
        _ours(lane, name, problem, space, seed, folder, log, longest, enough)


def _plain(lane: Lane, problem: Problem, space: Space, seed: int, path: Path, trials: int, log: Log) -> None:
    makers: dict[str, Callable[[], optuna.samplers.BaseSampler]] = {
        "tpe": lambda: optuna.samplers.TPESampler(seed=seed + len(log.ends), multivariate=True),
        "random": lambda: optuna.samplers.RandomSampler(seed=seed + len(log.ends)),
    }

    def told(resolved: Resolved, top1: float) -> None:
        log.add(resolved.digest, resolved.n_params, top1, "finished")

    log.restart()
    plain.optimise(problem, space, makers[lane.sampler](), path, trials, seed, told)


def _ours(
    lane: Lane,
    name: str,
    problem: Problem,
    space: Space,
    seed: int,
    folder: Path,
    log: Log,
    longest: float,
    enough: Any,
) -> None:
    if lane.kind == "cached":
        cuts = useful_cuts(space, problem.depth, problem.first_tuned, list(problem.known.values()))
        problem = replace(problem, cache=CACHE, cuts=cuts)
    study = prepare(problem, space, f"{name}-{seed}", studies_dir=folder)

    def note(event: Event) -> None:
        if isinstance(event, TrialEnded):
            record = event.record
            log.add(record.digest, record.n_params, record.top1 or 0.0, record.status)

    def over() -> bool:
        return log.seconds() >= longest or enough(log.ends)

    options: dict[str, Any] = {"sampler": lane.sampler, "seed": seed, "rule": make_rule(lane.rule)}
    log.restart()
    if lane.prior:
        enqueue_prior(study, problem, space, "sensitivity", SensitivityPrior(problem), seed=seed)
    if not over():
        search(problem, space, study, Budget(trials=10**6), on_event=note, orphaned=over, **options)
