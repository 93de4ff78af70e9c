"""How busy training keeps its device: the share of a step that is not spent on feeding it.

    python benchmarks/busy.py --backbone vit_base_patch16_224 --device cuda   # random weights: nothing is loaded
    python benchmarks/busy.py                                                 # vit_mini, wherever this runs

`resident / fed` is the time of a training step on one batch that stays on the device over that of a step which takes
its batch from the view bank, in turns. On CUDA, `busy` is the time that kernels ran over the time that passed, by
torch's profiler; the issue asks for over 0.9.
"""

import argparse
import json
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch

from utsearch.backbones import load_backbone
from utsearch.data import open_dataset
from utsearch.design import Design
from utsearch.files import write_atomic
from utsearch.training import Problem, Recipe, choose_device
from utsearch.training.device import place
from utsearch.training.source import source_of
from utsearch.training.stepper import Stepper, precision_of
from utsearch.training.train import clone_head
from utsearch.tuning import Classifier, attached


def measure(problem: Problem, design: str, steps: int) -> dict[str, float]:
    """Medians of interleaved steps, and on CUDA the share of time with a kernel running."""
    material, recipe, device = problem.material, problem.recipe, problem.device
    order = torch.randperm(len(material.labels), generator=torch.Generator().manual_seed(0))
    batches = order.repeat(-(-2 * recipe.batch_size // len(order))).split(recipe.batch_size)
    batches = [batch.to(device) for batch in batches if len(batch) == recipe.batch_size]
    with (
        attached(problem.backbone, Design.parse(design), seed=0) as tuned,
        source_of(problem.backbone, material, None) as source,
    ):
        model = Classifier(problem.backbone, clone_head(problem.first_head), tuned)
        stepper = Stepper(model, recipe, len(order), precision_of(recipe, device))
        resident = source.batch(0, batches[0])

        def fed(i: int) -> None:
            batch = batches[i % len(batches)]
            stepper.step(partial(source.batch, i), batch, material.labels[batch])

        def kept(i: int) -> None:
            stepper.step(lambda chosen: resident, batches[0], material.labels[batches[0]])

        times: dict[str, list[float]] = {"fed": [], "resident": []}
        for i in range(steps + 2):
            for name, step in (("fed", fed), ("resident", kept)):
                seconds = timed(partial(step, i), device)
                if i >= 2:
                    times[name].append(seconds)
        found = {f"{name} step, ms": 1e3 * statistics.median(all_) for name, all_ in times.items()}
        found["resident / fed"] = found["resident step, ms"] / found["fed step, ms"]
        if device.type == "cuda":
            found["busy"] = busy(fed, steps, device)
    return found


def timed(work: Callable[[], None], device: torch.device) -> float:
    """Seconds until the device has done it."""
    begun = time.perf_counter()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - begun


def busy(step: Callable[[int], None], steps: int, device: torch.device) -> float:
    """Time of kernels over time that passed, steps one after the other without waiting in between."""

    def all_steps() -> None:
        for i in range(steps):
            step(i)

    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profile:
        seconds = timed(all_steps, device)
    return sum(event.self_device_time_total for event in profile.key_averages()) / 1e6 / seconds


def main() -> None:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbone", default="vit_mini")
    parser.add_argument("--dataset", default="mini-birds")
    parser.add_argument("--design", default="mha:lora(8)")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--precision", default="auto", choices=("auto", "float32", "bfloat16"))
    parser.add_argument("--device", default="auto")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    device = choose_device(options.device)
    backbone = place(load_backbone(options.backbone, pretrained=options.backbone == "vit_mini"), device)
    data = open_dataset(options.dataset, img_size=backbone.img_size)
    recipe = replace(Recipe(), batch_size=options.batch, precision=options.precision, head_init="zero")
    result = {
        "machine": f"{platform.machine()}, {torch.get_num_threads()} threads, {device}"
        + (f" ({torch.cuda.get_device_name(device)})" if device.type == "cuda" else ""),
        "torch": torch.__version__,
        "backbone": options.backbone,
        "design": options.design,
        "batch": options.batch,
        "precision": options.precision,
        **measure(Problem(backbone, data, recipe, device), options.design, options.steps),
    }
    text = json.dumps(result, indent=2)
    print(text)
    if options.out:
        write_atomic(options.out, text + "\n")


if __name__ == "__main__":
    main()
