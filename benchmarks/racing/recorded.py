"""The race over recorded runs: what trials cost is recorded or measured, and nothing is trained.

The table has the seconds of every run with cached prefixes on one thread. What the same run costs without them is the
recorded time times a ratio measured by `race.py ratios` for designs of the same first block. What samplers and rules
take is measured while the race runs, and is part of its time.
"""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
from prior import OUT as PRIOR
from prior import Stored

from racing.trace import End
from utsearch.design import Design
from utsearch.pareto import hypervolume
from utsearch.search import Budget, Event, TrialEnded, make_rule, search, unstored
from utsearch.search.prior import Plan, enqueue_prior
from utsearch.search.storage import experiments_allowed
from utsearch.tabular import Replay, Table

RUNGS = (1, 2, 4)
SENSITIVITY = "sensitivity Σ|g|"


@dataclass(frozen=True)
class Costs:
    """Seconds of recorded designs.

    Attributes:
        table: of recorded runs.
        ratios: time of whole runs over that of the table's, which were validated after every epoch, by the first tuned
            block: with cached prefixes ("cached"), without ("uncached"), and in a plain loop ("plain").
        fill: seconds to fill the cache and to fit the linear probe, once a search.
        prior: scores by gradient sensitivity, by digest, and the epochs of ordinary training that these took.
    """

    table: Table
    ratios: Mapping[str, Mapping[int, float]]
    fill: float
    prior: tuple[Mapping[str, float], float]

    @classmethod
    def read(cls, table: Table, path: Path, prior: Path = PRIOR) -> "Costs":
        """From what `race.py ratios` and `prior.py score` wrote."""
        found, scored = json.loads(path.read_text()), json.loads(prior.read_text())["scores"][SENSITIVITY]
        ratios = {k: {int(first): r for first, r in rows.items()} for k, rows in found["ratios"].items()}
        return cls(table, ratios, found["fill_s"], (scored["scores"], scored["epochs"]))

    @property
    def setting_up(self) -> float:
        """Seconds before the first trial of a search with a prior: its epochs are those of a middling design."""
        entries = [entry for entry in self.table.entries.values() if entry.in_space and entry.n_params]
        middling, epochs = entries[len(entries) // 2].digest, len(self.table.curves[entries[0].digest, 0])
        return self.fill + self.prior[1] * self.seconds(middling, epochs, "cached") / epochs

    def seconds(self, digest: str, epochs: int, kind: str) -> float:
        """Of a run's first epochs; the least of its recorded seeds, which other processes disturbed the least.

        A stopped run with cached prefixes takes what is recorded: it skips no validation that the table's runs had.
        """
        curves = [self.table.curves[digest, seed] for seed in self.table.seeds]
        recorded = min(curve[epochs - 1].seconds for curve in curves)
        if kind == "cached" and epochs < len(curves[0]):
            return recorded
        return recorded * self.ratios[kind][self.table.entries[digest].first_tuned]


@dataclass(frozen=True)
class Lane:
    """A way to search.

    Attributes:
        sampler: of utsearch, or Optuna's for a plain lane.
        rule: of early stopping, by name.
        kind: what a trial costs: "cached", "uncached" or "plain".
        repeats: whether a design that was trained before is trained again; plain lanes do.
        baselines: whether the known designs are trained first.
        prior: whether designs ranked by gradient sensitivity are queued first.
    """

    sampler: str
    rule: str = "none"
    kind: str = "cached"
    repeats: bool = False
    baselines: bool = False
    prior: bool = False


@dataclass(frozen=True)
class Trial:
    """A trial of a search over recorded runs.

    Attributes:
        digest: of its design.
        n_params: of its tuners.
        top1: on validation at the last rung it reached, 0…1.
        status: how it ended.
        epochs: that it was trained, or would have been if its design had not been trained before.
        chosen: seconds of this process, from the start of the search, that samplers and rules took.
    """

    digest: str
    n_params: int
    top1: float
    status: str
    epochs: int
    chosen: float


def timed(trials: Sequence[Trial], lane: Lane, costs: Costs) -> list[End]:
    """What a search takes by the costs of a lane: its set-up, the epochs it trains, and what choosing took."""
    spent = 0.0 if lane.kind == "plain" else costs.setting_up if lane.prior else costs.fill
    trained, ends = set[str](), []
    for trial in trials:
        if trial.epochs and (lane.repeats or trial.digest not in trained):
            spent += costs.seconds(trial.digest, trial.epochs, lane.kind)
        trained.add(trial.digest)
        ends.append(End(spent + trial.chosen, trial.digest, trial.n_params, trial.top1, trial.status))
    return ends


def play_plain(lane: Lane, table: Table, seed: int, trials: int) -> list[Trial]:
    """Optuna's own loop, all trials to the end."""
    makers: dict[str, Callable[[], optuna.samplers.BaseSampler]] = {
        "tpe": lambda: optuna.samplers.TPESampler(seed=seed, multivariate=True),
        "random": lambda: optuna.samplers.RandomSampler(seed=seed),
    }
    replay = Replay(table, seed=seed, baselines=False)
    with experiments_allowed():
        study = optuna.create_study(sampler=makers[lane.sampler](), directions=["minimize", "maximize"])
    played: list[Trial] = []
    begun = time.process_time()

    def objective(trial: optuna.Trial) -> tuple[float, float]:
        known = replay.resolve(table.space.suggest(trial, replay.depth))
        *_, last = replay.start(known.design, seed).rungs()
        chosen = time.process_time() - begun
        played.append(Trial(known.digest, known.n_params, last.top1, "finished", last.epoch, chosen))
        return float(known.n_params), last.top1

    study.optimize(objective, n_trials=trials)
    return played


def play(
    lane: Lane, table: Table, seed: int, enough: Callable[[Sequence[Trial]], bool], scores: Mapping[str, float]
) -> list[Trial]:
    """A search by utsearch's own worker until there is enough, or the space is searched through.

    Args:
        lane: of utsearch.
        table: of recorded runs.
        seed: of the search.
        enough: is asked after every trial.
        scores: of the prior, by digest, for lanes that have it.
    """
    replay = Replay(table, seed=seed, rungs=RUNGS, baselines=lane.baselines)
    study, space = unstored(replay, table.space), table.space
    if lane.prior:
        plan = Plan(len(table.entries), len(table.entries))
        enqueue_prior(study, replay, space, "stored", Stored(scores), plan=plan, seed=seed)
    played: list[Trial] = []
    begun = time.process_time()

    def note(event: Event) -> None:
        if isinstance(event, TrialEnded):
            r, chosen = event.record, time.process_time() - begun
            played.append(Trial(r.digest, r.n_params, r.top1 or 0.0, r.status, r.epoch, chosen))

    options: dict[str, Any] = {"sampler": lane.sampler, "seed": seed, "rule": make_rule(lane.rule)}
    search(replay, space, study, Budget(trials=10**6), on_event=note, orphaned=lambda: enough(played), **options)
    return played


def play_oracle(table: Table, seed: int, enough: Callable[[Sequence[Trial]], bool]) -> list[Trial]:
    """Always the design of the space by which the seen hypervolume grows most; greedy, by designs, not by seconds."""
    replay = Replay(table, seed=seed, rungs=RUNGS, baselines=False)
    left: dict[str, tuple[int, float, int]] = {}
    for entry in table.entries.values():
        if entry.in_space:
            *_, last = replay.start(Design.parse(entry.design)).rungs()
            left[entry.digest] = (entry.n_params, last.top1, last.epoch)
    played: list[Trial] = []
    while left and not enough(played):
        points = [(t.n_params, t.top1) for t in played]
        best = max(left, key=lambda digest: hypervolume([*points, left[digest][:2]], table.scale))
        n_params, top1, epochs = left.pop(best)
        played.append(Trial(best, n_params, top1, "finished", epochs, 0.0))
    return played
