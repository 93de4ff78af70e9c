"""What the same run costs at the race's rungs, without cached prefixes, and in a plain loop, over the table's way."""

import random
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from tabular import problem_of_table

from racing import plain
from racing.recorded import RUNGS
from utsearch.design import Design
from utsearch.tabular import Table
from utsearch.training import Problem


def measure(table: Table, designs: int, classes: int) -> dict[str, Any]:
    """Medians by first tuned block of designs drawn from the table's space, each way in turn.

    Args:
        table: of recorded runs.
        designs: of each first block.
        classes: of the data; fewer than the table's 20 are faster to measure, and what a trial costs apart from
            training then weighs more, which is to the plain loop's favour.

    Returns:
        `ratios` for "cached", "uncached" and "plain", `fill_s` for the cache, the linear probe and the first head, and
        the seconds of every run.
    """
    torch.set_num_threads(1)
    made = problem_of_table(table.space, classes)  # validated after every epoch
    cached = replace(made, recipe=replace(made.recipe, rungs=RUNGS))
    uncached = replace(cached, cache=0)
    cached.backbone.operations  # noqa: B018  the probe of the network is needed by all
    fill = seconds(lambda: [cached.prefixes and cached.prefixes.at(cached.depth), cached.floor, cached.first_head])
    seconds(lambda: (uncached.first_head, made.prefixes and made.prefixes.at(made.depth), made.first_head))
    ways: dict[str, tuple[Problem, Callable[[Problem, Design], object]]] = {
        "table": (made, _train),
        "cached": (cached, _train),
        "uncached": (uncached, _train),
        "plain": (uncached, lambda problem, design: plain.train(problem, problem.resolve(design), 0)),
    }
    runs = []
    for first, design in _drawn(table, designs):
        for way, (problem, train) in ways.items():
            took = seconds(lambda train=train, problem=problem, design=design: train(problem, design))
            runs.append({"first": first, "design": str(design), "way": way, "seconds": round(took, 3)})
            print(runs[-1], flush=True)
    firsts = sorted({run["first"] for run in runs})
    return {
        "ratios": {
            way: {first: _ratio(runs, first, way) for first in firsts} for way in ("cached", "uncached", "plain")
        },
        "fill_s": round(fill, 2),
        "runs": runs,
    }


def seconds(action: Callable[[], object]) -> float:
    """Of this process, which others do not lengthen."""
    begun = time.process_time()
    action()
    return time.process_time() - begun


def _train(problem: Problem, design: Design) -> None:
    for _ in problem.start(design, 0).rungs():
        pass


def _drawn(table: Table, designs: int) -> list[tuple[int, Design]]:
    inside = [entry for entry in table.entries.values() if entry.in_space]
    rng, found = random.Random(0), []
    for first in sorted({entry.first_tuned for entry in inside}):
        here = [entry for entry in inside if entry.first_tuned == first]
        found += [(first, Design.parse(e.design)) for e in rng.sample(here, min(designs, len(here)))]
    return found


def _ratio(runs: list[dict[str, Any]], first: int, way: str) -> float:
    mine, other = (
        [run["seconds"] for run in runs if run["first"] == first and run["way"] == name] for name in (way, "table")
    )
    return round(statistics.median(a / b for a, b in zip(mine, other, strict=True)), 3)
