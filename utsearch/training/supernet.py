"""A supernet: tuners of every choice of a space, trained once by designs drawn at random that share their weights.

Every step draws a design, attaches it, and takes its tensors and their moments from what all designs share (uniform
paths: Guo et al. 2019, arXiv 1904.00420; for tuners NOAH, Zhang et al. 2022, 2206.04673). A design is then ranked by
validation with the shared weights, without training of its own: a prior, never a result.
"""

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from utsearch.training.placed import placed
from utsearch.training.problem import Problem
from utsearch.training.stepper import Stepper, autocast, cosine, precision_of
from utsearch.training.train import clone_head, epoch_order, own_randomness
from utsearch.tuning import Resolved, Tuned


@dataclass
class _Shared:
    """A tensor that designs share, its two moments, and how often it was updated."""

    value: Tensor
    first: Tensor
    second: Tensor
    steps: Tensor

    def grown(self, like: Tensor) -> "_Shared":
        """Room for another tensor; what was there keeps its place, and the rest of the values is the other's."""
        shape = [max(sides) for sides in zip(self.value.shape, like.shape, strict=True)]
        value, first, second = (like.new_zeros(shape) for _ in range(3))
        value[_corner(like)] = like
        for tensor, old in ((value, self.value), (first, self.first), (second, self.second)):
            tensor[_corner(old)] = old
        return _Shared(value, first, second, self.steps)


@dataclass
class SharedWeights:
    """Tensors by block, site, form and options; what is of a smaller rank is the first part of the larger one."""

    _kept: dict[tuple[Any, ...], _Shared] = field(default_factory=dict)

    def load(self, tuned: Tuned, optimiser: torch.optim.Optimizer | None = None) -> None:
        """Give tuners the shared values, and their optimiser the moments; values that are new are theirs."""
        for key, parameter in _named(tuned):
            kept = self._room(key, parameter.detach())
            part = _corner(parameter)
            with torch.no_grad():
                parameter.copy_(kept.value[part])
            if optimiser is not None:
                moments = {"exp_avg": kept.first[part].clone(), "exp_avg_sq": kept.second[part].clone()}
                optimiser.state[parameter] = {"step": kept.steps.clone(), **moments}

    def keep(self, tuned: Tuned, optimiser: torch.optim.Optimizer) -> None:
        """Take over what a step has changed."""
        for key, parameter in _named(tuned):
            kept, state, part = self._kept[key], optimiser.state[parameter], _corner(parameter)
            kept.value[part] = parameter.detach()
            kept.first[part], kept.second[part] = state["exp_avg"], state["exp_avg_sq"]
            kept.steps = state["step"]

    def _room(self, key: tuple[Any, ...], like: Tensor) -> _Shared:
        kept = self._kept.get(key)
        if kept is None:
            steps = torch.zeros((), device=like.device)
            kept = _Shared(like.clone(), torch.zeros_like(like), torch.zeros_like(like), steps)
        elif any(have < asked for have, asked in zip(kept.value.shape, like.shape, strict=True)):
            kept = kept.grown(like)
        self._kept[key] = kept
        return kept


def _corner(tensor: Tensor) -> tuple[slice, ...]:
    return tuple(slice(side) for side in tensor.shape)


def _named(tuned: Tuned) -> Iterator[tuple[tuple[Any, ...], nn.Parameter]]:
    """The tuners' parameters by what they are; what a form shares over blocks belongs to no block."""
    for _, _, cell, tuner in tuned.named_tuners():
        for name, parameter in tuner.named_parameters():
            if name.startswith("shared."):
                yield (cell.form, cell.rank, cell.options, name, tuple(parameter.shape)), parameter
            else:
                yield (cell.block, cell.site, cell.form, cell.options, name), parameter


class Supernet:
    """Shared tuners and a shared head, trained on designs drawn from a list."""

    def __init__(self, problem: Problem, designs: Sequence[Resolved], *, epochs: int, seed: int = 0) -> None:
        self._problem, self._designs, self._seed = problem, designs, seed
        self._recipe = replace(problem.recipe, epochs=epochs, rungs=(epochs,), ema=0.0)
        self._precision = precision_of(problem.recipe, problem.device)
        self._weights = SharedWeights()
        self._head = clone_head(problem.first_head)
        self._head_state: dict[Tensor, Any] = {}

    def train(self) -> Iterator[float]:
        """Take one design a step; yields the share of the steps that are done, 0…1."""
        labels, recipe, rng = self._problem.material.labels, self._recipe, random.Random(self._seed)
        orders = [epoch_order(len(labels), seed=self._seed, epoch=epoch) for epoch in range(recipe.epochs)]
        batches = [(e, batch) for e, order in enumerate(orders) for batch in order.split(recipe.batch_size)]
        for step, (epoch, batch) in enumerate(batches):
            with own_randomness(labels.device, self._seed, step):
                rate = cosine(step, len(batches), round(recipe.warmup * len(batches)))
                self._step(rng.choice(self._designs), epoch, batch.to(labels.device), rate)
            yield (step + 1) / len(batches)

    @torch.no_grad()
    def losses(self, design: Resolved, chosen: Tensor) -> Tensor:
        """Cross entropy of these validation images, (images,), with the shared weights."""
        with placed(self._problem, design.design, self._head, seed=self._seed) as (model, tuned, source):
            self._weights.load(tuned)
            model.eval()
            with autocast(chosen.device, self._precision):
                logits = torch.cat([model(inputs) for inputs in source.val(chosen)])
        return F.cross_entropy(logits.float(), self._problem.material.val.labels[chosen], reduction="none")

    def _step(self, design: Resolved, epoch: int, batch: Tensor, rate: float) -> None:
        drop = self._recipe.drop_path
        with placed(self._problem, design.design, self._head, seed=self._seed, drop_path=drop) as at:
            model, tuned, source = at
            stepper = Stepper(model, self._recipe, len(batch), self._precision)
            for group in stepper.optimiser.param_groups:
                group["lr"] = rate * group["initial_lr"]
            self._weights.load(tuned, stepper.optimiser)
            stepper.optimiser.state.update(self._head_state)
            stepper.step(partial(source.batch, epoch), batch, self._problem.material.labels[batch])
            self._weights.keep(tuned, stepper.optimiser)
            self._head_state = {p: stepper.optimiser.state[p] for p in self._head.parameters()}


@dataclass(frozen=True)
class SupernetPrior:
    """Scores designs by their loss on validation images with a supernet's weights.

    Attributes:
        problem: what the supernet trains on.
        epochs: of its training, one design a step.
        images: of validation, the same for every design.
        seed: of the shared tuners' initial values, the order, and the choice of images.
    """

    problem: Problem
    epochs: int = 12
    images: int = 64
    seed: int = 0

    def scores(
        self, designs: Sequence[Resolved], on_progress: Callable[[float], None] = lambda share: None
    ) -> list[float]:
        """Minus the mean cross entropy of each design."""
        net = Supernet(self.problem, designs, epochs=self.epochs, seed=self.seed)
        for share in net.train():
            on_progress(share / 2)
        labels, found = self.problem.material.val.labels, []
        chosen = epoch_order(len(labels), seed=self.seed, epoch=0)[: self.images].to(labels.device)
        for number, design in enumerate(designs, start=1):
            found.append(-float(net.losses(design, chosen).mean()))
            on_progress((1 + number / len(designs)) / 2)
        return found
