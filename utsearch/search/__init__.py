"""Searching: stored studies, samplers, early stopping, budgets and the worker's loop. Knows no torch modules."""

import sys
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from utsearch.errors import UserError
from utsearch.pareto import Scale
from utsearch.search.budget import Budget
from utsearch.search.latency import LatencyLimit
from utsearch.search.pack import run_packed
from utsearch.search.pick import parse_bytes, parse_size, pick_record
from utsearch.search.protocol import ProblemLike
from utsearch.search.queue import enqueue_known, recover, requeue
from utsearch.search.record import (
    Event,
    Record,
    RungReached,
    SearchEnded,
    TrialEnded,
    TrialStarted,
    front_records,
    record_of,
)
from utsearch.search.samplers import NAMES as SAMPLERS
from utsearch.search.samplers import check_sampler, make_sampler
from utsearch.search.stopping import DEFAULT_RULE, RULES, Rule, make_rule, name_of
from utsearch.search.storage import StudyError, database_errors, quiet
from utsearch.search.study import FREE, Study, exists, note_session, open_study, start_or_resume, unstored_study
from utsearch.search.warm import enqueue_front
from utsearch.search.worker import Worker
from utsearch.space import Space, SpaceError

__all__ = [
    "DEFAULT_RULE",
    "RULES",
    "SAMPLERS",
    "Budget",
    "Event",
    "LatencyLimit",
    "Record",
    "Rule",
    "RungReached",
    "SearchEnded",
    "Study",
    "StudyError",
    "TrialEnded",
    "TrialStarted",
    "enqueue_front",
    "front_records",
    "make_rule",
    "note_search",
    "open_study",
    "parse_bytes",
    "parse_size",
    "pick_record",
    "prepare",
    "record_of",
    "search",
    "unstored",
]


def prepare(
    problem: ProblemLike,
    space: Space,
    study_name: str,
    *,
    storage_url: str | None = None,
    studies_dir: Path = Path("studies"),
) -> Study:
    """Create the study or check that it may go on, queue the baselines and what a dead worker left behind.

    Raises:
        StudyError: the settings differ from the recorded ones, or the database cannot be used.
        SpaceError: a form of the space cannot stand on this backbone.
    """
    _check_on_backbone(problem, space)
    scale = None if exists(study_name, storage_url, studies_dir) else _scale(problem, space)
    study = start_or_resume(
        study_name, problem.settings, space, scale, storage_url=storage_url, studies_dir=studies_dir, on_beat=recover
    )
    with database_errors(study.url), quiet():
        study.optuna.set_user_attr("depth", problem.depth)
        recover(study.optuna)
        requeue(study.optuna)
        enqueue_known(study.optuna, problem, space)
    return study


def unstored(problem: ProblemLike, space: Space) -> Study:
    """A study in memory with the baselines queued: for simulations, where nothing needs to be kept."""
    study = unstored_study(problem.settings, space, _scale(problem, space))
    study.optuna.set_user_attr("depth", problem.depth)
    enqueue_known(study.optuna, problem, space)
    return study


def search(
    problem: ProblemLike,
    space: Space,
    study: Study,
    budget: Budget,
    *,
    sampler: str = "auto",
    seed: int = 0,
    max_params: int | None = None,
    max_latency: LatencyLimit | None = None,
    rule: Rule | None = DEFAULT_RULE,
    on_event: Callable[[Event], None] = lambda event: None,
    started: float | None = None,
    until: int | None = None,
    stream: int = 0,
    orphaned: Callable[[], bool] = lambda: False,
    pack: int = 1,
) -> str:
    """Run trials until the budget is used up; returns why it ended.

    Args:
        problem: what to train on.
        space: what to choose from.
        study: from `prepare`.
        budget: of this session.
        sampler: one of `SAMPLERS`, or "auto".
        seed: of the sampler and of every trial.
        max_params: designs with more tuner parameters are not trained.
        max_latency: slower designs are not trained.
        rule: of early stopping; None trains every design to the end.
        on_event: is told what happens.
        started: `time.monotonic()` from which a budget of time counts.
        until: for workers that share a budget: how many counted trials the study shall have in the end.
        stream: number of a worker, so that several draw different designs.
        orphaned: whether who started this worker is gone; it then ends after its trial.
        pack: trials in training at once, which take turns at every step.
    """
    before = len(study.records())
    own = seed + before + 1_000_003 * stream  # going on, and other workers, would repeat the same designs
    study.optuna.sampler = make_sampler(sampler, problem, space, own, max_params, max_latency)
    if until is None:
        asked = {"sampler": check_sampler(sampler), "pruner": name_of(rule), "seed": seed}
        limits = {"max_params": max_params, "max_latency": None if max_latency is None else max_latency.text}
        note_search(problem, study, **asked, **limits)
    worker = Worker(
        problem,
        space,
        study,
        budget,
        seed=seed,
        max_params=max_params,
        max_latency=max_latency,
        until=until,
        orphaned=orphaned,
        rule=rule,
        on_event=on_event,
        started=time.monotonic() if started is None else started,
    )
    with quiet():
        return worker.run() if pack == 1 else run_packed(worker, pack)


def note_search(problem: ProblemLike, study: Study, **asked: Any) -> None:
    """Add this session to the study's history: what was asked for, where, by which command and with which versions."""
    made_by = {key: problem.settings[key] for key in FREE if key in problem.settings}
    note_session(study, **asked, trials_before=len(study.records()), **made_by)


def _scale(problem: ProblemLike, space: Space) -> Scale:
    return Scale(space.hypervolume.p0, space.hypervolume.p_max, min(problem.floor, 0.999))


def _check_on_backbone(problem: ProblemLike, space: Space) -> None:
    for slot, form, design in space.examples():
        try:
            problem.resolve(design)
        except UserError as error:
            reason = str(error).splitlines()[0]
            raise SpaceError(f"space {space.name!r}: slots.{slot}.forms.{form} does not fit here: {reason}") from error


class _Callable(ModuleType):
    """This package, called: `utsearch.search(…)` is the library's function, whose name Python gives to the package."""

    def __call__(self, *words: Any, **options: Any) -> Any:
        return import_module("utsearch.library").search(*words, **options)


sys.modules[__name__].__class__ = _Callable
