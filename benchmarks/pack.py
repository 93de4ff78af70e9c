"""What several trials in training at once in one process gain: the same designs, one by one and packed, in turn.

    python benchmarks/pack.py --out benchmarks/results/pack.json                      # the tabular benchmark's problem
    python benchmarks/pack.py --backbone vit_small_patch16_224 --device cuda --packs 1,2,4,8

Each round trains the same random designs with each size of pack, as `search --pack` does: modules of their own, a step
of each in turn, the next design begins when one ends. What counts are ratios within a round: of time on the
clock, and of processor time, which other work on the machine moves less.
"""

import argparse
import json
import platform
import statistics
import sys
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import optuna
import torch
from tabular import problem_of_table

from utsearch.design import Design
from utsearch.files import write_atomic
from utsearch.forms import info
from utsearch.search.cuts import useful_cuts
from utsearch.space import Space, load_space
from utsearch.training import Problem, open_problem


def problem_of(space: Space, backbone: str, device: str) -> Problem:
    """The tabular benchmark's on the CPU, else mini-birds on a timm model."""
    if backbone == "vit_mini":
        return problem_of_table(space)
    problem = open_problem("mini-birds", backbone, device=device)
    cuts = useful_cuts(space, problem.depth, problem.first_tuned, list(problem.known.values()))
    return replace(problem, cache=8_000_000_000, cuts=cuts)


def drawn(space: Space, problem: Problem, n: int) -> list[Design]:
    """Random designs of a space."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1))
    return [problem.resolve(space.suggest(study.ask(), problem.depth)).design for _ in range(n)]


def seconds(problem: Problem, designs: list[Design], size: int) -> tuple[float, float]:
    """On the clock and of the processor, for training all of them, so many at a time."""
    waiting, running = deque(designs), deque[Iterator[object]]()
    started, begun = time.perf_counter(), time.process_time()
    while waiting or running:
        while waiting and len(running) < size:
            running.append(problem.start_beside(waiting.popleft()).ticks())
        steps = running.popleft()
        try:
            next(steps)
        except StopIteration:
            continue
        running.append(steps)
    if problem.device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - started, time.process_time() - begun


def against(found: list[tuple[float, float]], first: list[tuple[float, float]], kind: int) -> float:
    """Median over the rounds of the ratio within a round."""
    return round(statistics.median(a[kind] / b[kind] for a, b in zip(found, first, strict=True)), 3)


def main() -> None:
    """Parse the command line and measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbone", default="vit_mini")
    parser.add_argument("--space", default="tabular")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--designs", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--packs", default="1,4", help="sizes, the first one is what the others are compared with")
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    space = load_space(asked.space, info())
    problem = problem_of(space, asked.backbone, asked.device)
    problem = replace(problem, recipe=replace(problem.recipe, epochs=asked.epochs, rungs=(asked.epochs,)))
    designs, sizes = drawn(space, problem, asked.designs), [int(size) for size in asked.packs.split(",")]
    list(problem.start(designs[0]).rungs())  # fills the prefix cache
    times: dict[int, list[tuple[float, float]]] = {size: [] for size in sizes}
    for i in range(asked.rounds):
        for size in sizes[i % len(sizes) :] + sizes[: i % len(sizes)]:
            times[size].append(seconds(problem, designs, size))
            wall, own = times[size][-1]
            print(f"round {i + 1}, {size} at once: {wall:.1f} s, {own:.1f} s of the processor", flush=True)
    result = {
        "command": " ".join(["python", *sys.argv]),
        "versions": {name: version(name) for name in ("utsearch", "torch", "timm")},
        "machine": f"{platform.machine()}, {torch.get_num_threads()} threads, {problem.device}",
        "designs": [str(design) for design in designs],
        "seconds": {size: [round(t, 2) for t, _ in found] for size, found in times.items()},
        "processor_seconds": {size: [round(t, 2) for _, t in found] for size, found in times.items()},
        "time_against_first": {size: against(found, times[sizes[0]], 0) for size, found in times.items()},
        "processor_against_first": {size: against(found, times[sizes[0]], 1) for size, found in times.items()},
    }
    print(result["time_against_first"], result["processor_against_first"])
    if asked.out:
        write_atomic(asked.out, json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
