"""Pretrain `vit_mini` on formula-driven images.

    python tools/pretrain_vit_mini.py --minutes 45 --folder pretraining
    python tools/pretrain_vit_mini.py --folder pretraining --ship     # writes the half-precision weights of the package

The class token names the attributes of each image's formula (`utsearch.data.procedural.formula`), and every patch token
tells how much of it body, parts and texture cover. With whole formulas as categories (200 contours, 100 textures, 100
sets of parts) only the textures were learnt in the first 200,000 images; attributes of a few values each begin to be
learnt sooner. The learning rate follows the clock, so that a slower machine ends with a finished schedule on fewer
images. Killed, it goes on from its last checkpoint.
"""

import argparse
import json
import math
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional as F

from utsearch.backbones import vit_mini as mini
from utsearch.data.procedural import formula

BATCH = 64
PEAK_LR = 1.5e-3
WEIGHT_DECAY = 0.05
WARMUP_STEPS = 500
CHECKPOINT_SECONDS = 120
SIZES = tuple(formula.ATTRIBUTES.values())
MAPS = 3

Bank = tuple[Tensor, Tensor, Tensor]  # images, labels, maps: see formula.draw


class Pretrainer(nn.Module):
    """The backbone with linear heads on the class token and on the patch tokens."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = mini.vit_mini(pretrained=False)
        self.attributes = nn.Linear(self.backbone.num_features, sum(SIZES))
        self.maps = nn.Linear(self.backbone.num_features, MAPS)

    def losses(self, images: Tensor, labels: Tensor, maps: Tensor) -> Tensor:
        """Mean cross entropy of the attributes and of the maps, (2,)."""
        tokens = self.backbone.forward_features(images)
        named = [
            F.cross_entropy(z, labels[:, i], label_smoothing=0.05)
            for i, z in enumerate(self.attributes(tokens[:, 0]).float().split(SIZES, dim=1))
        ]
        share = maps.flatten(2).transpose(1, 2).float() / 255  # (images, patches, maps)
        covered = F.binary_cross_entropy_with_logits(self.maps(tokens[:, 1:]).float(), share)
        return torch.stack([torch.stack(named).mean(), covered])

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """(images, 3, 64, 64) to the logits of each attribute."""
        return self.attributes(self.backbone(images)).split(SIZES, dim=1)


@dataclass(frozen=True)
class Progress:
    """How far pretraining is; `top1` of each attribute on images that are never trained on."""

    step: int = 0
    images: int = 0
    seconds: float = 0.0
    losses: tuple[float, ...] = ()
    top1: dict[str, float] | None = None


def bank(n: int, seed: int) -> Bank:
    """Images, labels and maps drawn in batches of 100; batch i depends on seed and i alone."""
    images, labels, maps = zip(*(formula.draw(100, seed + i) for i in range(n // 100)), strict=True)
    return torch.cat(images), torch.cat(labels), torch.cat(maps)


def augment(images: Tensor) -> Tensor:
    """uint8 to normalised float: channels shuffled for the batch, random gain and sign for each image."""
    x = images[:, torch.randperm(3)].float() / 255
    sign = torch.where(torch.rand(len(x), 1, 1, 1) < 0.2, -1.0, 1.0)
    return (x - 0.5) * (0.6 + 0.8 * torch.rand(len(x), 3, 1, 1)) * sign / 0.5


def learning_rate(step: int, progress: float) -> float:
    """Linear warm-up in steps, then half a cosine over the time that is given."""
    return PEAK_LR * min(1.0, (step + 1) / WARMUP_STEPS) * 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))


@torch.no_grad()
def accuracy(model: Pretrainer, held_out: Bank) -> dict[str, float]:
    """Top-1 of every attribute, where it shows."""
    model.eval()
    right, shown = torch.zeros(len(SIZES)), torch.zeros(len(SIZES))
    for x, y in zip(held_out[0].split(250), held_out[1].split(250), strict=True):
        guesses = torch.stack([z.argmax(1) for z in model((x.float() / 255 - 0.5) / 0.5)], dim=1)
        right += (guesses == y).sum(0)
        shown += (y != formula.UNDEFINED).sum(0)
    model.train()
    return {name: round(float(a), 3) for name, a in zip(formula.ATTRIBUTES, right / shown, strict=True)}


def pretrain(folder: Path, minutes: float, n_images: int) -> None:
    """Train until the minutes are used up, with a checkpoint every two minutes."""
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    model = Pretrainer()
    optimiser = torch.optim.AdamW(model.parameters(), lr=PEAK_LR, weight_decay=WEIGHT_DECAY, fused=True)
    before = resume(folder, model, optimiser)
    images, labels, maps = bank(n_images, seed=1_000_000)
    held_out = bank(2000, seed=2_000_000)
    started = saved = time.monotonic()
    step, used = before.step, before.seconds
    while used < 60 * minutes:
        optimiser.param_groups[0]["lr"] = learning_rate(step, used / (60 * minutes))
        chosen = torch.randint(len(images), (BATCH,))
        with torch.autocast("cpu", torch.bfloat16):
            losses = model.losses(augment(images[chosen]), labels[chosen], maps[chosen])
        optimiser.zero_grad()
        (losses * torch.tensor([3.0, 2.0])).sum().backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        step += 1
        used = before.seconds + time.monotonic() - started
        if time.monotonic() - saved > CHECKPOINT_SECONDS or used >= 60 * minutes:
            saved = time.monotonic()
            numbers = tuple(round(float(x), 3) for x in losses.detach())
            progress = Progress(step, step * BATCH, round(used, 1), numbers, accuracy(model, held_out))
            checkpoint(folder, model, optimiser, progress)


def checkpoint(folder: Path, model: Pretrainer, optimiser: torch.optim.Optimizer, progress: Progress) -> None:
    """Model, moments of AdamW and the clock, as safetensors and one line of a log."""
    moments = {
        f"moment.{key}.{i}": value
        for i, state in optimiser.state_dict()["state"].items()
        for key, value in state.items()
    }
    temporary = folder / "checkpoint.tmp"
    save_file({f"model.{k}": v for k, v in model.state_dict().items()} | moments, temporary)
    temporary.replace(folder / "checkpoint.safetensors")
    with (folder / "log.jsonl").open("a") as log:
        log.write(json.dumps(asdict(progress)) + "\n")


def resume(folder: Path, model: Pretrainer, optimiser: torch.optim.Optimizer) -> Progress:
    """Load the last checkpoint, if there is one, into model and optimiser."""
    path = folder / "checkpoint.safetensors"
    if not path.exists():
        return Progress()
    tensors = load_file(path)
    model.load_state_dict({k.removeprefix("model."): v for k, v in tensors.items() if k.startswith("model.")})
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        if name.startswith("moment."):
            key, index = name.removeprefix("moment.").rsplit(".", 1)
            state.setdefault(int(index), {})[key] = value
    optimiser.load_state_dict(optimiser.state_dict() | {"state": state})
    return last(folder)


def last(folder: Path) -> Progress:
    """The newest line of the log."""
    return Progress(**json.loads((folder / "log.jsonl").read_text().splitlines()[-1]))


def ship(folder: Path) -> None:
    """Write the backbone's weights in half precision, with what made them in the header."""
    tensors = load_file(folder / "checkpoint.safetensors")
    start = "model.backbone."
    weights = {k.removeprefix(start): v.half().contiguous() for k, v in tensors.items() if k.startswith(start)}
    made_by = {"version": "1", "made_by": "tools/pretrain_vit_mini.py", "log": json.dumps(asdict(last(folder)))}
    save_file(weights, mini.WEIGHTS, metadata=made_by)
    print(f"{mini.WEIGHTS}: {mini.WEIGHTS.stat().st_size / 1e6:.2f} MB")


def main() -> None:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=45, help="length of the schedule")
    parser.add_argument("--images", type=int, default=60_000, help="size of the bank of drawn images")
    parser.add_argument("--folder", type=Path, default=Path("pretraining"), help="checkpoint and log")
    parser.add_argument("--ship", action="store_true", help="write the package's weights from the checkpoint")
    arguments = parser.parse_args()
    if arguments.ship:
        ship(arguments.folder)
    else:
        pretrain(arguments.folder, arguments.minutes, arguments.images)


if __name__ == "__main__":
    main()
