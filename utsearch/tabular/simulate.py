"""A search over recorded runs, by the worker that also runs the real ones."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from utsearch.pareto import hypervolume
from utsearch.search import Budget, Event, Record, Rule, Study, TrialEnded, search, unstored
from utsearch.space import Space
from utsearch.tabular.replay import Replay
from utsearch.tabular.table import Table


@dataclass(frozen=True)
class Trace:
    """A trial that ended, and the recorded seconds and epochs that the search had taken by then."""

    record: Record
    seconds: float
    epochs: int


def simulate(
    replay: Replay,
    space: Space,
    *,
    epochs: int,
    sampler: str = "ehvi",
    rule: Rule | None = None,
    queue: Callable[[Study], None] = lambda study: None,
) -> list[Trace]:
    """Search until so many epochs have been trained, or every design of the space has.

    Args:
        replay: of a table; its seed is also the sampler's.
        space: of the same table.
        epochs: the budget; the last trial may exceed it.
        sampler: one of `utsearch.search.SAMPLERS`.
        rule: of early stopping; None for none.
        queue: is called with the study before its first trial, to queue designs.
    """
    study = unstored(replay, space)
    queue(study)
    ended: list[Trace] = []

    def note(event: Event) -> None:
        if isinstance(event, TrialEnded):
            ended.append(Trace(event.record, replay.seconds, replay.epochs))

    budget = Budget(trials=len(replay.table.entries))
    options: dict[str, Any] = {"sampler": sampler, "seed": replay.seed, "rule": rule, "on_event": note}
    search(replay, space, study, budget, orphaned=lambda: replay.epochs >= epochs, **options)
    return ended


def final_hypervolume(table: Table, traces: Sequence[Trace]) -> float:
    """Of the designs that were trained to the end, each at its mean over the table's seeds."""
    done = {trace.record.digest for trace in traces if trace.record.status == "finished"}
    return hypervolume([(table.entries[d].n_params, table.mean(d)) for d in done], table.scale)


@dataclass(frozen=True)
class Progress:
    """Hypervolume after every trial of a search, and the epochs that were trained by then."""

    epochs: tuple[int, ...]
    hypervolume: tuple[float, ...]

    def at(self, epochs: int) -> float:
        """The hypervolume when so many epochs had been trained."""
        return max((h for e, h in zip(self.epochs, self.hypervolume, strict=True) if e <= epochs), default=0.0)

    def epochs_to(self, goal: float) -> int | None:
        """Epochs until a hypervolume was reached; None if it never was."""
        return next((e for e, h in zip(self.epochs, self.hypervolume, strict=True) if h >= goal), None)


def progress(table: Table, traces: Sequence[Trace]) -> Progress:
    """How a search's hypervolume grew."""
    grown = [final_hypervolume(table, traces[: i + 1]) for i in range(len(traces))]
    return Progress(tuple(trace.epochs for trace in traces), tuple(grown))
