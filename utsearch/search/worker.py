"""The worker's loop: ask for a design, train it by rungs, keep what it gave."""

import os
import platform
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import FrozenTrial, Trial, TrialState

from utsearch.design import Design, DesignError
from utsearch.errors import TrainingFailed
from utsearch.search.budget import Budget
from utsearch.search.claim import rival_of
from utsearch.search.interrupts import Interrupts
from utsearch.search.latency import LatencyLimit, measured
from utsearch.search.observed import Observed, observed
from utsearch.search.promotion import begin, known_result, promote, shortfall, with_rung
from utsearch.search.protocol import ProblemLike, ResolvedLike, RungLike, RunLike
from utsearch.search.queue import GIVEN, MAX_RETRIES, QUEUED_AGAIN, TIME_UP, give_back, recover
from utsearch.search.record import (
    RESUMES,
    Event,
    RungReached,
    SearchEnded,
    TrialEnded,
    TrialStarted,
    not_resumed,
    record_of,
)
from utsearch.search.samplers import OUTSIDE
from utsearch.search.stopping import DEFAULT_RULE, Rule
from utsearch.search.storage import StudyError, database_errors
from utsearch.search.study import Study
from utsearch.space import Space

EXHAUSTED = 200  # duplicates in a row after which the space is taken to be searched through
COUNTED = ("finished", "stopped")  # what a budget of trials counts
HOPELESS = 5  # failures in a row, before any success, after which going on would only repeat them


@dataclass
class Worker:
    """Runs trials of one study until the budget is used up.

    Several workers that share a budget of trials are told `until` how many counted trials the study shall have; those
    in training count, so that they end together, at most one trial each too many.
    """

    problem: ProblemLike
    space: Space
    study: Study
    budget: Budget
    seed: int = 0
    max_params: int | None = None
    max_latency: LatencyLimit | None = None
    until: int | None = None
    rule: Rule | None = DEFAULT_RULE
    on_event: Callable[[Event], None] = lambda event: None
    clock: Callable[[], float] = time.monotonic
    started: float | None = None
    orphaned: Callable[[], bool] = lambda: False
    interrupts: Interrupts = field(default_factory=Interrupts)
    _ended: dict[int, Observed] = field(default_factory=dict)

    def observed(self, trial: FrozenTrial) -> Observed:
        """What the rule of early stopping reads; of a trial that has ended it is made once."""
        known = self._ended.get(trial.number)
        if known is None:
            known = observed(record_of(trial), self.problem.depth)
            if trial.state.is_finished():
                self._ended[trial.number] = known
        return known

    def run(self) -> str:
        """Search; returns why it ended. Ctrl-C gives the running trial back to the queue and is raised again."""
        with self.interrupts:
            reason = self._loop()
        self.on_event(SearchEnded(reason))
        return reason

    def start(self, design: Design, resume: Path | None = None) -> RunLike:
        """A run that has not trained yet, or goes on with the one whose weights are at a path."""
        return self.problem.start(design, self.seed, resume=resume)

    def _loop(self) -> str:
        begun = self.clock() if self.started is None else self.started
        ends: Counter[str] = Counter()
        repeats = 0
        while True:
            self.interrupts.check()
            if self._enough(ends["finished"] + ends["stopped"], self.clock() - begun):
                return "the budget is used up"
            if self.orphaned():
                return "the search that started this worker is gone"
            status, why = self._one(begun)
            ends[status] += 1
            repeats = repeats + 1 if status in ("duplicate", "infeasible") else 0
            if repeats >= EXHAUSTED:
                return f"the last {EXHAUSTED} designs were known already or too large: the space is searched through"
            if ends["failed"] >= HOPELESS and not any(ends[status] for status in (*COUNTED, "resumed")):
                raise StudyError(f"the first {HOPELESS} trials all failed, the last one because: {why}")

    def _enough(self, own: int, seconds: float) -> bool:
        if self.until is None:
            return self.budget.used_up(own, seconds)
        with database_errors(self.study.url):
            trials = self.study.optuna.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.RUNNING))
        new = [t for t in trials if RESUMES not in t.user_attrs]  # one that goes on with another was counted with it
        counted = sum(t.state is TrialState.RUNNING or t.user_attrs.get("status") in COUNTED for t in new)
        return counted >= self.until or self.budget.late(seconds)

    def _one(self, begun: float) -> tuple[str, str | None]:
        """One trial through `optimize`, the only way for Optuna to record its heartbeat."""
        attempts: list[_Attempt] = []

        def objective(trial: Trial) -> tuple[float, float]:
            attempts.append(_Attempt(self, trial, begun))
            return attempts[-1].run()

        with database_errors(self.study.url):
            recover(self.study.optuna)
            promote(self.study.optuna, self.rule, self.seed, self.observed)
            try:
                self.study.optuna.optimize(objective, n_trials=1, catch=(TrainingFailed,))
            except (UpdateFinishedTrialError, ValueError):
                if not (attempts and attempts[-1].lost):
                    raise
            record = record_of(self.study.optuna._storage.get_trial(attempts[-1].trial._trial_id))
        self.on_event(TrialEnded(record))
        went_on = record.resumes is not None and record.status in COUNTED
        status = "lost" if attempts[-1].lost else "resumed" if went_on else record.status
        return status, record.reason


@dataclass
class _Attempt:
    """One trial from its choices to its values."""

    worker: Worker
    trial: Trial
    begun: float
    lost: bool = False  # another worker took this one for dead and failed the trial, as after a laptop's sleep

    def run(self) -> tuple[float, float]:
        """The objective: tuner parameters and top-1; raises what tells Optuna how else it ended."""
        try:
            self.trial.set_user_attr("worker", identity())
            return self._result()
        except UpdateFinishedTrialError:
            self.lost = True
            raise
        except KeyboardInterrupt:
            give_back(self.worker.study.optuna, self._frozen(), "interrupted")
            self._keep(reason="interrupted; queued again")
            raise
        except OSError as error:
            self._broken(error)
        except TrainingFailed as error:
            self._keep(reason=str(error))
            raise

    def _broken(self, error: OSError) -> NoReturn:
        """A full disk, or data that are gone: this worker would fail at the next trial too, others may not."""
        what = error.strerror or str(error)
        queued = give_back(self.worker.study.optuna, self._frozen(), what)
        self._keep(reason=what + QUEUED_AGAIN if queued else f"{what}, {MAX_RETRIES + 1} times")
        place = error.filename or self.worker.study.weights(self.trial.number).parent
        raise StudyError(f"cannot use {place}: {what}; mend that, and the same command goes on") from error

    def _result(self) -> tuple[float, float]:
        self.worker.interrupts.check()
        resolved = self._resolve()
        self._refuse_too_large(resolved)
        self._refuse_in_training(resolved)
        if (known := self._known(resolved)) is not None:  # after the claim: a rival may have ended just before it
            return self._repeat(known)
        self._refuse_too_slow(resolved)
        self.worker.on_event(TrialStarted(record_of(self._frozen())))
        return float(resolved.n_params), self._train(resolved)

    def _resolve(self) -> ResolvedLike:
        attributes, problem = self.trial.user_attrs, self.worker.problem
        suggested = Design()
        if OUTSIDE not in attributes:
            suggested = self.worker.space.suggest(self.trial, problem.depth)
        design = Design.parse(attributes[GIVEN]) if GIVEN in attributes else suggested
        try:
            resolved = problem.resolve(design)
        except DesignError as error:
            self._keep(design=str(design))
            self._infeasible(error.reason, 1.0)
        self._keep(
            design=str(resolved.design),
            digest=resolved.digest,
            n_params=resolved.n_params,
            n_head=problem.n_head,
            seed=self.worker.seed,
        )
        return resolved

    def _known(self, resolved: ResolvedLike) -> FrozenTrial | None:
        """A trial that trained the same design with the same seed; recipe and data are the study's."""
        return known_result(self.trial, self._others((TrialState.COMPLETE,)), resolved.digest, self.worker.seed)

    def _repeat(self, known: FrozenTrial) -> tuple[float, float]:
        kept = known.user_attrs
        self.trial.set_constraint("stopped", shortfall(known) if kept["status"] == "stopped" else 0.0)
        self._keep(status="duplicate", rungs=kept["rungs"], reason=f"the same design as trial {known.number}")
        return known.values[0], known.values[1]

    def _refuse_too_large(self, resolved: ResolvedLike) -> None:
        limit = self.worker.max_params
        if limit is not None and resolved.n_params > limit:
            self._infeasible(f"{resolved.n_params:,} parameters, more than {limit:,}", float(resolved.n_params - limit))

    def _refuse_too_slow(self, resolved: ResolvedLike) -> None:
        """Measured before it trains; what was measured stays with the trial either way."""
        limit = self.worker.max_latency
        if limit is None:
            return
        cost = measured(*self.worker.problem.latencies(resolved.design))
        self._keep(cost=cost)
        if (share := limit.share(cost)) > 1:
            took = f"{1000 * cost['latency']:.1f} ms an image, {cost['latency_times']:.2f} times the bare network's"
            self._infeasible(f"{took}: more than {limit.text}", share - 1)

    def _refuse_in_training(self, resolved: ResolvedLike) -> None:
        """Another worker may train the same design just now."""
        key = (resolved.digest, self.worker.seed)
        rival = rival_of(self.trial, key, lambda: self._others((TrialState.RUNNING,)), sleep=self._sleep)
        if rival is not None:
            reason = f"the same design as trial {rival.number}, which is in training"
            self._keep(status="duplicate", reason=reason)
            raise optuna.TrialPruned(reason)

    def _infeasible(self, reason: str, violation: float) -> None:
        self._keep(status="infeasible", reason=reason)
        self.trial.set_constraint("infeasible", violation)
        raise optuna.TrialPruned(reason)

    def _train(self, resolved: ResolvedLike) -> float:
        """Top-1 at the last rung reached."""
        run, rungs = begin(self.trial, resolved.design, self.worker.study, self.worker.start)
        steps = run.rungs()
        try:
            while (rung := self._next(steps)) is not None:
                rungs = with_rung(rungs, _plain(rung))
                self._keep(rungs=rungs, notice=run.notice or None)
                self.worker.on_event(RungReached(self.trial.number, rung))
                if not rung.last and (verdict := self._verdict(resolved, rung)) is not None:
                    self._finish(run, "stopped", *verdict)
                    break
            else:
                self._finish(run, "finished")
        finally:
            close: Callable[[], None] | None = getattr(steps, "close", None)
            if close is not None:
                close()
        return float(rungs[-1]["top1"])

    def _next(self, steps: Iterator[RungLike]) -> RungLike | None:
        """Train to the next rung; None after the last."""
        with self.worker.interrupts.allowed():
            return next(steps, None)

    def _sleep(self, seconds: float) -> None:
        self.worker.interrupts.check()
        time.sleep(seconds)

    def _verdict(self, resolved: ResolvedLike, rung: RungLike) -> tuple[str, float] | None:
        """Reason and regret if the trial ends here: it is hopeless, or the time is up."""
        worker = self.worker
        if worker.budget.late(worker.clock() - self.begun):
            return TIME_UP, 1.0
        if worker.rule is None or "baseline" in self.trial.user_attrs:
            return None
        own = observed(record_of(self._frozen()), worker.problem.depth)
        others = not_resumed(self._others((TrialState.COMPLETE, TrialState.RUNNING)), self._frozen())
        decision = worker.rule.decide(own, [worker.observed(t) for t in others if _is_own_training(t)])
        return None if decision.go_on else (decision.reason, decision.regret)

    def _finish(self, run: RunLike, status: str, reason: str | None = None, regret: float | None = None) -> None:
        """Weights first: a trial that counts as ended has them. The constraint is on all: GPSampler asks for that."""
        run.save(self.worker.study.weights(self.trial.number))
        self._keep(cost={**self.trial.user_attrs.get("cost", {}), **run.cost})
        self.trial.set_constraint("stopped", 0.0 if regret is None else max(regret, 1e-6))
        self._keep(status=status, reason=reason)

    def _others(self, states: tuple[TrialState, ...]) -> list[FrozenTrial]:
        trials = self.worker.study.optuna.get_trials(deepcopy=False, states=states)
        return [t for t in trials if t.number != self.trial.number]

    def _frozen(self) -> FrozenTrial:
        return self.trial._cached_frozen_trial  # Optuna's own copy: nobody else writes to a running trial

    def _keep(self, **facts: Any) -> None:
        for key, value in facts.items():
            if value is not None:
                self.trial.set_user_attr(key, value)


def identity() -> dict[str, Any]:
    """Which process works on a trial."""
    return {"host": platform.node(), "pid": os.getpid()}


def _is_own_training(trial: FrozenTrial) -> bool:
    return bool(trial.user_attrs.get("rungs")) and trial.user_attrs.get("status") != "duplicate"


def _plain(rung: RungLike) -> dict[str, Any]:
    return {
        "index": rung.index,
        "epoch": rung.epoch,
        "top1": rung.top1,
        "standard_error": rung.standard_error,
        "loss": rung.loss,
        "balanced": rung.balanced,
        "ece": rung.ece,
        "images_per_second": round(rung.images_per_second, 1),
        "seconds": round(rung.seconds, 3),
    }
