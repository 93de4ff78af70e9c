"""What waits to be trained: known designs first, and trials whose worker died or was interrupted."""

import os
import platform
from datetime import datetime
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from utsearch.search.protocol import ProblemLike
from utsearch.search.samplers import OUTSIDE
from utsearch.space import Space

GIVEN = "given"  # user attribute: the text of a design that was not sampled
RETRY_OF = "retry_of"
PRIOR = "prior"  # user attribute of a trial that a prior queued: which one
TIME_UP = "the time was up"  # reason of a trial that a deadline cut off: it may be trained again
MAX_RETRIES = 2
SIGNED = 60  # seconds within which a worker signs the trial it took, even on a busy machine
_PASSED_ON = (GIVEN, OUTSIDE, PRIOR, "baseline")


def enqueue_known(study: optuna.Study, problem: ProblemLike, space: Space) -> None:
    """Queue the known designs that the study does not have yet, so that every search carries its own baselines.

    One that the space can express gets its parameters, so that samplers learn from it.
    """
    trials = study.get_trials(deepcopy=False)
    have = {t.user_attrs.get("baseline") for t in trials if t.user_attrs.get("reason") != TIME_UP}
    for name, design in problem.known.items():
        if name not in have:
            choices = space.choices_of(design, problem.depth)
            attributes: dict[str, Any] = {GIVEN: str(design), "baseline": name}
            if choices is None:
                attributes[OUTSIDE] = True
            study.enqueue_trial(choices or {}, user_attrs=attributes)


def give_back(study: optuna.Study, trial: FrozenTrial, reason: str) -> bool:
    """Queue a broken trial again, at most twice over; returns whether it was. Asking again for the same one is safe."""
    earlier = int(trial.user_attrs.get("retries", 0))
    if earlier >= MAX_RETRIES:
        return False
    if any(t.user_attrs.get(RETRY_OF) == trial.number for t in study.get_trials(deepcopy=False)):
        return True
    attributes = {key: trial.user_attrs[key] for key in _PASSED_ON if key in trial.user_attrs}
    attributes |= {RETRY_OF: trial.number, "retries": earlier + 1, "retry_reason": reason}
    study.enqueue_trial(trial.params, user_attrs=attributes)
    return True


def on_stale(study: optuna.Study, trial: FrozenTrial) -> None:
    """Optuna's callback for a trial whose worker has been silent for a minute; it has failed the trial already."""
    give_back(study, trial, "its worker fell silent")


def recover(study: optuna.Study) -> int:
    """Give back the running trials of this machine's processes that are gone; returns how many.

    Queued first, failed second: killed in between, the next start finds the copy and does not make another.
    """
    dead = [t for t in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)) if is_dead(t)]
    storage = study._storage
    for trial in dead:
        queued = give_back(study, trial, "its worker died")
        reason = "its worker died; queued again" if queued else f"its worker died {MAX_RETRIES + 1} times"
        storage.set_trial_user_attr(trial._trial_id, "reason", reason)
        storage.set_trial_state_values(trial._trial_id, state=TrialState.FAIL)
    return len(dead)


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
