"""A search over recorded runs, by the worker that also runs the real ones."""

from collections.abc import Sequence
from dataclasses import dataclass

from utsearch.pareto import hypervolume
from utsearch.search import Budget, Event, Record, Rule, TrialEnded, search, unstored
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
    replay: Replay, space: Space, *, trials: int, sampler: str = "tpe", rule: Rule | None = None
) -> list[Trace]:
    """Search until so many trials have ended, finished or stopped; baselines count.

    Args:
        replay: of a table; its seed is also the sampler's.
        space: of the same table.
        trials: the budget.
        sampler: one of `utsearch.search.SAMPLERS`.
        rule: of early stopping; None for none.
    """
    study = unstored(replay, space)
    ended: list[Trace] = []

    def note(event: Event) -> None:
        if isinstance(event, TrialEnded):
            ended.append(Trace(event.record, replay.seconds, replay.epochs))

    budget = Budget(trials=min(trials, len(replay.table.entries)))
    search(replay, space, study, budget, sampler=sampler, seed=replay.seed, rule=rule, on_event=note)
    return ended


def final_hypervolume(table: Table, traces: Sequence[Trace]) -> float:
    """Of the designs that were trained to the end, each at its mean over the table's seeds."""
    done = {trace.record.digest for trace in traces if trace.record.status == "finished"}
    return hypervolume([(table.entries[d].n_params, table.mean(d)) for d in done], table.scale)
