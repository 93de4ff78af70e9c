"""Train one design by rungs: a generator that the caller may leave at any rung."""

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor, nn
from torch.nn import functional as F

from utsearch.backbones import Backbone
from utsearch.data import Preprocessing, Split, centre_crop, normalise
from utsearch.design import Design
from utsearch.errors import TrainingFailed
from utsearch.files import write_atomic
from utsearch.training.recipe import Recipe
from utsearch.tuning import Classifier, attached

EVALUATION_BATCH = 256


@dataclass(frozen=True)
class Rung:
    """What validation said after some epochs.

    Attributes:
        index: number of the rung, from 0.
        epoch: epochs trained so far.
        top1: share of validation images classified right, 0…1.
        standard_error: of `top1` from the number of validation images, √(p(1-p)/n).
        loss: mean cross entropy on validation.
        seconds: since the trial started, evaluation included.
        last: whether training is complete.
    """

    index: int
    epoch: int
    top1: float
    standard_error: float
    loss: float
    seconds: float
    last: bool


@dataclass(frozen=True)
class Material:
    """What every trial of a study trains and is validated on, on one device.

    Attributes:
        bank: uint8, (views, images, 3, crop, crop).
        labels: int64, (images,).
        val: centre-cropped validation images.
        head: where every trial's head starts.
    """

    bank: Tensor
    labels: Tensor
    val: Split
    head: nn.Linear


class Run:
    """One design in training. Iterate `rungs()`; after it, or after leaving it early, `save` keeps what was learnt."""

    def __init__(self, backbone: Backbone, design: Design, material: Material, recipe: Recipe, seed: int) -> None:
        self._backbone, self._design, self._material = backbone, design, material
        self._recipe, self._seed = recipe, seed
        self._state: dict[str, Tensor] = {}

    def rungs(self) -> Iterator[Rung]:
        """Train, yielding at each rung of the recipe; closing the generator gives the backbone back untouched.

        Raises:
            TrainingFailed: the loss is not finite, or the device has no memory left.
        """
        try:
            yield from self._train()
        except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
            if isinstance(error, RuntimeError) and not _is_out_of_memory(error):
                raise
            raise TrainingFailed(f"out of memory on {self._material.bank.device}: try a smaller batch") from error

    def state(self) -> dict[str, Tensor]:
        """Tuner (`tuner.…`) and head (`head.…`) at the last rung reached, on the CPU."""
        return dict(self._state)

    def save(self, path: Path) -> None:
        """Write `state()` as safetensors, atomically."""
        write_atomic(path, save(self._state, metadata={"design": str(self._design), "seed": str(self._seed)}))

    def _train(self) -> Iterator[Rung]:
        started, recipe = time.perf_counter(), self._recipe
        with attached(self._backbone, self._design, seed=self._seed) as tuned:
            model = Classifier(self._backbone, clone_head(self._material.head), tuned)
            stepper = _Stepper(model, recipe, len(self._material.labels))
            for epoch in range(recipe.epochs):
                self._epoch(stepper, epoch)
                if epoch + 1 in recipe.rungs:
                    top1, loss = evaluate(model, self._backbone, self._material.val)
                    self._state = model.learnt()
                    yield Rung(
                        index=recipe.rungs.index(epoch + 1),
                        epoch=epoch + 1,
                        top1=top1,
                        standard_error=math.sqrt(top1 * (1 - top1) / len(self._material.val)),
                        loss=loss,
                        seconds=time.perf_counter() - started,
                        last=epoch + 1 == recipe.epochs,
                    )

    def _epoch(self, stepper: "_Stepper", epoch: int) -> None:
        material = self._material
        view = material.bank[epoch % len(material.bank)]
        order = epoch_order(len(material.labels), seed=self._seed, epoch=epoch).to(view.device)
        losses = []
        for batch in order.split(self._recipe.batch_size):
            images = normalise(view[batch], self._backbone.mean, self._backbone.std)
            losses.append(stepper.step(images, material.labels[batch]))
        if not bool(torch.stack(losses).isfinite().all()):  # once an epoch: reading a value waits for the device
            raise TrainingFailed(f"the loss is not a number in epoch {epoch + 1}")


def parameter_groups(model: Classifier, recipe: Recipe) -> list[dict[str, Any]]:
    """Optimiser groups: head and tuners with their own rates, no weight decay on vectors."""
    rates = ((model.tuner_parameters(), recipe.tuner_lr), (list(model.head.parameters()), recipe.head_lr))
    return [
        {"params": chosen, "lr": lr, "weight_decay": decay}
        for params, lr in rates
        for matrices, decay in ((True, recipe.weight_decay), (False, 0.0))
        if (chosen := [p for p in params if (p.ndim >= 2) is matrices])
    ]


class _Stepper:
    """Optimiser and schedule of one run."""

    def __init__(self, model: Classifier, recipe: Recipe, n_images: int) -> None:
        self.model, self.recipe = model, recipe
        self.optimiser = torch.optim.AdamW(parameter_groups(model, recipe), fused=True)
        self.learning = [p for group in self.optimiser.param_groups for p in group["params"]]
        steps = recipe.epochs * math.ceil(n_images / recipe.batch_size)
        self.schedule = torch.optim.lr_scheduler.LambdaLR(
            self.optimiser, lambda step: cosine(step, steps, round(recipe.warmup * steps))
        )
        model.train()

    def step(self, images: Tensor, labels: Tensor) -> Tensor:
        """One update; returns the loss, still on its device."""
        self.model.train()
        loss = F.cross_entropy(self.model(images), labels, label_smoothing=self.recipe.label_smoothing)
        self.optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.learning, self.recipe.clip)
        self.optimiser.step()
        self.schedule.step()
        return loss.detach()


def _is_out_of_memory(error: RuntimeError) -> bool:
    """The CPU's allocator raises a plain RuntimeError."""
    return isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)


def cosine(step: int, steps: int, warmup: int) -> float:
    """The factor of the learning rate: linear rise over `warmup` steps, then half a cosine down to 0 at `steps`."""
    if step < warmup:
        return (step + 1) / (warmup + 1)
    return 0.5 * (1 + math.cos(math.pi * min(1.0, (step - warmup) / max(1, steps - warmup))))


def epoch_order(n: int, *, seed: int, epoch: int) -> Tensor:
    """The order of the images in an epoch: the same for every design of a seed."""
    return torch.randperm(n, generator=torch.Generator().manual_seed(1_000_003 * seed + epoch))


def clone_head(head: nn.Linear) -> nn.Linear:
    """A head that learns, starting from the values of another."""
    copy = nn.Linear(head.in_features, head.out_features, device=head.weight.device, dtype=head.weight.dtype)
    copy.load_state_dict(head.state_dict())
    return copy


@torch.no_grad()
def evaluate(model: Classifier, backbone: Backbone, split: Split) -> tuple[float, float]:
    """Top-1 (0…1) and mean cross entropy on centre-cropped images."""
    model.eval()
    right, loss = 0, 0.0
    for pixels, labels in zip(split.pixels.split(EVALUATION_BATCH), split.labels.split(EVALUATION_BATCH), strict=True):
        logits = model(normalise(pixels, backbone.mean, backbone.std))
        right += int((logits.argmax(1) == labels).sum())
        loss += float(F.cross_entropy(logits, labels, reduction="sum"))
    return right / len(split), loss / len(split)


@torch.no_grad()
def features(backbone: Backbone, pixels: Tensor) -> Tensor:
    """Pooled features (images, channels) of the bare backbone for uint8 images at its input size."""
    batches = [backbone.model(normalise(p, backbone.mean, backbone.std)) for p in pixels.split(EVALUATION_BATCH)]
    return torch.cat(batches)


def on_device(split: Split, preprocessing: Preprocessing, device: torch.device) -> Split:
    """The centre crops of a split, on a device."""
    pixels = centre_crop(split.pixels, preprocessing.crop).contiguous()
    return replace(split, pixels=pixels.to(device), labels=split.labels.to(device))
