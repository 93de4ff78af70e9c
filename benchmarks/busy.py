"""How busy training keeps its device: the share of a step that is not spent on feeding it.

    python benchmarks/busy.py --backbone vit_base_patch16_224 --device cuda   # random weights: nothing is loaded
    python benchmarks/busy.py                                                 # vit_mini, wherever this runs
    python benchmarks/busy.py --precision float32 bfloat16                    # what `precision=auto` rests on

`resident / fed` is the time of a training step on one batch that stays on the device over that of a step which takes
its batch from the view bank, in turns. On CUDA, `busy` is the time that kernels ran over the time that passed, by
torch's profiler; it should be over 0.9. Steps of several precisions take turns too.
"""

import argparse
import json
import platform
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

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

Key = tuple[torch.dtype, str]


def measure(problem: Problem, design: str, steps: int, precisions: Sequence[torch.dtype]) -> dict[str, Any]:
    """Medians of interleaved steps by precision, and on CUDA the share of time with a kernel running."""
    material, recipe, device = problem.material, problem.recipe, problem.device
    batches = full_batches(len(material.labels), recipe.batch_size, device)
    with (
        attached(problem.backbone, Design.parse(design), seed=0) as tuned,
        source_of(problem.backbone, material, None) as source,
    ):
        model = Classifier(problem.backbone, clone_head(problem.first_head), tuned)
        resident = source.batch(0, batches[0])

        def fed(stepper: Stepper, i: int) -> None:
            batch = batches[i % len(batches)]
            stepper.step(partial(source.batch, i), batch, material.labels[batch])

        def kept(stepper: Stepper, i: int) -> None:
            stepper.step(lambda chosen: resident, batches[0], material.labels[batches[0]])

        steppers = {precision: Stepper(model, recipe, len(material.labels), precision) for precision in precisions}
        works = {
            (precision, name): partial(step, stepper)
            for precision, stepper in steppers.items()
            for name, step in (("fed", fed), ("resident", kept))
        }
        medians = in_turns(works, steps, device)
        found = {named(precision): told(medians, precision) for precision in precisions}
        if device.type == "cuda":
            for precision in precisions:
                found[named(precision)]["busy"] = busy(works[precision, "fed"], steps, device)
    return found


def full_batches(images: int, size: int, device: torch.device) -> list[torch.Tensor]:
    """Numbers of images in random order, at least two batches."""
    order = torch.randperm(images, generator=torch.Generator().manual_seed(0))
    batches = order.repeat(-(-2 * size // images)).split(size)
    return [batch.to(device) for batch in batches if len(batch) == size]


def in_turns(works: Mapping[Key, Callable[[int], None]], steps: int, device: torch.device) -> dict[Key, float]:
    """Median seconds of each, after two rounds that do not count."""
    times: dict[Key, list[float]] = {key: [] for key in works}
    for i in range(steps + 2):
        for key, work in works.items():
            seconds = timed(partial(work, i), device)
            if i >= 2:
                times[key].append(seconds)
    return {key: statistics.median(all_) for key, all_ in times.items()}


def told(medians: Mapping[Key, float], precision: torch.dtype) -> dict[str, float]:
    """The figures of one precision."""
    fed, resident = medians[precision, "fed"], medians[precision, "resident"]
    return {"fed step, ms": 1e3 * fed, "resident step, ms": 1e3 * resident, "resident / fed": resident / fed}


def named(precision: torch.dtype) -> str:
    """As the recipe names it."""
    return str(precision).removeprefix("torch.")


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
    parser.add_argument("--precision", nargs="+", default=["auto"], choices=("auto", "float32", "bfloat16"))
    parser.add_argument("--device", default="auto")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    device = choose_device(options.device)
    backbone = place(load_backbone(options.backbone, pretrained=options.backbone == "vit_mini"), device)
    data = open_dataset(options.dataset, img_size=backbone.img_size)
    recipe = replace(Recipe(), batch_size=options.batch, head_init="zero")
    precisions = [precision_of(replace(recipe, precision=name), device) for name in options.precision]
    result = {
        "machine": f"{platform.machine()}, {torch.get_num_threads()} threads, {device}"
        + (f" ({torch.cuda.get_device_name(device)})" if device.type == "cuda" else ""),
        "torch": torch.__version__,
        "backbone": options.backbone,
        "design": options.design,
        "batch": options.batch,
        **measure(Problem(backbone, data, recipe, device), options.design, options.steps, precisions),
    }
    text = json.dumps(result, indent=2)
    print(text)
    if options.out:
        write_atomic(options.out, text + "\n")


if __name__ == "__main__":
    main()
