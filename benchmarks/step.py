"""A LoRA training step against peft's, and how long attaching takes, on one network in one process.

    python benchmarks/step.py --out benchmarks/results/step.json

Both step with the same ranks, targets, images and optimiser, in turn, round after round; the ratio of the medians is
what counts, and its spread is the middle half of the ratios of the rounds. Attaching is timed on a backbone whose probe
has run, once per design; the seconds are those of the machine that the result names.
"""

import argparse
import json
import platform
import statistics
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import peft
import timm
import torch
from torch.nn import functional as F

from utsearch.backbones import Backbone
from utsearch.files import write_atomic
from utsearch.tuning import attach

TARGETS = {"qkv": r".*attn\.qkv", "linears": r".*(attn\.(qkv|proj)|fc1|fc2)"}
DESIGNS = ("qkv:lora(8)", "linears:lora(8)", "mha|ffn:adapter(8)", "mha:prefix(10)", "linears|norms|stem|tail:ssf")


def stepper(model: torch.nn.Module, images: torch.Tensor) -> Callable[[], None]:
    """One step of AdamW on what learns in a network."""
    learnt = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimiser, labels = torch.optim.AdamW(learnt, lr=1e-3), torch.arange(len(images), device=images.device)

    def step() -> None:
        optimiser.zero_grad(set_to_none=True)
        F.cross_entropy(model(images), labels).backward()
        optimiser.step()

    return step


def timed(action: Callable[[], object]) -> float:
    """Seconds until the device is done."""
    _wait()
    started = time.perf_counter()
    action()
    _wait()
    return time.perf_counter() - started


def _wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def steps(name: str, sites: str, rank: int, images: torch.Tensor, rounds: int) -> dict[str, float]:
    """Medians of ours and of peft's, and their ratio."""
    ours = Backbone(name, "random", timm.create_model(name, num_classes=0), images.shape[-1]).to(images.device)
    theirs = timm.create_model(name, num_classes=0).to(images.device).eval()
    attach(ours, f"{sites}:lora({rank})").train()
    config = peft.LoraConfig(r=rank, lora_alpha=8, target_modules=TARGETS[sites])
    pair = stepper(ours.model, images), stepper(peft.get_peft_model(theirs, config), images)
    for step in (*pair, *pair):
        step()
    found: list[tuple[float, float]] = []
    for i in range(rounds):
        order = (0, 1) if i % 2 else (1, 0)
        times = {j: timed(pair[j]) for j in order}
        found.append((times[0], times[1]))
    mine, other = (statistics.median(column) for column in zip(*found, strict=True))
    low, _, high = statistics.quantiles([a / b for a, b in found], n=4)
    return {"utsearch_s": mine, "peft_s": other, "ratio": mine / other, "low": low, "high": high}


def attaching(backbone: Backbone, design: str, rounds: int) -> float:
    """Median seconds to resolve, build and attach a design."""
    assert backbone.operations  # the probe runs once per backbone

    times = []
    for _ in range(rounds):
        started = time.perf_counter()
        tuned = attach(backbone, design)
        times.append(time.perf_counter() - started)
        tuned.detach()
    return statistics.median(times)


def main() -> None:
    """Parse the command line and measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbone", default="vit_base_patch16_224")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    name, draw = arguments.backbone, torch.Generator().manual_seed(0)
    images = torch.randn(arguments.batch, 3, 224, 224, generator=draw).to(arguments.device)
    result: dict[str, object] = {"step": {}, "attach_ms": {}}
    for sites in TARGETS:
        result["step"][sites] = row = steps(name, sites, 8, images, arguments.rounds)  # type: ignore[index]
        print(f"{sites}: {row['ratio']:.3f} of peft's ({row['low']:.3f} to {row['high']:.3f})", flush=True)
    backbone = Backbone(name, "random", timm.create_model(name, num_classes=0), 224).to(arguments.device)
    for design in DESIGNS:
        result["attach_ms"][design] = ms = round(1000 * attaching(backbone, design, arguments.rounds), 1)  # type: ignore[index]
        print(f"{design}: attached in {ms} ms", flush=True)
    if arguments.out:
        provenance = {
            "command": " ".join([Path(sys.argv[0]).name, *sys.argv[1:]]),
            "machine": f"{platform.machine()}, {torch.get_num_threads()} threads, {arguments.device}",
            "versions": {package: version(package) for package in ("utsearch", "torch", "timm", "peft")},
        }
        write_atomic(arguments.out, json.dumps({"made_by": provenance, **result}, indent=1) + "\n")


if __name__ == "__main__":
    main()
