"""Optimiser, schedule, mixup and moving average of one run."""

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from utsearch.training.checkpoint import CheckpointError
from utsearch.training.recipe import Recipe
from utsearch.tuning import Classifier

_MOMENTS = ("step", "exp_avg", "exp_avg_sq")  # of AdamW, by torch's names


class Stepper:
    """Updates a classifier as the recipe says.

    Args:
        model: what learns.
        recipe: how.
        n_images: of an epoch.
        precision: in which the network computes.
        micro: images on their way through the network at a time; fewer than a batch need less memory, and their
            gradients are added up to that of the batch.
    """

    def __init__(
        self, model: Classifier, recipe: Recipe, n_images: int, precision: torch.dtype, micro: int | None = None
    ) -> None:
        self.model, self.recipe, self.precision = model, recipe, precision
        self.micro = micro or recipe.batch_size
        self.optimiser = torch.optim.AdamW(parameter_groups(model, recipe), fused=True)
        self.learning = [p for group in self.optimiser.param_groups for p in group["params"]]
        self._average = [p.detach().clone() for p in self.learning] if recipe.ema else []
        steps = recipe.epochs * math.ceil(n_images / recipe.batch_size)
        self.schedule = torch.optim.lr_scheduler.LambdaLR(
            self.optimiser, lambda step: cosine(step, steps, round(recipe.warmup * steps))
        )

    def step(self, read: Callable[[Tensor], Tensor], chosen: Tensor, labels: Tensor) -> Tensor:
        """One update; returns the loss, still on its device.

        Args:
            read: the network's inputs of some images; it is called before the network is, part by part.
            chosen: numbers of the batch's images.
            labels: their classes.
        """
        self.model.train()
        self.optimiser.zero_grad()
        loss = self._backward(read, chosen, labels)
        nn.utils.clip_grad_norm_(self.learning, self.recipe.clip)
        self.optimiser.step()
        self.schedule.step()
        if self._average:
            torch._foreach_lerp_(self._average, [p.detach() for p in self.learning], 1 - self.recipe.ema)
        return loss

    def _backward(self, read: Callable[[Tensor], Tensor], chosen: Tensor, labels: Tensor) -> Tensor:
        """Gradients of the batch's mean loss, a part at a time; mixup's partners are those of the whole batch."""
        share, total = self._share(), labels.new_zeros((), dtype=torch.float32)
        for start in range(0, len(labels), self.micro):
            rows = slice(start, start + self.micro)
            images = read(chosen[rows])
            if share < 1:
                images = images.lerp(read(chosen.flip(0)[rows]), 1 - share)
            own = labels[rows]
            part = self._mixed_loss(images, own, labels.flip(0)[rows], share) * (len(own) / len(labels))
            part.backward()
            total += part.detach()
        return total

    def loss(self, images: Tensor, labels: Tensor) -> Tensor:
        """Cross entropy with label smoothing, of mixed images if the recipe mixes."""
        share = self._share()
        mixed = images.lerp(images.flip(0), 1 - share) if share < 1 else images
        return self._mixed_loss(mixed, labels, labels.flip(0), share)

    def _share(self) -> float:
        """How much of each image mixup leaves; 1 without mixup."""
        alpha = self.recipe.mixup
        return float(torch.distributions.Beta(alpha, alpha).sample()) if alpha else 1.0

    def _mixed_loss(self, images: Tensor, labels: Tensor, others: Tensor, share: float) -> Tensor:
        logits, smoothing = self._logits(images), self.recipe.label_smoothing
        loss = F.cross_entropy(logits, labels, label_smoothing=smoothing)
        if share == 1:
            return loss
        return share * loss + (1 - share) * F.cross_entropy(logits, others, label_smoothing=smoothing)

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """The moving average in place of the last values, where the recipe keeps one."""
        last = [p.detach().clone() for p in self.learning] if self._average else []
        with torch.no_grad():
            for parameter, value in zip(self.learning, self._average, strict=False):
                parameter.copy_(value)
            yield
            for parameter, value in zip(self.learning, last, strict=False):
                parameter.copy_(value)

    def state(self) -> dict[str, Tensor]:
        """All that the next steps depend on, copied to the CPU: values, AdamW's moments, average and step."""
        named = {"schedule": torch.tensor(self.schedule.last_epoch)}
        for i, parameter in enumerate(self.learning):
            named[f"{i}.value"] = parameter
            kept = self.optimiser.state.get(parameter, {})  # empty where no gradient ever came
            named |= {f"{i}.{key}": kept[key] for key in _MOMENTS if key in kept}
        named |= {f"{i}.average": value for i, value in enumerate(self._average)}
        return {name: value.detach().cpu().clone().contiguous() for name, value in named.items()}

    @torch.no_grad()
    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Go on where another stepper of the same run was.

        Raises:
            CheckpointError: the tensors are not those of this run; nothing is changed then.
        """
        self._check(state)
        for i, parameter in enumerate(self.learning):
            parameter.copy_(state[f"{i}.value"])
            moments = {key: state[f"{i}.{key}"] for key in _MOMENTS if f"{i}.{key}" in state}
            if moments:
                like = {key: torch.empty_like(parameter) for key in _MOMENTS[1:]}
                like["step"] = torch.empty((), dtype=torch.float32, device=parameter.device)
                self.optimiser.state[parameter] = {key: like[key].copy_(moments[key]) for key in _MOMENTS}
        for i, value in enumerate(self._average):
            value.copy_(state[f"{i}.average"])
        self._set_step(int(state["schedule"]))

    def _check(self, state: Mapping[str, Tensor]) -> None:
        """Names, shapes and types, before anything is copied."""
        wanted: dict[str, tuple[torch.Size, torch.dtype]] = {"schedule": (torch.Size(), torch.int64)}
        for i, parameter in enumerate(self.learning):
            moments = _MOMENTS if any(f"{i}.{key}" in state for key in _MOMENTS) else ()
            average = ("average",) if self._average else ()
            wanted |= {f"{i}.{key}": (parameter.shape, parameter.dtype) for key in ("value", *moments, *average)}
            if moments:
                wanted[f"{i}.step"] = (torch.Size(), torch.float32)
        found = {name: (value.shape, value.dtype) for name, value in state.items()}
        if wrong := sorted(name for name in {*wanted, *found} if wanted.get(name) != found.get(name)):
            raise CheckpointError(f"its tensors are of another run ({', '.join(wrong)[:60]})")

    def _set_step(self, step: int) -> None:
        kept = self.schedule.state_dict()
        rates = [base * cut(step) for base, cut in zip(self.schedule.base_lrs, self.schedule.lr_lambdas, strict=True)]
        self.schedule.load_state_dict({**kept, "last_epoch": step, "_step_count": step + 1, "_last_lr": rates})
        for group, rate in zip(self.optimiser.param_groups, rates, strict=True):
            group["lr"] = rate

    def _logits(self, images: Tensor) -> Tensor:
        with autocast(images.device, self.precision):
            logits: Tensor = self.model(images)
        return logits.float()


def autocast(device: torch.device, precision: torch.dtype) -> torch.autocast:
    """Mixed precision on a device, or none for float32."""
    return torch.autocast(device.type, torch.bfloat16, enabled=precision is torch.bfloat16)


def precision_of(recipe: Recipe, device: torch.device) -> torch.dtype:
    """What `auto` means on a device: bfloat16 on CUDA where it is native, else float32."""
    if recipe.precision == "auto":
        native = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
        return torch.bfloat16 if native else torch.float32
    return {"float32": torch.float32, "bfloat16": torch.bfloat16}[recipe.precision]


def parameter_groups(model: Classifier, recipe: Recipe) -> list[dict[str, Any]]:
    """Optimiser groups: the head and each form with rates of their own, no weight decay on vectors."""
    rates = [(params, recipe.tuner_lr * rate) for rate, params in model.tuner_parameters().items()]
    rates.append((list(model.head.parameters()), recipe.head_lr))
    return [
        {"params": chosen, "lr": lr, "weight_decay": decay}
        for params, lr in rates
        for matrices, decay in ((True, recipe.weight_decay), (False, 0.0))
        if (chosen := [p for p in params if (p.ndim >= 2) is matrices])
    ]


def cosine(step: int, steps: int, warmup: int) -> float:
    """The factor of the learning rate: linear rise over `warmup` steps, then half a cosine down to 0 at `steps`."""
    if step < warmup:
        return (step + 1) / (warmup + 1)
    return 0.5 * (1 + math.cos(math.pi * min(1.0, (step - warmup) / max(1, steps - warmup))))
