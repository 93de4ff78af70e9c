"""All that a search needs to know of training: what a design costs, and how to train it."""

import platform
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import nn

from utsearch.backbones import Backbone, load_backbone
from utsearch.data import WHOLE, Dataset, Subset, open_dataset, preprocessing_of, view_bank
from utsearch.design import Design
from utsearch.forms import catalogue
from utsearch.training.device import choose_device, place
from utsearch.training.head import logistic_heads, ridge_head
from utsearch.training.latency import latencies
from utsearch.training.metrics import measure
from utsearch.training.moving import home
from utsearch.training.prefix import EXACT, PrefixCache, Storing, first_tuned
from utsearch.training.recipe import Recipe
from utsearch.training.source import Material, features, source_of
from utsearch.training.stepper import precision_of
from utsearch.training.train import Run, centred
from utsearch.training.twin import twin
from utsearch.tuning import Resolved, known, resolve

LIBRARIES = ("utsearch", "torch", "torchvision", "timm", "optuna")


@dataclass(frozen=True)
class Problem:
    """A backbone, a data set and a recipe on one device; every trial of a study shares one.

    `seed` decides the view bank, which all trials share; the seed given to `start` decides initial values and order.
    With `cache` bytes, activations before the first tuned block are kept for `cuts` (by default the last ones), and
    every trial starts from them; its results are the same, unless `storing` asks for half precision. `compiler` is a
    backend of torch.compile for the steps of every trial, empty for none.
    """

    backbone: Backbone
    dataset: Dataset
    recipe: Recipe
    device: torch.device
    seed: int = 0
    cache: int = 0
    cuts: tuple[int, ...] | None = None
    compiler: str = ""
    storing: Storing = field(default_factory=Storing)

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
                **({"subset": dataset.subset} if dataset.subset else {}),
            },
            "class_names": list(dataset.class_names),
            "preprocessing": {
                **dataset.preprocessing.describe(),
                "mean": list(backbone.mean),
                "std": list(backbone.std),
            },
            "backbone": {
                "name": backbone.name,
                "weights": backbone.weights,
                "fingerprint": backbone.fingerprint,
                "img_size": backbone.img_size,
                **({"pool": backbone.pool} if backbone.pool else {}),
            },
            "recipe": {
                **asdict(self.recipe),
                "rungs": list(self.recipe.rungs),
                "fingerprint": self.recipe.fingerprint,
                "form_rates": {name: form.rate for name, form in catalogue().items() if form.rate != 1},
            },
            "seed": self.seed,
            "versions": {name: version(name) for name in LIBRARIES} | {"python": platform.python_version()},
            "machine": {"device": str(self.device), "processor": platform.machine(), "system": platform.system()}
            | ({"compiler": self.compiler} if self.compiler else {})
            | ({"cache_dtype": self.storing.dtype} if self.cache and self.storing.dtype != EXACT else {}),
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
        bank, val = self._features
        labels, n_classes = self.material.labels, self.dataset.n_classes
        heads = logistic_heads(bank.flatten(0, 1), labels.repeat(len(bank)), n_classes)
        with torch.no_grad():
            return max(measure(head(val), self.material.val.labels).top1 for head in heads)

    @cached_property
    def material(self) -> Material:
        """The images that every trial reads: views and validation on the device if they fit, else on the host."""
        dataset, recipe = self.dataset, self.recipe
        images = recipe.views * len(dataset.train) + len(dataset.val)
        lies = home(images * 3 * dataset.preprocessing.crop**2, self.device)
        bank = view_bank(
            dataset.train,
            dataset.preprocessing,
            views=recipe.views,
            seed=self.seed,
            augmentation=recipe.augmentation,
            device=lies,
        )
        val = centred(dataset.val, dataset.preprocessing, lies, self.device)
        return Material(bank, dataset.train.labels.to(self.device), val)

    @cached_property
    def first_head(self) -> nn.Linear:
        """Where every trial's head starts."""
        if self.recipe.head_init == "ridge":
            return ridge_head(self._features[0][0], self.material.labels, self.dataset.n_classes)
        head = nn.Linear(self.backbone.width, self.dataset.n_classes, device=self.device)
        nn.init.zeros_(head.weight)
        nn.init.zeros_(head.bias)
        return head

    @cached_property
    def prefixes(self) -> PrefixCache | None:
        """Activations that trials share; None without a cache, and with mixup, which mixes images."""
        if not self.cache or self.recipe.mixup:
            return None
        cuts = range(self.backbone.depth, 0, -1) if self.cuts is None else self.cuts
        precision, bank, val = precision_of(self.recipe, self.device), self.material.bank, self.material.val.pixels
        return PrefixCache(self.backbone, bank, val, cuts, budget=self.cache, precision=precision, storing=self.storing)

    @cached_property
    def _features(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Of every view and of validation, in float32."""
        exact = precision_of(self.recipe, self.device) is torch.float32
        prefix = self.prefixes.at(self.backbone.depth) if self.prefixes is not None and exact else None
        with source_of(self.backbone, self.material, prefix) as source:
            return features(self.backbone, source, len(self.material.bank), len(self.material.labels))

    def resolve(self, design: Design) -> Resolved:
        """Names checked, blocks concrete, digest and tuner parameters; raises DesignError where it does not fit."""
        return resolve(design, self.backbone)

    def first_tuned(self, design: Design) -> int:
        """The first block that a design changes; the depth where nothing but the tail is tuned."""
        return first_tuned(self.resolve(design), self.backbone)

    def latencies(self, design: Design) -> tuple[float, float]:
        """Seconds of one image through the bare network and through the tuned one as it would be used, measured now."""
        crop, device = self.dataset.preprocessing.crop, self.device
        image = torch.zeros((1, 3, crop, crop), device=device)
        return latencies(self.backbone, self.resolve(design).design, image, precision_of(self.recipe, device))

    def start(self, design: Design, seed: int = 0, rate: float = 1.0, *, resume: Path | None = None) -> Run:
        """A run of this design at the recipe's tuner rate times `rate`; it trains when its rungs are asked for.

        With `resume`, the path to which another run of it was saved after it was left at a rung, it goes on with it.
        """
        return self._run(self.backbone, design, seed, rate, resume)

    def start_beside(self, design: Design, seed: int = 0, *, resume: Path | None = None) -> Run:
        """`start` on modules of its own, for runs that train in turn, step by step; each learns what it would alone."""
        return self._run(twin(self.backbone), design, seed, 1.0, resume)

    def _run(self, backbone: Backbone, design: Design, seed: int, rate: float, resume: Path | None = None) -> Run:
        recipe = replace(self.recipe, tuner_lr=self.recipe.tuner_lr * rate)
        prefix = None if self.prefixes is None else self.prefixes.of(self.resolve(design))
        return Run(backbone, design, self.material, self.first_head, recipe, seed, prefix, self.compiler, resume)


def open_problem(
    dataset: str = "mini-birds",
    backbone: str = "vit_mini",
    *,
    recipe: Recipe | None = None,
    device: str = "auto",
    seed: int = 0,
    subset: Subset = WHOLE,
    protocol: str | None = None,
    img_size: int | None = None,
    pool: str | None = None,
    compiler: str = "",
    decoders: int | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> Problem:
    """Load a backbone and a data set by name and put them on a device.

    `subset` and `protocol` are those of `open_dataset` and `preprocessing_of`, `img_size` and `pool` those of
    `load_backbone`; `decoders` is how many images are decoded at once (None: one a processor) and `progress` is told
    how far that is.
    """
    chosen = choose_device(device)
    loaded = place(load_backbone(backbone, img_size=img_size, pool=pool), chosen)
    config = getattr(loaded.model, "pretrained_cfg", None) or {}
    preprocessing = preprocessing_of(
        protocol, loaded.img_size, crop_pct=config.get("crop_pct"), interpolation=config.get("interpolation")
    )
    data = open_dataset(
        dataset,
        img_size=loaded.img_size,
        subset=subset,
        preprocessing=preprocessing,
        progress=progress,
        decoders=decoders,
    )
    return Problem(loaded, data, recipe or Recipe(), chosen, seed, compiler=compiler)
