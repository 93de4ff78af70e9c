"""How much accuracy bfloat16 storage of the prefix cache moves, beside what another seed moves.

    python benchmarks/rounding.py --out benchmarks/results/rounding.json

Designs of the tabular benchmark's problem that begin late train with several seeds, from exact activations
and from rounded ones. The difference of a pair is compared with the spread of the seeds of a design.
"""

import argparse
import json
import math
import platform
import statistics
import sys
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import torch
from tabular import problem_of_table

from utsearch.design import Design
from utsearch.files import write_atomic
from utsearch.forms import info
from utsearch.space import load_space
from utsearch.training import Problem
from utsearch.training.prefix import HALF, Storing

DESIGNS = ("linear", "ffn:adapter(8)@5", "mha:lora(4)@5", "block:ssf@4-5")  # begin at 6, 5, 5, 4 of 6 blocks


def top1(problem: Problem, design: str, seed: int) -> float:
    """At the last rung."""
    *_, last = problem.start(Design.parse(design), seed).rungs()
    return last.top1


def main() -> None:
    """Parse the command line and measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    exact = replace(problem_of_table(load_space("tabular", info())), cuts=(6, 5, 4))
    rounded = replace(exact, storing=Storing(HALF))
    rows = []
    for design in DESIGNS:
        pairs = [(top1(exact, design, seed), top1(rounded, design, seed)) for seed in range(asked.seeds)]
        rows.append({"design": design, "exact": [a for a, _ in pairs], "bfloat16": [b for _, b in pairs]})
        print(rows[-1], flush=True)
    moved = [b - a for row in rows for a, b in zip(row["exact"], row["bfloat16"], strict=True)]
    variances = [statistics.variance(row[kind]) for row in rows for kind in ("exact", "bfloat16")]
    result = {
        "command": " ".join(["python", *sys.argv]),
        "versions": {name: version(name) for name in ("utsearch", "torch", "timm")},
        "machine": f"{platform.machine()}, {torch.get_num_threads()} threads",
        "validation_images": len(exact.dataset.val),
        "mean_difference": round(statistics.mean(moved), 5),
        "standard_error": round(statistics.stdev(moved) / math.sqrt(len(moved)), 5),
        "mean_absolute_difference": round(statistics.mean(map(abs, moved)), 5),
        "seed_standard_deviation": round(math.sqrt(statistics.mean(variances)), 5),
        "rows": rows,
    }
    print({key: value for key, value in result.items() if key != "rows"})
    if asked.out:
        write_atomic(asked.out, json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
