"""A search's training step against the plain loop, peft's LoRA and the bare frozen suffix, in turn, in one process.

    python benchmarks/suffix.py --out benchmarks/results/suffix.json

For each design that a space draws: a step on images, the same step on cached activations, and the floor, which is the
frozen blocks from the first tuned one on, forward plus the backward of the activations, without tuner, head, loss or
optimiser. peft's LoRA on qkv of all blocks steps in the same rounds, on images, beside the same design of ours. Batches
are random pixels; ratios are medians over the rounds of ratios within a round. Bytes are those that the backward of a
step keeps, counted from the tensors that autograd saves, the same way for both.
"""

import argparse
import json
import platform
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from copy import deepcopy
from importlib.metadata import version
from pathlib import Path

import optuna
import peft
import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks

from utsearch.backbones import Backbone, load_backbone
from utsearch.data import normalise
from utsearch.files import write_atomic
from utsearch.forms import info
from utsearch.space import load_space
from utsearch.training import Recipe
from utsearch.training.device import choose_device
from utsearch.training.prefix import PrefixCache, first_tuned
from utsearch.training.replay import Replay
from utsearch.training.stepper import Stepper
from utsearch.training.train import clone_head
from utsearch.tuning import Classifier, attached, resolve

Step = Callable[[], object]
CLASSES = 10


class Bench:
    """One backbone, one batch of random pixels and its cached activations."""

    def __init__(self, name: str, batch: int, device: torch.device) -> None:
        self.backbone: Backbone = load_backbone(name, pretrained=name == "vit_mini").to(device)
        side, draw = self.backbone.img_size, torch.Generator().manual_seed(0)
        self.pixels = torch.randint(0, 256, (1, batch, 3, side, side), dtype=torch.uint8, generator=draw).to(device)
        self.labels = torch.arange(batch, device=device) % CLASSES
        self.head = nn.Linear(self.backbone.width, CLASSES, device=device)
        cuts = range(self.backbone.depth, 0, -1)
        self.prefixes = PrefixCache(self.backbone, self.pixels, self.pixels[0, :1], cuts, budget=10**12)

    def images(self) -> Tensor:
        """Normalised, as every step on images makes them."""
        return normalise(self.pixels[0], self.backbone.mean, self.backbone.std)

    @contextmanager
    def ours(self, design: str, *, cached: bool) -> Iterator[Step]:
        """The product's own step on a network that it has to itself, so that all steps may exist at once."""
        backbone = deepcopy(self.backbone)
        resolved = resolve(design, backbone)
        prefix = self.prefixes.of(resolved) if cached else None
        chosen = torch.arange(len(self.labels))
        with ExitStack() as stack:
            tuned = stack.enter_context(attached(backbone, resolved.design))
            stepper = Stepper(Classifier(backbone, clone_head(self.head), tuned), Recipe(), len(chosen), torch.float32)
            if prefix is None:
                yield lambda: stepper.step(lambda rows: self.images(), chosen, self.labels)
                return
            replay = stack.enter_context(Replay(backbone, tuple(prefix.at), prefix.empties).installed())
            yield lambda: stepper.step(lambda rows: replay.feed(prefix.batch(0, rows)), chosen, self.labels)

    @contextmanager
    def floor(self, first: int) -> Iterator[Step]:
        """The bare frozen blocks from one on, forward and the backward of the activations."""
        backbone, prefix = deepcopy(self.backbone), self.prefixes.at(first)
        if prefix is None:
            yield lambda: backbone.model(self.images().requires_grad_()).sum().backward()
            return
        stored = prefix.batch(0, torch.arange(len(self.labels)))
        with Replay(backbone, (prefix.cut,), prefix.empties).installed() as replay:
            leaf = {prefix.cut: stored[prefix.cut].requires_grad_()}
            yield lambda: backbone.model(replay.feed(leaf)).sum().backward()

    def peft(self, rank: int) -> Step:
        """A plain loop around peft's LoRA on qkv."""
        config = peft.LoraConfig(r=rank, lora_alpha=rank, target_modules=r".*attn\.qkv")
        model: nn.Module = peft.get_peft_model(deepcopy(self.backbone.model), config)
        head = clone_head(self.head)
        learnt = [p for p in (*model.parameters(), *head.parameters()) if p.requires_grad]
        optimiser = torch.optim.AdamW(learnt, lr=1e-3)

        def step() -> None:
            optimiser.zero_grad()
            nn.functional.cross_entropy(head(model(self.images())), self.labels).backward()
            optimiser.step()

        return step


def drawn(space: str, backbone: Backbone, n: int) -> list[str]:
    """Random designs of a space."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study, found = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1)), load_space(space, info())
    return [str(resolve(found.suggest(study.ask(), backbone.depth), backbone).design) for _ in range(n)]


def rounds(steps: dict[str, Step], n: int) -> dict[str, list[float]]:
    """Seconds of each step in turn, two unmeasured rounds first, the order turned from round to round."""
    names, found = list(steps), {name: list[float]() for name in steps}
    for i in range(n + 2):
        for name in names[i % len(names) :] + names[: i % len(names)]:
            started = time.perf_counter()
            steps[name]()
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            if i >= 2:
                found[name].append(time.perf_counter() - started)
    return found


def kept(step: Step) -> int:
    """Bytes of distinct storages, frozen weights included where the backward needs them, that autograd saves."""
    found: dict[int, int] = {}

    def keep(saved: Tensor) -> Tensor:
        found[saved.untyped_storage().data_ptr()] = saved.untyped_storage().nbytes()
        return saved

    with saved_tensors_hooks(keep, lambda saved: saved):
        step()
    return sum(found.values())


def ratio(times: dict[str, list[float]], one: str, other: str) -> float:
    """Median over the rounds."""
    return round(statistics.median(a / b for a, b in zip(times[one], times[other], strict=True)), 3)


def measure(bench: Bench, design: str, n: int) -> dict[str, object]:
    """One design."""
    first = first_tuned(resolve(design, bench.backbone), bench.backbone)
    with (
        bench.ours(design, cached=False) as plain,
        bench.ours(design, cached=True) as cached,
        bench.floor(first) as floor,
    ):
        times = rounds({"plain": plain, "cached": cached, "floor": floor}, n)
    return {
        "design": design,
        "first": first,
        "cached_to_plain": ratio(times, "cached", "plain"),
        "cached_to_floor": ratio(times, "cached", "floor"),
        "ms": {name: round(1000 * statistics.median(found), 2) for name, found in times.items()},
    }


def against_peft(bench: Bench, rank: int, n: int) -> dict[str, float]:
    """LoRA on qkv of all blocks, both on images."""
    other = bench.peft(rank)
    with bench.ours(f"qkv:lora({rank})", cached=False) as mine:
        times = rounds({"utsearch": mine, "peft": other}, n)
        return {
            "ratio": ratio(times, "utsearch", "peft"),
            "utsearch_bytes": kept(mine),
            "peft_bytes": kept(other),
        }


def main() -> None:
    """Parse the command line and measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbone", default="vit_mini")
    parser.add_argument("--space", default="mini")
    parser.add_argument("--designs", type=int, default=20)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    device = choose_device(arguments.device)
    bench = Bench(arguments.backbone, arguments.batch, device)
    lora = against_peft(bench, 8, arguments.rounds)
    print(f"qkv:lora(8) on images: {lora}", flush=True)
    rows = []
    for design in drawn(arguments.space, bench.backbone, arguments.designs):
        rows.append(measure(bench, design, arguments.rounds))
        print(rows[-1], flush=True)
    means = {
        key: round(statistics.mean(float(row[key]) for row in rows), 3)  # type: ignore[arg-type]
        for key in ("cached_to_plain", "cached_to_floor")
    }
    print(means)
    if arguments.out:
        made_by = {
            "command": " ".join(["python", *sys.argv]),
            "versions": {name: version(name) for name in ("utsearch", "torch", "timm", "peft")},
            "machine": f"{platform.machine()}, {torch.get_num_threads()} threads, {device}",
        }
        result = {"made_by": made_by, "lora_to_peft": lora, "means": means, "rows": rows}
        write_atomic(arguments.out, json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
