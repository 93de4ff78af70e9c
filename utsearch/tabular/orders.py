"""Early stopping judged on recorded curves: many random orders of trials, no sampler, no training."""

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace

from utsearch.pareto import front, hypervolume
from utsearch.search import Rule
from utsearch.search.observed import Observed
from utsearch.tabular.table import Curve, Entry, Table


@dataclass(frozen=True)
class Outcome:
    """What a rule did to one order of trials.

    Attributes:
        lost: share of the hypervolume of all designs of the order that those trained to the end lack.
        lost_gain: the same of what the new designs add to the baselines' hypervolume; nan where they add nothing.
        saved: share of all epochs that was not trained.
        saved_new: the same of the new designs' epochs, since baselines are never stopped.
        cut_small: share of the new designs on the order's true front that were stopped, among the smaller half.
        cut_large: the same among the larger half.
    """

    lost: float
    lost_gain: float
    saved: float
    saved_new: float
    cut_small: float
    cut_large: float


def judge(
    table: Table,
    rule: Rule | None,
    *,
    seed: int,
    designs: int,
    rungs: Sequence[int],
    baselines: bool,
    foresight: bool = False,
) -> Outcome:
    """Train a bootstrap sample of the space's designs in random order, stopped by a rule.

    Every design is played from a recorded seed drawn at random; sample, order and draws depend on `seed` alone, so that
    rules are compared on the same orders.

    Args:
        table: of recorded runs.
        rule: at every rung but the last.
        seed: of the order.
        designs: drawn with replacement from the designs of the space; repeats are trained once, as in a search.
        rungs: epochs after which the rule is asked.
        baselines: whether the known designs that a search queues go first, always to the end.
        foresight: whether the rule is told how the trial would end, as no rule of a search can be.
    """
    rng = random.Random(seed)
    inside = [entry for entry in table.entries.values() if entry.in_space]
    first = list(table.baselines) if baselines else []
    drawn = dict.fromkeys(rng.choices(inside, k=designs))
    new = [entry for entry in drawn if entry not in first]
    curves = {entry: table.curves[entry.digest, rng.choice(table.seeds)] for entry in [*first, *new]}
    seen = [_observed(entry, curves[entry], rungs, table.n_val) for entry in first]
    stopped_at: dict[Entry, int] = {}
    for number, entry in enumerate(new, start=len(first)):
        own = _train(entry, curves[entry], rule, seen, rungs, number, table.n_val, foresight)
        seen.append(own)
        if own.final is None:
            stopped_at[entry] = rungs[len(own.curve) - 1]
    return _outcome(table, curves, first, new, stopped_at)


def _train(
    entry: Entry,
    curve: Curve,
    rule: Rule | None,
    seen: list[Observed],
    rungs: Sequence[int],
    number: int,
    n_val: int,
    foresight: bool,
) -> Observed:
    for reached, _ in enumerate([e for e in rungs if e < len(curve)], start=1):
        own = _observed(entry, curve, rungs[:reached], n_val, number=number, ended=foresight)
        if rule is not None and not rule.decide(own, seen).go_on:
            return replace(own, final=None)
    return _observed(entry, curve, rungs, n_val, number=number)


def _observed(
    entry: Entry, curve: Curve, rungs: Sequence[int], n_val: int, *, number: int = 0, ended: bool = True
) -> Observed:
    kept = [curve[epoch - 1] for epoch in rungs if epoch <= len(curve)]
    top1 = kept[-1].top1
    error = math.sqrt(top1 * (1 - top1) / n_val)
    seen = tuple((e.top1, e.loss) for e in kept)
    return Observed(entry.n_params, seen, curve[-1].top1 if ended else None, error, number, entry.features)


def _outcome(
    table: Table, curves: dict[Entry, Curve], first: list[Entry], new: list[Entry], stopped_at: dict[Entry, int]
) -> Outcome:
    everyone = [*first, *new]
    points = {entry: (entry.n_params, curves[entry][-1].top1) for entry in everyone}
    whole = hypervolume(list(points.values()), table.scale)
    kept = hypervolume([points[entry] for entry in everyone if entry not in stopped_at], table.scale)
    before = hypervolume([points[entry] for entry in first], table.scale)
    epochs = len(next(iter(curves.values())))
    unspent = sum(epochs - at for at in stopped_at.values())
    best = [everyone[i] for i in front(list(points.values()))]
    small, large = _halves([entry for entry in best if entry in new], new)
    return Outcome(
        lost=1 - kept / whole,
        lost_gain=(whole - kept) / (whole - before) if whole > before else math.nan,
        saved=unspent / (epochs * len(everyone)),
        saved_new=unspent / (epochs * len(new)),
        cut_small=_share(small, stopped_at),
        cut_large=_share(large, stopped_at),
    )


def _halves(chosen: list[Entry], among: list[Entry]) -> tuple[list[Entry], list[Entry]]:
    middle = sorted(entry.n_params for entry in among)[len(among) // 2]
    return [e for e in chosen if e.n_params < middle], [e for e in chosen if e.n_params >= middle]


def _share(chosen: list[Entry], stopped: dict[Entry, int]) -> float:
    return sum(entry in stopped for entry in chosen) / len(chosen) if chosen else math.nan
