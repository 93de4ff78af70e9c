"""How good predictions are."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

BINS = 15  # of confidence, as in Guo et al.


@dataclass(frozen=True)
class Metrics:
    """What a split says of a classifier.

    Attributes:
        top1: share of images classified right, 0…1.
        standard_error: of `top1` from the number of images, √(p(1-p)/n).
        balanced: mean over the classes of the share of their images classified right, 0…1.
        loss: mean cross entropy.
        ece: expected calibration error, 0…1, over 15 equal bins of confidence (Guo et al. 2017, 1706.04599, eq. 5).
        correct: bool, (images,), on the CPU: which images were right, for paired comparisons.
    """

    top1: float
    standard_error: float
    balanced: float
    loss: float
    ece: float
    correct: Tensor


def measure(logits: Tensor, labels: Tensor) -> Metrics:
    """All metrics from logits (images, classes) and labels (images,); logits that are not finite count as wrong."""
    chosen = logits.argmax(1)
    correct = (chosen == labels) & logits.isfinite().all(1)
    right = correct.double()
    n, top1 = len(labels), float(right.mean())
    hits = torch.zeros(logits.shape[1], dtype=torch.double, device=labels.device).index_add_(0, labels, right)
    images = torch.bincount(labels, minlength=logits.shape[1])
    return Metrics(
        top1=top1,
        standard_error=math.sqrt(top1 * (1 - top1) / n),
        balanced=float((hits / images)[images > 0].mean()),
        loss=float(F.cross_entropy(logits.float(), labels)),
        ece=_calibration_error(logits, right),
        correct=correct.cpu(),
    )


def _calibration_error(logits: Tensor, right: Tensor) -> float:
    confidence = logits.double().softmax(1).amax(1)
    bins = (confidence * BINS).ceil().clamp(1, BINS).nan_to_num(1.0).long() - 1
    gaps = torch.zeros(BINS, dtype=torch.double, device=logits.device)
    gaps.index_add_(0, bins, right - confidence.nan_to_num(0.0))
    return float(gaps.abs().sum() / len(right))
