"""Do the synthetic sets tell tuners apart? Accuracies of known designs and bounds, and variance over designs and seeds.

    python benchmarks/mini.py                                           # everything; it may be stopped and goes on
    python benchmarks/mini.py --sets mini-cars --only converged lora-8 --seeds 0 1 --out benchmarks/results/cars.json
    python benchmarks/mini.py --show benchmarks/results/*.json          # the tables of docs/mini.md

Every number is validation top-1 after the search's own full recipe; a seed decides views, initial values and order.
`converged` is the linear probe by L-BFGS; `full` fine-tunes every weight with the recipe's epochs, `scratch` trains the
same network from random weights for several times as many, both at one learning rate that was not tuned. Every run's
result is written at once, and what is written is not measured again.
"""

import argparse
import copy
import json
import math
import platform
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import optuna
import torch

from utsearch.backbones import load_backbone
from utsearch.data import normalise, open_dataset
from utsearch.data.procedural import NAMES
from utsearch.design import Design
from utsearch.files import write_atomic
from utsearch.forms import info
from utsearch.space import load_space
from utsearch.training import Problem, Recipe, open_problem
from utsearch.training.source import Images
from utsearch.training.stepper import cosine
from utsearch.training.train import clone_head, epoch_order, evaluate
from utsearch.tuning import Classifier

SIZE, DESIGNS = 6000, 20  # designs of this size within a factor of 2 (√2 to each side), for the variance
FULL_LR, SCRATCH_LR, SCRATCH_EPOCHS = 5e-4, 1e-3, 10

Results = dict[str, dict[str, float]]  # "set/what" -> seed -> top-1


def whole_network(problem: Problem, *, pretrained: bool, rate: float, epochs: int, seed: int) -> float:
    """Top-1 with every weight of the network trained, from its pretrained or from random weights."""
    backbone = copy.copy(problem.backbone)
    backbone.model = copy.deepcopy(problem.backbone.model)
    torch.manual_seed(seed)
    if not pretrained:
        backbone.model.init_weights("jax")
    material, recipe = problem.material, problem.recipe
    model = Classifier(backbone, clone_head(problem.first_head))
    backbone.model.requires_grad_(True)
    optimiser = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=0.05, fused=True)
    steps = epochs * math.ceil(len(material.labels) / recipe.batch_size)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: cosine(step, steps, steps // 10))
    for epoch in range(epochs):
        view = material.bank[epoch % len(material.bank)]
        for batch in epoch_order(len(material.labels), seed=seed, epoch=epoch).split(recipe.batch_size):
            with torch.autocast(view.device.type, torch.bfloat16):  # twice as fast here, and only a bound
                logits = model(normalise(view[batch], backbone.mean, backbone.std)).float()
            loss = torch.nn.functional.cross_entropy(logits, material.labels[batch], label_smoothing=0.1)
            optimiser.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimiser.step()
            schedule.step()
    return evaluate(model, Images(backbone, material), material.val.labels).top1


def equal_designs(problem: Problem) -> list[str]:
    """Distinct random designs of the space `mini` whose sizes lie within a factor of 2."""
    space = load_space("mini", info())
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    found: dict[str, str] = {}
    while len(found) < DESIGNS:
        resolved = problem.resolve(space.suggest(study.ask(), problem.depth))
        if SIZE / math.sqrt(2) <= resolved.n_params <= SIZE * math.sqrt(2):
            found[resolved.digest] = str(resolved.design)
    return list(found.values())


def tuned(problem: Problem, design: Design, seed: int) -> float:
    """Top-1 of a design at the last rung."""
    return list(problem.start(design, seed).rungs())[-1].top1


def jobs(name: str, seeds: Sequence[int]) -> Iterator[tuple[str, int, Callable[[], float]]]:
    """Everything to measure on one set: what, seed, and how."""
    problems = {seed: open_problem(name, seed=seed) for seed in seeds}
    for seed, problem in problems.items():
        yield "converged", seed, partial(getattr, problem, "floor")
        for label, design in problem.known.items():
            yield label, seed, partial(tuned, problem, design, seed)
    for seed, problem in problems.items():
        epochs = problem.recipe.epochs
        yield "full", seed, partial(whole_network, problem, pretrained=True, rate=FULL_LR, epochs=epochs, seed=seed)
        yield (
            "scratch",
            seed,
            partial(whole_network, problem, pretrained=False, rate=SCRATCH_LR, epochs=SCRATCH_EPOCHS, seed=seed),
        )
    for text in equal_designs(problems[seeds[0]]) if name == NAMES[0] else ():
        for seed, problem in problems.items():
            yield f"equal {text}", seed, partial(tuned, problem, Design.parse(text), seed)


def measure(path: Path, sets: Sequence[str], seeds: Sequence[int], only: Sequence[str]) -> None:
    """Run what the file lacks, of `only` these rows (by the start of their names) if there are any."""
    content = load(path) if path.exists() else {"provenance": provenance(), "top1": {}, "seconds": {}}
    for name in sets:
        for what, seed, run in jobs(name, seeds):
            row = content["top1"].get(f"{name}/{what}", {})
            if str(seed) in row or not what.startswith(tuple(only or [""])):
                continue
            started = time.perf_counter()
            row[str(seed)] = round(run(), 4)
            content["top1"][f"{name}/{what}"] = row
            content["seconds"].setdefault(f"{name}/{what}", {})[str(seed)] = round(time.perf_counter() - started, 1)
            write_atomic(path, json.dumps(content, indent=1) + "\n")
            print(f"{name} {what} seed {seed}: {row[str(seed)]:.3f}", flush=True)


def load(path: Path) -> dict[str, Any]:
    """A result file."""
    content: dict[str, Any] = json.loads(path.read_text())
    return content


def provenance() -> dict[str, Any]:
    """What makes the numbers."""
    return {
        "command": " ".join(["python", *sys.argv]),
        "versions": {name: version(name) for name in ("utsearch", "torch", "timm")}
        | {"python": platform.python_version()},
        "processor": platform.processor() or platform.machine(),
        "threads": torch.get_num_threads(),
        "recipe": asdict(Recipe()),
        "backbone": load_backbone("vit_mini").fingerprint,
        "data": {name: open_dataset(name, img_size=64).fingerprint for name in NAMES},
    }


def show(results: Results) -> None:
    """The tables as Markdown: mean ± 95% interval (Student's t) over seeds, in percent."""
    labels = list(dict.fromkeys(key.split("/", 1)[1] for key in results if "equal " not in key))
    print("| | " + " | ".join(NAMES) + " |\n|---|" + "---|" * len(NAMES))
    for label in labels:
        cells = [interval(results.get(f"{name}/{label}", {})) for name in NAMES]
        print(f"| {label} | " + " | ".join(cells) + " |")
    rows = [list(row.values()) for key, row in results.items() if "/equal " in key]
    least = min(map(len, rows), default=0)
    rows = [row[:least] for row in rows]
    if len(rows) > 1 and least > 1:
        share = f"{100 * between(rows):.0f}% of the variance lies between designs"
        print(f"\n{len(rows)} designs of about {SIZE:,} parameters, {least} seeds: {share}, the rest between seeds")


def interval(row: dict[str, float]) -> str:
    """Mean ± half the 95% interval."""
    values = [100 * value for value in row.values()]
    if len(values) < 2:
        return f"{values[0]:.1f}" if values else "–"
    t = {2: 12.71, 3: 4.303, 4: 3.182, 5: 2.776}[len(values)]
    return f"{statistics.mean(values):.1f} ± {t * statistics.stdev(values) / math.sqrt(len(values)):.1f}"


def between(rows: list[list[float]]) -> float:
    """The intraclass correlation: variance of designs over that of designs and seeds (one-way, ICC(1))."""
    k = len(rows[0])
    within = statistics.mean(statistics.variance(row) for row in rows)
    means = statistics.variance([statistics.mean(row) for row in rows])
    designs = max(0.0, means - within / k)
    return designs / (designs + within)


def main() -> None:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/mini.json"), help="result file, resumed")
    parser.add_argument("--sets", nargs="+", default=list(NAMES), choices=NAMES)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--only", nargs="+", default=[], help="rows to measure, as lora-8, equal, scratch")
    parser.add_argument("--threads", type=int, default=1, help="of torch")
    parser.add_argument("--show", type=Path, nargs="+", help="print the tables of result files instead")
    arguments = parser.parse_args()
    if arguments.show:
        merged: Results = {}
        for path in arguments.show:
            for key, row in load(path)["top1"].items():
                merged.setdefault(key, {}).update(row)
        show(merged)
        return
    torch.set_num_threads(arguments.threads)
    measure(arguments.out, arguments.sets, arguments.seeds, arguments.only)


if __name__ == "__main__":
    main()
