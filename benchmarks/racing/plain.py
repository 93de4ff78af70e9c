"""What a user writes without utsearch: Optuna around a plain training loop, every trial from images to the end."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path
from typing import Any

import optuna
import peft
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from utsearch.data import normalise
from utsearch.forms import info
from utsearch.space import Space
from utsearch.training import Problem, Recipe
from utsearch.training.stepper import cosine, parameter_groups
from utsearch.training.train import clone_head, epoch_order
from utsearch.tuning import Classifier, Resolved, attached

Told = Callable[[Resolved, float], None]
BATCH = 256  # of validation


def optimise(
    problem: Problem, space: Space, sampler: optuna.samplers.BaseSampler, path: Path, trials: int, seed: int, told: Told
) -> None:
    """Optuna's own loop over a space; what the study already has counts as done.

    Args:
        problem: backbone, views and recipe.
        space: what trials choose from.
        sampler: Optuna's.
        path: of the SQLite file.
        trials: how many the study shall have.
        seed: of every trial.
        told: of each trial's design and top-1, when it has ended.
    """
    storage = optuna.storages.RDBStorage(f"sqlite:///{path.absolute()}")
    study = optuna.create_study(
        study_name="plain", storage=storage, sampler=sampler, directions=["minimize", "maximize"], load_if_exists=True
    )

    def objective(trial: optuna.Trial) -> tuple[float, float]:
        resolved = problem.resolve(space.suggest(trial, problem.depth))
        top1 = train(problem, resolved, seed)
        trial.set_user_attr("digest", resolved.digest)
        told(resolved, top1)
        return float(resolved.n_params), top1

    done = sum(t.state.is_finished() for t in study.get_trials(deepcopy=False))
    study.optimize(objective, n_trials=max(0, trials - done))


def train(problem: Problem, resolved: Resolved, seed: int) -> float:
    """One design with the search's schedule, order, views and first head; validation top-1 after the last epoch."""
    recipe, material = problem.recipe, problem.material
    with model_of(problem, resolved, seed) as (model, groups):
        optimiser = torch.optim.AdamW(groups, fused=True)
        steps = recipe.epochs * math.ceil(len(material.labels) / recipe.batch_size)
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimiser, lambda step: cosine(step, steps, round(recipe.warmup * steps))
        )
        learning = [p for group in groups for p in group["params"]]
        model.train()
        for epoch in range(recipe.epochs):
            view = material.bank[epoch % len(material.bank)]
            for batch in epoch_order(len(material.labels), seed=seed, epoch=epoch).split(recipe.batch_size):
                optimiser.zero_grad()
                logits = model(normalise(view[batch], problem.backbone.mean, problem.backbone.std))
                F.cross_entropy(logits, material.labels[batch], label_smoothing=recipe.label_smoothing).backward()
                nn.utils.clip_grad_norm_(learning, recipe.clip)
                optimiser.step()
                schedule.step()
        return validate(problem, model)


@torch.no_grad()
def validate(problem: Problem, model: nn.Module) -> float:
    """Top-1 on the validation images."""
    model.eval()
    val, backbone = problem.material.val, problem.backbone
    logits = [model(normalise(pixels, backbone.mean, backbone.std)) for pixels in val.pixels.split(BATCH)]
    return float((torch.cat(logits).argmax(1) == val.labels).float().mean())


@contextmanager
def model_of(problem: Problem, resolved: Resolved, seed: int) -> Iterator[tuple[nn.Module, list[dict[str, Any]]]]:
    """The network with its tuners and the optimiser's groups: peft's where it has the whole design, else ours."""
    torch.manual_seed(seed)
    if (config := peft_config(resolved)) is not None:
        whole = _WithHead(peft.get_peft_model(deepcopy(problem.backbone.model), config), clone_head(problem.first_head))
        yield whole, groups_of(whole, problem.recipe)
        return
    with attached(problem.backbone, resolved.design, seed=seed) as tuned:
        model = Classifier(problem.backbone, clone_head(problem.first_head), tuned)
        yield model, parameter_groups(model, problem.recipe)


def peft_config(resolved: Resolved) -> "peft.LoraConfig | None":
    """Peft's LoRA on the fused qkv where a design is that and nothing else; None for every other design."""
    slots = resolved.design.slots
    if len(slots) != 1 or slots[0].form != "lora" or set(slots[0].sites) != {"qkv"}:
        return None
    options = dict(slots[0].options)
    if set(options) - {"alpha"}:
        return None
    blocks = sorted({cell.block for cell in resolved.cells if cell.block is not None})
    numbers = "|".join(str(block) for block in blocks)
    return peft.LoraConfig(
        r=slots[0].rank,
        lora_alpha=options.get("alpha", info()["lora"].options["alpha"].default),
        target_modules=rf".*blocks\.({numbers})\.attn\.qkv",
    )


def groups_of(model: "_WithHead", recipe: Recipe) -> list[dict[str, Any]]:
    """The recipe's rates; no weight decay on vectors."""
    adapter = [p for p in model.network.parameters() if p.requires_grad]
    head = list(model.head.parameters())
    decay = {True: recipe.weight_decay, False: 0.0}
    return [
        {"params": chosen, "lr": rate, "weight_decay": decay[matrices]}
        for params, rate in ((adapter, recipe.tuner_lr), (head, recipe.head_lr))
        for matrices in (True, False)
        if (chosen := [p for p in params if (p.ndim >= 2) is matrices])
    ]


class _WithHead(nn.Module):
    """A network and its head; the frozen part stays in eval mode, as in a search."""

    def __init__(self, network: nn.Module, head: nn.Linear) -> None:
        super().__init__()
        self.network, self.head = network.eval(), head

    def forward(self, images: Tensor) -> Tensor:
        """(images, 3, h, w) to logits (images, classes)."""
        return self.head(self.network(images))
