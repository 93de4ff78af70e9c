"""Trials that go on: as new trials that resume stopped ones, since what has ended cannot be changed.

One that a rule stopped is judged again while the search learns more, and one that a deadline cut off when it goes on.
Two workers may queue the same: they then have the same claim (`claim.py`), and one of them trains it.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial, Trial, TrialState

from utsearch.design import Design
from utsearch.search.observed import Observed
from utsearch.search.protocol import RunLike
from utsearch.search.queue import GIVEN, PASSED_ON, TIME_UP
from utsearch.search.record import RESUMES, not_resumed, record_of
from utsearch.search.stopping import Rule
from utsearch.search.study import Study

MANY = 500  # trials: above it one more changes little, and stopped ones are judged again at every second, third, …
MOST = 20  # stopped trials that are judged again at a time, those that fell least short when they were stopped


def promote(
    study: optuna.Study, rule: Rule | None, seed: int, observe: Callable[[FrozenTrial], Observed]
) -> int | None:
    """Queue one trial that goes on with a stopped one, if one is worth it; returns the number of the stopped one.

    Without a rule only trials that a deadline cut off go on; in a large study not every call looks. Every trial is
    resumed at most once, so that a design is promoted at most once at each rung; known designs are queued by
    `enqueue_known`.

    Args:
        study: of the trials.
        rule: of early stopping; it judges the stopped trial at the rung that it reached, knowing what is known now.
        seed: of this search; a trial of another seed is another training.
        observe: reads a trial as the rule does.
    """
    trials = study.get_trials(deepcopy=False)
    if len(trials) % (1 + len(trials) // MANY):
        return None
    if any(RESUMES in t.user_attrs and t.state is TrialState.WAITING for t in trials):
        return None
    resumed = {t.user_attrs.get(RESUMES) for t in trials}
    left = [t for t in trials if t.number not in resumed and _may_go_on(t, seed)]
    if rule is None:
        chosen = next((t for t in left if t.user_attrs.get("reason") == TIME_UP), None)
    else:
        chosen = _worth_it(left, trials, rule, observe) if left else None
    if chosen is None:
        return None
    kept = chosen.user_attrs
    attributes = {key: kept[key] for key in PASSED_ON if key in kept}
    study.enqueue_trial(chosen.params, user_attrs=attributes | {GIVEN: kept["design"], RESUMES: chosen.number})
    return chosen.number


def _may_go_on(trial: FrozenTrial, seed: int) -> bool:
    kept = trial.user_attrs
    stopped = trial.state is TrialState.COMPLETE and kept.get("status") == "stopped"
    return stopped and kept.get("seed") == seed and bool(kept.get("rungs")) and "baseline" not in kept


def _worth_it(
    left: Sequence[FrozenTrial], trials: Sequence[FrozenTrial], rule: Rule, observe: Callable[[FrozenTrial], Observed]
) -> FrozenTrial | None:
    training = [t for t in trials if t.state in (TrialState.COMPLETE, TrialState.RUNNING) and t.user_attrs.get("rungs")]
    known = [observe(t) for t in not_resumed(training) if t.user_attrs.get("status") != "duplicate"]
    for trial in sorted(left, key=lambda t: (t.user_attrs.get("reason") != TIME_UP, shortfall(t)))[:MOST]:
        if rule.decide(observe(trial), [o for o in known if o.number != trial.number]).go_on:
            return trial
    return None


def shortfall(trial: FrozenTrial) -> float:
    """By how much a stopped trial was judged to fall short."""
    return next((float(value) for key, value in trial.system_attrs.items() if key.endswith(":stopped")), 1.0)


def known_result(trial: Trial, others: Sequence[FrozenTrial], digest: str, seed: int) -> FrozenTrial | None:
    """The trial that has this trial's result already: the one that trained the same design the furthest.

    None where this trial is to go on with that one; it is told so where the other was cut off by a deadline.

    Args:
        trial: about to train.
        others: complete trials.
        digest: of its design.
        seed: of its training.
    """
    same = [t for t in others if (t.user_attrs.get("digest"), t.user_attrs.get("seed")) == (digest, seed)]
    done = [t for t in same if t.user_attrs.get("status") in ("finished", "stopped")]
    best = max(done, key=lambda t: len(t.user_attrs.get("rungs", ())), default=None)
    if best is not None and best.user_attrs.get("reason") == TIME_UP and RESUMES not in trial.user_attrs:
        trial.set_user_attr(RESUMES, best.number)
    return None if best is None or trial.user_attrs.get(RESUMES) == best.number else best


def begin(
    trial: Trial, design: Design, study: Study, start: Callable[[Design, Path | None], RunLike]
) -> tuple[RunLike, list[dict[str, Any]]]:
    """The run of a trial, and the rungs that it has from the trial it goes on with, each with that one's number."""
    number = trial.user_attrs.get(RESUMES)
    if number is None:
        return start(design, None), []
    before = record_of(study.optuna.get_trials(deepcopy=False)[number])
    rungs = [{"trial": number, **rung} for rung in before.rungs]
    trial.set_user_attr("rungs", rungs)
    trial.set_user_attr("seconds_before", round(before.seconds + before.seconds_before, 3))
    return start(design, study.weights(number)), rungs


def with_rung(rungs: Sequence[dict[str, Any]], rung: dict[str, Any]) -> list[dict[str, Any]]:
    """A rung after the others; a run that could not be gone on with starts again, and its rungs take the place."""
    return [*(earlier for earlier in rungs if earlier["index"] < rung["index"]), rung]
