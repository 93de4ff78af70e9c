"""What one field of the recipe does to accuracy: the measurement behind the defaults of docs/recipe.md.

    python benchmarks/recipe.py --field head_lr --values 0.00125 0.005 0.02      # what the result file lacks
    python benchmarks/recipe.py --field head_init --values zero ridge
    python benchmarks/recipe.py --show

Every number is validation top-1 on mini-birds, everything else at its default. It may be stopped and goes on.
"""

import argparse
import json
import statistics
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from made_by import made_by

from utsearch.design import Design
from utsearch.errors import TrainingFailed
from utsearch.files import write_atomic
from utsearch.training import Recipe, open_problem

CACHE = 4_000_000_000  # bytes
DESIGNS = ("linear", "qkv:lora(8)", "linears|norms|stem|tail:ssf", "mha|ffn:adapter(8)")


def measure(path: Path, field: str, values: list[str], designs: list[str], seeds: list[int]) -> None:
    """Run what the file lacks, and write after every run."""
    content: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {"top1": {}}
    default = open_problem()
    content["provenance"] = {
        **made_by(("utsearch", "torch", "timm")),
        "threads": torch.get_num_threads(),
        "data": default.dataset.fingerprint,
        "backbone": default.backbone.fingerprint,
    }
    for value in values:
        problem = replace(default, recipe=Recipe.parse(f"{field}={value}"), cache=CACHE)
        rows = content["top1"].setdefault(field, {}).setdefault(value, {})
        for text in designs:
            for seed in seeds:
                row = rows.setdefault(text, {})
                if str(seed) in row:
                    continue
                try:
                    row[str(seed)] = round(list(problem.start(Design.parse(text), seed).rungs())[-1].top1, 4)
                except TrainingFailed:
                    row[str(seed)] = 0.0
                write_atomic(path, json.dumps(content, indent=1) + "\n")
                print(f"{field}={value} {text} seed {seed}: {row[str(seed)]:.4f}", flush=True)


def show(path: Path) -> None:
    """A Markdown table for each field: mean top-1 in percent over the seeds, the best value of a design in bold."""
    for field, rows in json.loads(path.read_text())["top1"].items():
        designs = list(next(iter(rows.values())))
        print(f"\n| {field} | " + " | ".join(f"`{d}`".replace("|", "\\|") for d in designs) + " |")
        print("|---|" + "---|" * len(designs))
        means = {value: {d: statistics.mean(row[d].values()) for d in designs} for value, row in rows.items()}
        best = {d: max(means, key=lambda value, d=d: means[value][d]) for d in designs}
        for value, row in means.items():
            cells = [f"**{100 * row[d]:.1f}**" if best[d] == value else f"{100 * row[d]:.1f}" for d in designs]
            print(f"| {value} | " + " | ".join(cells) + " |")


def main() -> None:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/recipe.json"))
    parser.add_argument("--field", default="head_lr")
    parser.add_argument("--values", nargs="+", default=["0.00125", "0.005", "0.02"])
    parser.add_argument("--designs", nargs="+", default=list(DESIGNS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--show", action="store_true", help="print the tables of the result file instead")
    arguments = parser.parse_args()
    if arguments.show:
        show(arguments.out)
    else:
        measure(arguments.out, arguments.field, arguments.values, arguments.designs, arguments.seeds)


if __name__ == "__main__":
    main()
