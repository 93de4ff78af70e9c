"""Several trials in training at once in one process: workers of one study in threads that take turns at every step.

A GPU that one small trial cannot fill gets the kernels of the next trial while those of the last still run. Only one
thread runs at a time, and it passes on its turn between two steps and nowhere else: choosing a design and claiming it
are not cut in two, whatever the others do. Each thread is a whole worker, so a trial begins as soon as another ends,
and has its own heartbeat from Optuna.
"""

import threading
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from utsearch.design import Design
from utsearch.errors import UserError
from utsearch.search.budget import Budget
from utsearch.search.interrupts import Interrupts
from utsearch.search.protocol import BesideLike, RungLike, RunLike, SteppedLike
from utsearch.search.record import Event, SearchEnded, TrialEnded, TrialStarted
from utsearch.search.turns import Turns
from utsearch.search.worker import Worker

PEAK = "peak_memory"  # of the process: in a pack, of all its trials


def run_packed(worker: Worker, size: int) -> str:
    """`worker.run()` with so many trials in training at once; returns why it ended.

    A signal, and an error that ends one of the threads, give the running trials of all of them back to the queue.

    Raises:
        UserError: the problem can train one design only.
    """
    problem = worker.problem
    if not isinstance(problem, BesideLike):
        raise UserError("this problem trains one design at a time; leave out --pack")
    pack = _Pack(worker, problem)
    threads = [threading.Thread(target=pack.run_lane, daemon=True) for _ in range(size)]
    with worker.interrupts:
        for thread in threads:
            thread.start()
        try:
            _join(threads)
        except KeyboardInterrupt as interrupt:  # where somebody else handles signals, as a notebook does
            pack.error = pack.error or interrupt
            _join(threads)
    if pack.error is not None:
        raise pack.error
    worker.interrupts.check()
    worker.on_event(SearchEnded(pack.reasons[-1]))
    return pack.reasons[-1]


def _join(threads: list[threading.Thread]) -> None:
    for thread in threads:
        thread.join()


@dataclass
class _Pack:
    """What the threads share."""

    worker: Worker
    problem: BesideLike
    turns: Turns = field(default_factory=Turns)
    taken: set[int] = field(default_factory=set)  # trials in training or counted
    reasons: list[str] = field(default_factory=list)
    error: BaseException | None = None

    def run_lane(self) -> None:
        """One thread: a worker until its end, or until another one failed."""
        with self.turns:
            try:
                self.reasons.append(self._lane().run())
            except BaseException as error:  # raised again by `run_packed`, in the thread of its caller
                self.error = self.error or error

    def check(self) -> None:
        """Raise KeyboardInterrupt if a signal came or another thread failed."""
        self.worker.interrupts.check()
        if self.error is not None:
            raise KeyboardInterrupt

    def _lane(self) -> "_Lane":
        own = {f.name: getattr(self.worker, f.name) for f in fields(Worker)}
        budget = _Shared(self.worker.budget.trials, self.worker.budget.seconds, self.taken)
        own |= {"budget": budget, "on_event": self._tell, "interrupts": _Told(self)}
        return _Lane(**own, pack=self)

    def _tell(self, event: Event) -> None:
        if isinstance(event, TrialStarted):
            self.taken.add(event.record.number)
        elif isinstance(event, TrialEnded) and not event.record.is_new:
            self.taken.discard(event.record.number)
        if not isinstance(event, SearchEnded):
            self.worker.on_event(event)


@dataclass(frozen=True)
class _Shared(Budget):
    """A budget of all threads together; trials in training count, so that they end together."""

    taken: set[int] = field(default_factory=set)

    def used_up(self, trials: int, seconds: float) -> bool:
        return super().used_up(len(self.taken), seconds)


class _Told(Interrupts):
    """Of a thread, where no signal arrives: it looks whether one came."""

    def __init__(self, pack: _Pack) -> None:
        super().__init__()
        self._pack = pack

    @contextmanager
    def allowed(self) -> Iterator[None]:
        self.check()
        yield

    def check(self) -> None:
        self._pack.check()


@dataclass
class _Lane(Worker):
    """A worker that passes on its turn between two steps."""

    pack: _Pack = field(kw_only=True)

    def start(self, design: Design, resume: Path | None = None) -> RunLike:
        return _InTurns(self.pack.problem.start_beside(design, self.seed, resume=resume), self.pack)


@dataclass(frozen=True)
class _InTurns:
    """A run whose steps alternate with those of others."""

    run: SteppedLike
    pack: _Pack

    @property
    def cost(self) -> Mapping[str, float]:
        return {key: value for key, value in self.run.cost.items() if key != PEAK}

    @property
    def notice(self) -> str:
        return self.run.notice

    def rungs(self) -> Iterator[RungLike]:
        ticks: Any = self.run.ticks()
        with closing(ticks):
            for rung in ticks:
                if rung is None:
                    self.pack.turns.pass_on()
                    self.pack.check()
                else:
                    yield rung

    def save(self, path: Path) -> None:
        self.run.save(path)
