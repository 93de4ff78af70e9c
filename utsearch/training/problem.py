"""All that a search needs to know of training: what a design costs, and how to train it."""

import platform
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from importlib.metadata import version
from typing import Any

import torch
from torch import nn

from utsearch.backbones import Backbone, load_backbone
from utsearch.data import Dataset, open_dataset, view_bank
from utsearch.design import Design
from utsearch.training.device import choose_device
from utsearch.training.head import logistic_heads, ridge_head
from utsearch.training.recipe import Recipe
from utsearch.training.train import Material, Run, evaluate, features, on_device
from utsearch.tuning import Classifier, Resolved, known, resolve

LIBRARIES = ("utsearch", "torch", "torchvision", "timm", "optuna")


@dataclass(frozen=True)
class Problem:
    """A backbone, a data set and a recipe on one device; every trial of a study shares one.

    `seed` decides the view bank, which all trials share; the seed given to `start` decides initial values and order.
    """

    backbone: Backbone
    dataset: Dataset
    recipe: Recipe
    device: torch.device
    seed: int = 0

    @property
    def settings(self) -> dict[str, Any]:
        """What a study records and compares when it goes on; `versions` and `machine` are for the record only."""
        dataset, backbone = self.dataset, self.backbone
        return {
            "dataset": {
                "name": dataset.name,
                "fingerprint": dataset.fingerprint,
                "classes": dataset.n_classes,
                "train": len(dataset.train),
                "val": len(dataset.val),
            },
            "class_names": list(dataset.class_names),
            "preprocessing": {
                **asdict(dataset.preprocessing),
                "mean": list(backbone.mean),
                "std": list(backbone.std),
            },
            "backbone": {
                "name": backbone.name,
                "weights": backbone.weights,
                "fingerprint": backbone.fingerprint,
                "img_size": backbone.img_size,
            },
            "recipe": {**asdict(self.recipe), "rungs": list(self.recipe.rungs), "fingerprint": self.recipe.fingerprint},
            "seed": self.seed,
            "versions": {name: version(name) for name in LIBRARIES} | {"python": platform.python_version()},
            "machine": {"device": str(self.device), "processor": platform.machine(), "system": platform.system()},
        }

    @property
    def depth(self) -> int:
        """Number of blocks of the backbone."""
        return self.backbone.depth

    @property
    def n_head(self) -> int:
        """Parameters of the linear head, reported apart from the tuner's."""
        return (self.backbone.width + 1) * self.dataset.n_classes

    @property
    def rung_epochs(self) -> tuple[int, ...]:
        """Epochs after which a trial may be stopped."""
        return self.recipe.rungs

    @cached_property
    def known(self) -> dict[str, Design]:
        """The known designs by name, the linear probe among them."""
        return known(self.backbone)

    @cached_property
    def floor(self) -> float:
        """Validation top-1 of the linear probe trained to convergence, at its best penalty on validation."""
        bank = self.material.bank
        x = features(self.backbone, bank.flatten(0, 1))
        heads = logistic_heads(x, self.material.labels.repeat(len(bank)), self.dataset.n_classes)
        return max(evaluate(Classifier(self.backbone, head), self.backbone, self.material.val).top1 for head in heads)

    @cached_property
    def material(self) -> Material:
        """The tensors that every trial reads, on the device."""
        dataset, recipe = self.dataset, self.recipe
        bank = view_bank(dataset.train, dataset.preprocessing, views=recipe.views, seed=self.seed).to(self.device)
        labels = dataset.train.labels.to(self.device)
        val = on_device(dataset.val, dataset.preprocessing, self.device)
        return Material(bank, labels, val, self._first_head(bank, labels))

    def resolve(self, design: Design) -> Resolved:
        """Names checked, blocks concrete, digest and tuner parameters; raises DesignError where it does not fit."""
        return resolve(design, self.backbone)

    def start(self, design: Design, seed: int = 0, rate: float = 1.0) -> Run:
        """A run of this design at the recipe's tuner rate times `rate`; it trains when its rungs are asked for."""
        recipe = replace(self.recipe, tuner_lr=self.recipe.tuner_lr * rate)
        return Run(self.backbone, design, self.material, recipe, seed)

    def _first_head(self, bank: torch.Tensor, labels: torch.Tensor) -> nn.Linear:
        if self.recipe.head_init == "ridge":
            return ridge_head(features(self.backbone, bank[0]), labels, self.dataset.n_classes)
        head = nn.Linear(self.backbone.width, self.dataset.n_classes, device=self.device)
        nn.init.zeros_(head.weight)
        nn.init.zeros_(head.bias)
        return head


def open_problem(
    dataset: str = "mini-birds",
    backbone: str = "vit_mini",
    *,
    recipe: Recipe | None = None,
    device: str = "auto",
    seed: int = 0,
) -> Problem:
    """Load a backbone and a data set by name and put them on a device."""
    chosen = choose_device(device)
    loaded = load_backbone(backbone).to(chosen)
    data = open_dataset(dataset, img_size=loaded.img_size)
    return Problem(loaded, data, recipe or Recipe(), chosen, seed)
