"""What a tuned network takes for one image, beside the bare one."""

import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor

from utsearch.backbones import Backbone
from utsearch.design import Design
from utsearch.training.stepper import autocast
from utsearch.training.twin import twin
from utsearch.tuning import attached, merge

ROUNDS, WARMING = 15, 3  # forwards of each network that count, and that do not


def latencies(backbone: Backbone, design: Design, images: Tensor, precision: torch.dtype) -> tuple[float, float]:
    """Median seconds of the bare network and of the tuned one, as it would be used: folded, where all of it folds.

    The two take turns, so that a busy machine slows both.

    Args:
        backbone: without tuners; it is left alone.
        design: resolved.
        images: (images, 3, h, w) on the device.
        precision: of autocast.

    Raises:
        DesignError: the design does not fit.
    """
    with attached(twin(backbone), design, seed=0) as tuned:
        if tuned is None or not merge(tuned).stays:
            bare = _medians((backbone.model,), images, precision)[0]
            return bare, bare
        bare, own = _medians((backbone.model, tuned.backbone.model), images, precision)
    return bare, own


def _medians(models: tuple[Callable[[Tensor], Tensor], ...], images: Tensor, precision: torch.dtype) -> list[float]:
    times: list[list[float]] = [[] for _ in models]
    with torch.no_grad(), autocast(images.device, precision):  # what a network keeps of it may be trained through
        for i in range(WARMING + ROUNDS):
            for model, own in zip(models, times, strict=True):
                seconds = _timed(model, images)
                if i >= WARMING:
                    own.append(seconds)
    return [statistics.median(own) for own in times]


def _timed(model: Callable[[Tensor], Tensor], images: Tensor) -> float:
    """Seconds until the device has done it."""
    begun = time.perf_counter()
    model(images)
    if images.device.type == "cuda":
        torch.cuda.synchronize(images.device)
    return time.perf_counter() - begun
