"""What a study keeps of a trial, and what happens during a search, as plain data."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from optuna.trial import FrozenTrial, TrialState

from utsearch import pareto
from utsearch.search.protocol import RungLike

RESUMES = "resumes"  # user attribute: number of the trial that this one goes on with
Status = Literal["finished", "stopped", "failed", "duplicate", "infeasible", "running", "waiting"]


@dataclass(frozen=True)
class Record:
    """One trial.

    Attributes:
        number: in the study.
        design: canonical text.
        digest: of the design, equal for designs that are the same.
        n_params: of the tuners.
        n_head: of the linear head.
        top1: on validation at the last rung it reached, 0…1; None if it reached none.
        standard_error: of top1.
        epoch: at that rung.
        status: how it ended.
        baseline: the known design's name, or None for a new design.
        seconds: of training and validation.
        rungs: what was measured at each rung.
        reason: why it was stopped or failed.
        seed: of its initial values and order.
        started: when.
        cost: FLOPs of one image, bytes of a training step, whether it is mergeable (1 or 0), and on CUDA the peak
            memory, where it ended; with a limit on latency also `latency` in seconds an image and `latency_times` the
            bare network's.
        prior: which prior proposed it, or None.
        prior_score: that prior's score of it; larger is better.
        resumes: number of the stopped trial that it goes on with, or None; `rungs` has those of that one first.
        seconds_before: that the trials before it took, which are not in `seconds`.
        notice: what else is to be told of its training.
    """

    number: int
    design: str
    digest: str
    n_params: int
    n_head: int
    top1: float | None
    standard_error: float | None
    epoch: int
    status: Status
    baseline: str | None
    seconds: float
    rungs: tuple[dict[str, Any], ...]
    reason: str | None
    seed: int
    started: datetime | None
    cost: Mapping[str, float] = field(default_factory=dict)
    prior: str | None = None
    resumes: int | None = None
    seconds_before: float = 0.0
    notice: str | None = None
    prior_score: float | None = None

    @property
    def is_new(self) -> bool:
        """Whether a budget of trials counts it: it was trained, and its design was not counted with another before."""
        return self.status in ("finished", "stopped") and self.resumes is None


@dataclass(frozen=True)
class TrialStarted:
    """A trial begins to train."""

    record: Record


@dataclass(frozen=True)
class RungReached:
    """A trial was validated."""

    number: int
    rung: RungLike


@dataclass(frozen=True)
class TrialEnded:
    """A trial ended in any way."""

    record: Record


@dataclass(frozen=True)
class SearchEnded:
    """The search ends, and why."""

    reason: str


Event = TrialStarted | RungReached | TrialEnded | SearchEnded

_ENDED: dict[TrialState, Status] = {
    TrialState.FAIL: "failed",
    TrialState.PRUNED: "infeasible",
    TrialState.RUNNING: "running",
    TrialState.WAITING: "waiting",
    TrialState.COMPLETE: "finished",
}


def record_of(trial: FrozenTrial) -> Record:
    """The record of an Optuna trial; what it does not hold yet is empty."""
    kept = trial.user_attrs
    rungs = tuple(kept.get("rungs", ()))
    last = rungs[-1] if rungs else {}
    done = trial.state.is_finished() and trial.state is not TrialState.FAIL
    return Record(
        number=trial.number,
        design=kept.get("design", ""),
        digest=kept.get("digest", ""),
        n_params=kept.get("n_params", 0),
        n_head=kept.get("n_head", 0),
        top1=last.get("top1"),
        standard_error=last.get("standard_error"),
        epoch=last.get("epoch", 0),
        status=kept.get("status", _ENDED[trial.state]) if done else _ENDED[trial.state],
        baseline=kept.get("baseline"),
        seconds=0.0 if "trial" in last else last.get("seconds", 0.0),
        rungs=rungs,
        reason=kept.get("reason"),
        seed=kept.get("seed", 0),
        started=trial.datetime_start,
        cost=kept.get("cost", {}),
        prior=kept.get("prior"),
        resumes=kept.get(RESUMES),
        seconds_before=kept.get("seconds_before", 0.0),
        notice=kept.get("notice"),
        prior_score=kept.get("prior_score"),
    )


def latest(records: Sequence[Record]) -> list[Record]:
    """Without the trials that another one went on with: no design is counted twice."""
    gone = {r.resumes for r in records if r.status in ("finished", "stopped", "running") and r.rungs}
    return [record for record in records if record.number not in gone]


def not_resumed(trials: Sequence[FrozenTrial], *also: FrozenTrial) -> list[FrozenTrial]:
    """`latest` of trials that have not failed; `also` are further ones that may go on with some of them."""
    told = [t.user_attrs for t in (*trials, *also) if t.user_attrs.get("rungs")]
    gone = {kept.get(RESUMES) for kept in told if kept.get("status") != "duplicate"}
    return [trial for trial in trials if trial.number not in gone]


def finished(records: list[Record]) -> list[Record]:
    """The trials trained to the last rung."""
    return [r for r in records if r.status == "finished" and r.top1 is not None]


def front_records(records: list[Record]) -> list[Record]:
    """The Pareto front of the finished trials, from small to large."""
    done = finished(records)
    return [done[i] for i in pareto.front([(r.n_params, r.top1 or 0.0) for r in done])]
