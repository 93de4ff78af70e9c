"""Fold tuners into a copy of the network: the same logits from a plain timm model."""

from collections import Counter
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from utsearch.backbones import Operation, Stage, Tuner
from utsearch.backbones.folding import LINEAR, first_step, last_step, rows_of
from utsearch.backbones.gate import SIGMOID
from utsearch.forms import catalogue
from utsearch.tuning.attach import Tuned
from utsearch.tuning.compose import Stack
from utsearch.tuning.exchange import CHILD, exchange, give_back
from utsearch.tuning.resolve import full_options

# Weights are replaced before a change of the input is folded into them, although the change acts first.
CORE = (Stage.WEIGHTS, Stage.INPUT)
FOLDING = (Stage.WEIGHTS, Stage.INPUT, Stage.PARALLEL, Stage.SEQUENTIAL, Stage.SCALE)


@dataclass(frozen=True)
class Merged:
    """What `merge` gives.

    Attributes:
        model: the network with what could be folded in its own weights; of timm's classes alone if nothing stays.
        folded: names of the tuners that are in the weights now.
        stays: names of the tuners that are still beside them, and why.
    """

    model: nn.Module
    folded: tuple[str, ...]
    stays: dict[str, str]


class _Place(NamedTuple):
    """One tuner of the copy, and why its form cannot be folded there, if it cannot."""

    name: str
    op: Operation
    tuner: Tuner
    reason: str | None


def merge(tuned: Tuned) -> Merged:
    """Fold the tuners into a copy of the network, in eval mode; the original stays as it is.

    The order of the stages is kept: what acts after something that stays beside the weights stays too.
    """
    twin = deepcopy(tuned)
    model, by_path = twin.backbone.model, _by_path(twin)
    results: dict[str, str | None] = {}
    for path in sorted(by_path, key=lambda path: -path.count(".")):  # parts before the whole that ends with them
        module, places = model.get_submodule(path), by_path[path]
        stack: Any = module.tuners
        give_back(module)
        here = dict(_fold_all(module, places))
        results |= here
        left = [name.rpartition(".")[2] for name, reason in here.items() if reason is not None]
        if left or stack.keeps_input:
            exchange(module, stack.only(left))
    _give_back_unread(model)
    stays = {name: reason for name, reason in sorted(results.items()) if reason is not None}
    return Merged(model.requires_grad_(False).eval(), tuple(sorted(results.keys() - stays.keys())), stays)


def largest_difference(before: nn.Module, after: nn.Module, images: Tensor) -> float:
    """The largest difference of two networks' outputs, relative to the largest output of the first."""
    with torch.no_grad():
        expected, found = before(images), after(images)
    return float((expected - found).abs().max() / expected.abs().max())


def _by_path(tuned: Tuned) -> dict[str, list[_Place]]:
    """The tuners of each module by stage."""
    forms, found = catalogue(), dict[str, list[_Place]]()
    gated = Counter(op.path for _, op, _, tuner in tuned.named_tuners() if tuner.gate and tuner.stage in CORE)
    for name, op, cell, tuner in tuned.named_tuners():
        options = full_options(cell, forms)
        options.pop("gate", None)
        reason = _gate_stays(tuner, op, gated[op.path]) or tuner.folds(op, **options)
        found.setdefault(op.path, []).append(_Place(name, op, tuner, reason))
    for places in found.values():
        places.sort(key=lambda place: FOLDING.index(place.tuner.stage))
    return found


def _gate_stays(tuner: Tuner, op: Operation, n_gated: int) -> str | None:
    """Why a tuner with this gate cannot be folded, or None."""
    if tuner.gate is None:
        return None
    if tuner.gate.kind == SIGMOID:
        return "its gate depends on the image"
    if tuner.stage is Stage.INPUT and op.kind != LINEAR:
        return f"its gate is on what all of the {op} makes of a changed input"
    return "several gated tuners change the same computation" if tuner.stage in CORE and n_gated > 1 else None


def _fold(tuner: Tuner, module: nn.Module) -> None:
    """Fold a tuner; with a scalar gate g the weights go g of the way."""
    if tuner.gate is None:
        return tuner.fold(module)
    before = {name: value.detach().clone() for name, value in module.named_parameters()}
    tuner.fold(module)
    for name, value in module.named_parameters():
        start = before.get(name, torch.zeros_like(value))
        step = tuner.gate.bias.detach() * (value.detach() - start)
        value.data.copy_(start + step)  # in place: a slice shares its memory


def _fold_all(module: nn.Module, places: list[_Place]) -> Iterator[tuple[str, str | None]]:
    """Fold the tuners of one module in order; the name of each, and why it stays or None."""
    first, end = first_step(module), last_step(module)
    reader_occupied = first is not module and hasattr(first, CHILD)
    occupied = end is not module and hasattr(end, CHILD)
    n_sequential = sum(place.tuner.stage is Stage.SEQUENTIAL for place in places)
    waiting: _Place | None = None
    for place in places:
        stage, reason = place.tuner.stage, place.reason
        after = waiting is not None and FOLDING.index(waiting.tuner.stage) < FOLDING.index(stage)
        if reason is None and waiting is not None and (after or stage is Stage.SCALE):
            reason = f"it acts after {waiting.name.rpartition('.')[2]}, which stays"
        elif reason is None and stage is Stage.SEQUENTIAL and n_sequential > 1:
            reason = "several sequential tuners read the same sum"
        elif reason is None and stage is Stage.INPUT:
            reason = "the Linear that reads it keeps tuners of its own" if reader_occupied else None
        elif reason is None and occupied:
            reason = "the part that the operation ends with keeps tuners of its own"
        if reason is None:
            with rows_of(module, place.op.span) as rows:
                _fold(place.tuner, rows)
        waiting = waiting or (place if reason else None)
        yield place.name, reason


def _give_back_unread(model: nn.Module) -> None:
    """Norms without tuners keep a stack only where a tuner that stays reads their input."""
    stacks = [module for module in model.modules() if isinstance(module, Stack)]
    read = {norm for stack in stacks if stack.reads_pre for norm in stack.feeding_norm}
    for module in list(model.modules()):
        stack = getattr(module, CHILD, None)
        if isinstance(stack, Stack) and not any(True for _ in stack.children()) and module not in read:
            give_back(module)
