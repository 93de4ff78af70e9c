"""Which learning rate wins for each form, over ranks: the measurement behind `rate` of the forms (docs/recipe.md).

    python benchmarks/rates.py                              # what is missing in the result file; it may be stopped
    python benchmarks/rates.py --forms lora ssf --seeds 0 1
    python benchmarks/rates.py --show                       # the table of docs/recipe.md
    python benchmarks/rates.py --dataset mini-cars          # whether the rule holds there; --show --dataset mini-cars

Every number is validation top-1 on mini-birds after the search's own recipe. From ×1 the rate is doubled as long as
that helps, then halved likewise, so a row ends one step past its best on both sides. Factors multiply the recipe's
tuner rate, whatever rate the form has now, so that a second measurement does not depend on the first. On another set
than mini-birds only half, one and two times each form's present rate are tried, on a part of it, or on all with
`--whole`; `--most 1` takes one design of each form.
"""

import argparse
import json
import statistics
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from made_by import made_by

from utsearch.data import Subset
from utsearch.design import Design
from utsearch.errors import TrainingFailed
from utsearch.files import write_atomic
from utsearch.forms import catalogue
from utsearch.training import Problem, open_problem

STEPS = (2.0, 0.5)
LIMITS = (1 / 64, 64.0)
HOME = "mini-birds"
PART, PART_SIZE = Subset(classes=20, shots=25, val_shots=50), 48  # of other sets: images of a class, pixels
CACHE = 4_000_000_000  # bytes; it changes no result, and runs of bypass and ladder take a tenth of the time
DESIGNS = {
    "adapter": ("ffn:adapter(2)", "block:adapter(8, insert=parallel)", "mha|ffn:adapter(8)"),
    "adaptformer": ("ffn:adapter(8, act=relu, init=zero, insert=parallel, read=pre, scale=0.1)",),
    "lora": ("qkv:lora(2)", "qkv:lora(8)", "qkv|fc1:lora(8)@last/2"),
    "prefix": ("mha:prefix(10)", "mha:prefix(2)"),
    "prompt": ("mha:prompt(2)", "mha:prompt(10)"),
    "ssf": ("linears|norms|stem|tail:ssf", "block:ssf"),
    "bias": ("linears|norms|stem|tail:bias",),
    "norm": ("norms|tail:norm",),
    "gamma": ("mha|ffn:gamma",),
    "ia3": ("k|v|fc2:ia3",),
    "dora": ("qkv:dora(4)", "qkv:dora(16)"),
    "vera": ("qkv:vera(64)", "qkv:vera(16)"),
    "fact": ("linears:fact(8)", "linears:fact(2)"),
    "glora": ("linears:glora(2)", "linears:glora(8)"),
    "repadapter": ("mha|ffn:repadapter(8)", "mha|ffn:repadapter(2)"),
    "convpass": ("mha|ffn:convpass(8)", "mha|ffn:convpass(2)"),
    "bypass": ("trunk:bypass(8)", "trunk:bypass(24)"),
    "ladder": ("trunk:ladder(24)", "trunk:ladder(8)"),
}


def rate_of(design: Design) -> float:
    """The factor of its forms' present rate."""
    own = {catalogue()[slot.form].rate_of(dict(slot.options)) for slot in design.slots}
    if len(own) > 1:
        raise ValueError(f"{design} mixes forms of different rates")
    return own.pop()


def accuracy(problem: Problem, design: Design, factor: float, seed: int) -> float:
    """Top-1 of a design whose forms all learn at `factor` times the recipe's rate; 0 where training diverges."""
    try:
        return list(problem.start(design, seed, factor / rate_of(design)).rungs())[-1].top1
    except TrainingFailed:
        return 0.0


def opened(dataset: str, whole: bool) -> Problem:
    """A set, or a part of it at fewer pixels."""
    problem = open_problem(dataset) if whole else open_problem(dataset, subset=PART, img_size=PART_SIZE)
    return replace(problem, cache=CACHE)


def measure(path: Path, problem: Problem, designs: list[str], seeds: list[int]) -> None:
    """Run what the file lacks, and write after every run."""
    content: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {"top1": {}}
    content["provenance"] = {
        **made_by(("utsearch", "torch", "timm")),
        "threads": torch.get_num_threads(),
        "recipe": problem.recipe.fingerprint,
        "data": problem.dataset.fingerprint,
        "backbone": problem.backbone.fingerprint,
    }
    for seed in seeds:
        for text in designs:
            design, rows = Design.parse(text), content["top1"].setdefault(text, {})

            def at(factor: float, design: Design = design, rows: Any = rows, seed: int = seed) -> float:
                row = rows.setdefault(f"{factor:g}", {})
                if str(seed) not in row:
                    row[str(seed)] = round(accuracy(problem, design, factor, seed), 4)
                    write_atomic(path, json.dumps(content, indent=1) + "\n")
                    print(f"{design} ×{factor:g} seed {seed}: {row[str(seed)]:.3f}", flush=True)
                return float(row[str(seed)])

            if problem.dataset.name == HOME:
                climb(at)
            else:
                for step in (1.0, *STEPS):
                    at(step * rate_of(design))


def climb(at: Callable[[float], float]) -> None:
    """Double, then halve, as long as it helps."""
    best = at(1.0)
    for step in STEPS:
        factor = step
        while LIMITS[0] <= factor <= LIMITS[1] and at(factor) > best:
            best, factor = at(factor), factor * step


def show(path: Path, relative: bool) -> None:
    """A Markdown table: mean top-1 in percent, the best factor of each design in bold."""
    top1 = {}
    for text, by_factor in json.loads(path.read_text())["top1"].items():
        unit = rate_of(Design.parse(text)) if relative else 1.0
        top1[text] = {float(factor) / unit: statistics.mean(seeds.values()) for factor, seeds in by_factor.items()}
    factors = sorted({factor for row in top1.values() for factor in row})
    print("| design | " + " | ".join(f"×{factor:g}" for factor in factors) + " |\n|---|" + "---|" * len(factors))
    for text, means in top1.items():
        best = max(means, key=lambda f: means[f])
        cells = [f"{100 * means[f]:.1f}" if f in means else "–" for f in factors]
        cells = [f"**{cell}**" if f == best else cell for f, cell in zip(factors, cells, strict=True)]
        print(f"| `{text.replace('|', chr(92) + '|')}` | " + " | ".join(cells) + " |")


def main() -> None:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="default: benchmarks/results/rates.json, elsewhere rates-SET.json")
    parser.add_argument("--dataset", default=HOME)
    parser.add_argument("--whole", action="store_true", help="of another set than mini-birds too")
    parser.add_argument("--forms", nargs="+", default=list(DESIGNS), choices=list(DESIGNS))
    parser.add_argument("--most", type=int, help="only so many designs of each form, the first ones")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--show", action="store_true", help="print the table of the result file instead")
    arguments = parser.parse_args()
    home = arguments.dataset == HOME
    name = "rates" if home else f"rates-{arguments.dataset}{'-whole' * arguments.whole}"
    out = arguments.out or Path("benchmarks/results") / f"{name}.json"
    if arguments.show:
        show(out, relative=not home)
    else:
        designs = [text for form in arguments.forms for text in DESIGNS[form][: arguments.most]]
        measure(out, opened(arguments.dataset, home or arguments.whole), designs, arguments.seeds)


if __name__ == "__main__":
    main()
