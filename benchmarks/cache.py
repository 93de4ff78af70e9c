"""What the prefix cache saves: the same designs trained with it and without, in turn, in one process.

    python benchmarks/cache.py --space mini --designs 30 --out benchmarks/results/cache.json

Each design of a space (drawn at random, and the known ones) trains for one epoch of mini-birds and is validated, with
and without the cache, alternately; the ratio of the two times is what counts, not the times. Filling is reported apart.
"""

import argparse
import json
import platform
import statistics
import sys
import time
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import optuna
import torch

from utsearch.design import Design
from utsearch.files import write_atomic
from utsearch.forms import info
from utsearch.search.cuts import useful_cuts
from utsearch.space import load_space
from utsearch.training import Problem, Recipe, open_problem


def drawn(space_name: str, problem: Problem, n: int) -> list[Design]:
    """Random designs of a space."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study, space = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1)), load_space(space_name, info())
    return [problem.resolve(space.suggest(study.ask(), problem.depth)).design for _ in range(n)]


def seconds(problem: Problem, design: Design) -> float:
    """One epoch and one validation."""
    started = time.perf_counter()
    list(problem.start(design).rungs())
    return time.perf_counter() - started


def main() -> None:
    """Parse the command line and measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--space", default="mini")
    parser.add_argument("--designs", type=int, default=30)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    plain = open_problem(recipe=Recipe(epochs=1, rungs=(1,)))
    known, new = list(plain.known.values()), drawn(arguments.space, plain, arguments.designs)
    cuts = useful_cuts(load_space(arguments.space, info()), plain.depth, plain.first_tuned, known)
    cached = replace(plain, cache=10**9, cuts=cuts)
    started = time.perf_counter()
    assert cached.prefixes is not None
    assert cached.prefixes.at(plain.depth) is not None
    fill = time.perf_counter() - started
    rows = []
    for design in [*known, *new]:
        times = [seconds(problem, design) for problem in (plain, cached, plain, cached)]
        ratio = (times[1] + times[3]) / (times[0] + times[2])
        rows.append({"design": str(design), "first": plain.first_tuned(design), "ratio": round(ratio, 3)})
        print(f"{ratio:.2f} from block {rows[-1]['first']}: {design}", flush=True)
    by_first = {
        first: round(statistics.mean(row["ratio"] for row in rows if row["first"] == first), 3)
        for first in sorted({row["first"] for row in rows})
    }
    result = {
        "command": " ".join(["python", *sys.argv]),
        "versions": {name: version(name) for name in ("utsearch", "torch", "timm")},
        "machine": f"{platform.machine()}, {torch.get_num_threads()} threads",
        "fill_seconds": round(fill, 1),
        "megabytes": round(cached.prefixes.nbytes / 1e6),
        "mean_ratio_new": round(statistics.mean(row["ratio"] for row in rows[len(known) :]), 3),
        "ratio_by_first_block": by_first,
        "rows": rows,
    }
    print({key: value for key, value in result.items() if key != "rows"})
    if arguments.out:
        write_atomic(arguments.out, json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
