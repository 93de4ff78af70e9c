"""The final evaluation: train and val together, and test instead of validation; nothing else reads test."""

from collections.abc import Iterator
from contextlib import contextmanager
from copy import copy, deepcopy
from dataclasses import dataclass, replace

import torch
from torch import nn

from utsearch.backbones import Backbone
from utsearch.data import Dataset, Split
from utsearch.design import Design
from utsearch.training.problem import Problem
from utsearch.training.train import Run, clone_head
from utsearch.tuning import Classifier

FULL_LR = 5e-4  # of full fine-tuning: the rate at which benchmarks/mini.py measured it; its own tuning is `rate`


@dataclass(frozen=True)
class FinalProblem(Problem):
    """A problem whose only rung is the last, so that nothing can be chosen on test; full fine-tuning is a bound."""

    @classmethod
    def with_validation(cls, problem: Problem) -> "FinalProblem":
        """The search's own splits and seed: to choose learning rates before test is read."""
        recipe = replace(problem.recipe, rungs=(problem.recipe.epochs,))
        return cls(
            problem.backbone,
            problem.dataset,
            recipe,
            problem.device,
            problem.seed,
            cache=problem.cache,
            cuts=problem.cuts,
            compiler=problem.compiler,
        )

    @classmethod
    def of(cls, problem: Problem, seed: int) -> "FinalProblem":
        """Train on train+val and read test, with a fresh seed for views, initial values and order."""
        return replace(cls.with_validation(problem), dataset=_with_test(problem.dataset), seed=seed)

    def start_full(self, seed: int = 0, rate: float = 1.0) -> Run:
        """A run of full fine-tuning, with its rate times `rate`."""
        return FullRun(self, seed, rate)


def _with_test(dataset: Dataset) -> Dataset:
    both = [dataset.train, dataset.val]
    train = Split(torch.cat([part.pixels for part in both]), torch.cat([part.labels for part in both]))
    return replace(dataset, train=train, val=dataset.read_test(), fingerprint=f"{dataset.fingerprint}+test")


class FullRun(Run):
    """Full fine-tuning with the same recipe at `FULL_LR` times `rate`: a bound, not a tuner."""

    def __init__(self, problem: Problem, seed: int, rate: float = 1.0) -> None:
        recipe = replace(problem.recipe, tuner_lr=FULL_LR * rate)
        super().__init__(problem.backbone, Design(), problem.material, problem.first_head, recipe, seed)

    @contextmanager
    def _model(self) -> Iterator[Classifier]:
        yield _Whole(self._backbone, clone_head(self._head))


class _Whole(Classifier):
    """A copy of the backbone that learns altogether, normalisation statistics apart."""

    def __init__(self, backbone: Backbone, head: nn.Linear) -> None:
        copied = copy(backbone)
        copied.model = deepcopy(backbone.model)
        super().__init__(copied, head)
        self.backbone.requires_grad_(True)

    def tuner_parameters(self) -> dict[float, list[nn.Parameter]]:
        """Everything but the head."""
        return {1.0: list(self.backbone.parameters())}
