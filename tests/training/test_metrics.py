"""Metrics against scikit-like formulas written out, and what a loss or a rung reports."""

import math

import pytest
import torch
from torch.nn import functional as F

from utsearch.training.metrics import measure


def test_metrics_of_a_table_counted_by_hand() -> None:
    labels = torch.tensor([0, 0, 0, 1])
    logits = torch.tensor([[2.0, 0.0], [0.0, 1.0], [3.0, 0.0], [0.0, 4.0]])
    metrics = measure(logits, labels)
    assert metrics.top1 == 0.75
    assert metrics.standard_error == pytest.approx(math.sqrt(0.75 * 0.25 / 4))
    assert metrics.balanced == pytest.approx((2 / 3 + 1) / 2)
    assert metrics.correct.tolist() == [True, False, True, True]
    assert metrics.loss == pytest.approx(float(F.cross_entropy(logits, labels)))


def test_a_class_without_images_is_not_part_of_the_balanced_mean() -> None:
    assert measure(torch.eye(3)[[0, 1]], torch.tensor([0, 1])).balanced == 1


def test_calibration_error_as_the_sum_over_bins() -> None:
    generator = torch.Generator().manual_seed(0)
    logits, labels = 3 * torch.randn(500, 7, generator=generator), torch.randint(7, (500,), generator=generator)
    confidence, chosen = logits.double().softmax(1).max(1)
    expected = 0.0
    for i in range(15):
        inside = (confidence > i / 15) & (confidence <= (i + 1) / 15)
        if inside.any():
            gap = (chosen[inside] == labels[inside]).double().mean() - confidence[inside].mean()
            expected += float(inside.double().mean() * gap.abs())
    assert measure(logits, labels).ece == pytest.approx(expected)


def test_confident_and_right_is_calibrated_confident_and_wrong_is_not() -> None:
    logits, labels = 50 * torch.eye(4), torch.arange(4)
    assert measure(logits, labels).ece == pytest.approx(0, abs=1e-6)
    assert measure(logits, labels.flip(0)).ece == pytest.approx(1, abs=1e-6)


def test_predictions_that_are_not_finite_are_wrong() -> None:
    assert measure(torch.full((3, 2), float("nan")), torch.zeros(3, dtype=torch.long)).top1 == 0
