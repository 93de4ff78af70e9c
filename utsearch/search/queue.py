"""What waits to be trained: known designs first, and trials whose worker died or was interrupted."""

import os
import platform
from datetime import datetime
from typing import Any

import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import FrozenTrial, TrialState

from utsearch.search.patient import Storage
from utsearch.search.protocol import ProblemLike
from utsearch.search.record import RESUMES
from utsearch.search.samplers import OUTSIDE
from utsearch.space import Space

GIVEN = "given"  # user attribute: the text of a design that was not sampled
RETRY_OF = "retry_of"
PRIOR = "prior"  # user attribute of a trial that a prior queued: which one
TIME_UP = "the time was up"  # reason of a trial that a deadline cut off: it may be trained again
MAX_RETRIES = 2
QUEUED_AGAIN = "; queued again"  # ends the reason of a trial that is
SIGNED = 60  # seconds within which a worker signs the trial it took, even on a busy machine
PASSED_ON = (GIVEN, OUTSIDE, PRIOR, "baseline")


def enqueue_known(study: optuna.Study, problem: ProblemLike, space: Space) -> None:
    """Queue the known designs that the study does not have yet, so that every search carries its own baselines.

    One that a deadline cut off goes on. One that the space can express gets its parameters, so that samplers learn
    from it.
    """
    trials = study.get_trials(deepcopy=False)
    have = {t.user_attrs.get("baseline") for t in trials if t.user_attrs.get("reason") != TIME_UP}
    cut = {t.user_attrs.get("baseline"): t.number for t in trials if t.user_attrs.get("reason") == TIME_UP}
    for name, design in problem.known.items():
        if name not in have:
            choices = space.choices_of(design, problem.depth)
            attributes: dict[str, Any] = {GIVEN: str(design), "baseline": name}
            if choices is None:
                attributes[OUTSIDE] = True
            if name in cut:
                attributes[RESUMES] = cut[name]
            study.enqueue_trial(choices or {}, user_attrs=attributes)


def give_back(study: optuna.Study, trial: FrozenTrial, reason: str) -> bool:
    """Queue a broken trial again, at most twice over; returns whether it was. Asking again for the same one is safe."""
    if not may_retry(trial):
        return False
    if any(t.user_attrs.get(RETRY_OF) == trial.number for t in study.get_trials(deepcopy=False)):
        return True
    attributes = {key: trial.user_attrs[key] for key in (*PASSED_ON, RESUMES) if key in trial.user_attrs}
    retries = int(trial.user_attrs.get("retries", 0)) + 1
    attributes |= {RETRY_OF: trial.number, "retries": retries, "retry_reason": reason}
    study.enqueue_trial(trial.params, user_attrs=attributes)
    return True


def may_retry(trial: FrozenTrial) -> bool:
    """Whether it has been given back less than twice."""
    return int(trial.user_attrs.get("retries", 0)) < MAX_RETRIES


def recover(study: optuna.Study) -> int:
    """End the running trials whose workers are gone and queue them again; returns how many.

    Of several workers that see the same dead trial one ends it, and that one queues it. Killed in between, it leaves a
    trial that says it was queued again and was not: `requeue` finds it when the next worker starts.
    """
    running = study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
    storage = study._storage
    silent = storage.silent(running) if isinstance(storage, Storage) else set()
    recovered = 0
    for trial in running:
        if why := "fell silent" if trial.number in silent else "died" if is_dead(trial) else None:
            recovered += end_broken(study, trial, f"its worker {why}")
    return recovered


def end_broken(study: optuna.Study, trial: FrozenTrial, why: str) -> bool:
    """Fail a running trial and queue it again; whether it was this process that did."""
    storage = study._storage
    reason = f"{why}{QUEUED_AGAIN}" if may_retry(trial) else f"its worker died {MAX_RETRIES + 1} times"
    try:
        storage.set_trial_user_attr(trial._trial_id, "reason", reason)
        storage.set_trial_state_values(trial._trial_id, state=TrialState.FAIL)
    except UpdateFinishedTrialError:  # another one was faster, or it was not dead
        return False
    give_back(study, trial, why)
    return True


def requeue(study: optuna.Study) -> int:
    """Queue what a process was about to queue when it was killed; returns how many."""
    trials = study.get_trials(deepcopy=False)
    queued = {t.user_attrs.get(RETRY_OF) for t in trials}
    lost = [t for t in trials if t.state is TrialState.FAIL and t.number not in queued and _says_queued(t)]
    return sum(give_back(study, trial, "its worker died") for trial in lost)


def _says_queued(trial: FrozenTrial) -> bool:
    return str(trial.user_attrs.get("reason", "")).endswith(QUEUED_AGAIN)


def is_dead(trial: FrozenTrial) -> bool:
    """Whether a running trial was taken by a process of this machine that is gone."""
    worker = trial.user_attrs.get("worker")
    if not worker:  # killed between taking the trial and signing it, or about to sign
        return trial.datetime_start is not None and (datetime.now() - trial.datetime_start).total_seconds() > SIGNED
    if worker.get("host") != platform.node():
        return False  # another machine's: its heartbeat will tell
    try:
        os.kill(int(worker["pid"]), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False
