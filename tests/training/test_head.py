"""Closed-form and converged heads against brute force and scikit-free closed forms."""

import pytest
import torch
from torch.nn import functional as F

from utsearch.training import head as heads


def blobs(n: int, d: int, classes: int = 4, spread: float = 1.0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    centres = 2 * torch.randn(classes, d, generator=generator)
    labels = torch.arange(n) % classes
    return centres[labels] + spread * torch.randn(n, d, generator=generator), labels


def test_leave_one_out_equals_refitting_without_each_image() -> None:
    x, labels = blobs(24, 6)
    x, y = x.double(), F.one_hot(labels, 4).double()
    u, s, _ = torch.linalg.svd(x - x.mean(0), full_matrices=False)
    penalty = torch.tensor(3.0, dtype=torch.float64)
    target = y - y.mean(0)
    fast = heads._leave_one_out(u, s, u.T @ target, target, penalty) + y.mean(0)
    for i in range(len(x)):
        rest = [j for j in range(len(x)) if j != i]
        # a ridge with an unpenalised intercept, refitted without image i
        design = torch.cat([x[rest], torch.ones(len(rest), 1, dtype=torch.float64)], 1)
        shrink = penalty * torch.eye(7, dtype=torch.float64)
        shrink[-1, -1] = 0
        solution = torch.linalg.solve(design.T @ design + shrink, design.T @ y[rest])
        slow = torch.cat([x[i], torch.ones(1, dtype=torch.float64)]) @ solution
        assert torch.allclose(fast[i], slow, atol=1e-9)


@pytest.mark.parametrize(("n", "d"), [(200, 16), (40, 128)])
def test_ridge_head_classifies_and_leaves_a_gradient(n: int, d: int) -> None:
    """Also with fewer images than channels, where the fit itself would interpolate."""
    x, labels = blobs(n, d)
    fresh, fresh_labels = blobs(2 * n, d)
    head = heads.ridge_head(x, labels, 4)
    assert (head(fresh[n:]).argmax(1) == fresh_labels[n:]).float().mean() > 0.9
    assert F.cross_entropy(head(x), labels) > 1e-3


def test_ridge_temperature_is_calibrated_on_noise() -> None:
    """Features that say nothing must not give confident predictions."""
    x = torch.randn(60, 100, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(60) % 4
    assert heads.ridge_head(x, labels, 4)(x).softmax(1).max(1).values.mean() < 0.6


def test_logistic_head_reaches_a_stationary_point() -> None:
    x, labels = blobs(300, 8, spread=3.0)
    for penalty, head in zip(heads.L2, heads.logistic_heads(x, labels, 4, steps=200), strict=True):
        scaled = (head.weight * x.std(0)).detach().requires_grad_()
        bias = (head.bias + head.weight @ x.mean(0)).detach().requires_grad_()
        loss = F.cross_entropy((x - x.mean(0)) / x.std(0) @ scaled.T + bias, labels) + penalty * scaled.square().sum()
        loss.backward()
        assert scaled.grad is not None
        assert scaled.grad.norm() < 1e-3
