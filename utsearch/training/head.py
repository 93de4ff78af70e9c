"""Linear heads on frozen features in closed form or to convergence."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

PENALTIES = tuple(10.0**k for k in range(-4, 5))  # of the ridge, relative to the mean squared singular value
TEMPERATURES = tuple(2.0 ** (k / 2) for k in range(-2, 13))  # 0.5 … 64: one-hot regression is far from calibrated
SMOOTHING = 0.1  # of the temperature's fit: classes told apart without error would have no finite one
L2 = (1e-2, 1e-3, 1e-4, 1e-5)  # of the logistic regression, from strong to weak so that each starts from the last


def ridge_head(features: Tensor, labels: Tensor, n_classes: int) -> nn.Linear:
    """The ridge solution on one-hot targets, λ by leave-one-out, temperature fitted on the left-out predictions.

    Leave-one-out and not the fit itself decides both: with fewer images than channels the fit interpolates, and a
    head that is sure of every training image leaves no gradient to a tuner.

    Args:
        features: (images, channels).
        labels: int64, (images,).
        n_classes: classes, also those that no image has.
    """
    x, y = features.double(), F.one_hot(labels, n_classes).double()
    x_mean, y_mean = x.mean(0), y.mean(0)
    u, s, vh = torch.linalg.svd(x - x_mean, full_matrices=False)  # (images, k), (k,), (k, channels)
    target = y - y_mean
    projected = u.T @ target  # (k, classes)
    unit = s.square().mean()
    fits = [_leave_one_out(u, s, projected, target, penalty * unit) for penalty in PENALTIES]
    errors = torch.stack([(fit - target).square().mean() for fit in fits])
    best = int(errors.argmin())
    losses = torch.stack(
        [F.cross_entropy(t * (fits[best] + y_mean), labels, label_smoothing=SMOOTHING) for t in TEMPERATURES]
    )
    temperature = TEMPERATURES[int(losses.argmin())]
    weight = temperature * (vh.T @ ((s / (s.square() + PENALTIES[best] * unit))[:, None] * projected)).T
    return _linear(weight, temperature * y_mean - weight @ x_mean, features)


def _leave_one_out(u: Tensor, s: Tensor, projected: Tensor, target: Tensor, penalty: Tensor) -> Tensor:
    """Predictions (images, classes) of each image from the ridge on all the others (the hat matrix's identity)."""
    shrink = s.square() / (s.square() + penalty)
    leverage = (u.square() * shrink).sum(1) + 1 / len(target)
    residual = target - u @ (shrink[:, None] * projected)
    return target - residual / (1 - leverage).clamp_min(1e-6)[:, None]


def logistic_heads(features: Tensor, labels: Tensor, n_classes: int, steps: int = 60) -> list[nn.Linear]:
    """Logistic regression to convergence by L-BFGS, one head for each penalty of `L2`.

    Args:
        features: (images, channels); standardised inside, the heads take them as they are.
        labels: int64, (images,).
        n_classes: classes.
        steps: L-BFGS iterations for each penalty.
    """
    mean, deviation = features.mean(0), features.std(0).clamp_min(1e-6)
    x = (features - mean) / deviation
    weight = torch.zeros(n_classes, x.shape[1], device=x.device, requires_grad=True)
    bias = torch.zeros(n_classes, device=x.device, requires_grad=True)
    heads = []
    for penalty in L2:
        _minimise(x, labels, weight, bias, penalty, steps)
        scaled = weight.detach() / deviation
        heads.append(_linear(scaled, bias.detach() - scaled @ mean, features))
    return heads


def _minimise(x: Tensor, labels: Tensor, weight: Tensor, bias: Tensor, penalty: float, steps: int) -> None:
    optimiser = torch.optim.LBFGS([weight, bias], max_iter=steps, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimiser.zero_grad()
        loss = F.cross_entropy(F.linear(x, weight, bias), labels) + penalty * weight.square().sum()
        loss.backward()
        return loss

    optimiser.step(closure)


def _linear(weight: Tensor, bias: Tensor, like: Tensor) -> nn.Linear:
    """A Linear with these values, in the dtype and on the device of `like`."""
    head = nn.Linear(weight.shape[1], weight.shape[0], device=like.device, dtype=like.dtype)
    with torch.no_grad():
        head.weight.copy_(weight)
        head.bias.copy_(bias)
    return head
