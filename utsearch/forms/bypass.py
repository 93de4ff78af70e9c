"""Res-Tuning's bypass: a second path beside the frozen trunk, which sees no gradient."""

from typing import Any

import torch
from torch import Tensor, nn

from utsearch.backbones import TRUNK, Operation, Stage, Tuner, states


class Bypass(Tuner):
    """x' = x_L + b_L with b_l = λ_l·T_l(x_l) + (1−λ_l)·T'_l(b_{l−1}), b_0 = x_0, λ_l = σ(a_l).

    x_l is what block l gives, cut off from the gradient; T(x) = GELU(x·Wd + bd)·Wu + bu. The paper's bypass ends in
    b_L; here it is added to the trunk's output, so that it starts as the identity. Initial values: xavier uniform,
    biases and a 0, Wu of the last block 0.
    """

    name = "bypass"
    summary = "x_L + b_L, b_l = λ·T(x_l) + (1−λ)·T'(b_{l−1})"
    source = "Jiang et al. 2023 (Res-Tuning), arXiv 2310.19859"
    sites = (TRUNK,)
    elsewhere = "it reads every block of the trunk"
    stage = Stage.WEIGHTS
    bypass = True

    def __init__(self, op: Operation, rank: int) -> None:
        super().__init__()
        self.gates = nn.Parameter(torch.zeros(op.depth))  # a
        self.across = nn.ModuleList(_bottleneck(op.d_out, rank) for _ in range(op.depth))  # T
        self.along = nn.ModuleList(_bottleneck(op.d_out, rank) for _ in range(op.depth))  # T'
        for last in (self.across[-1], self.along[-1]):
            nn.init.zeros_(last.get_parameter("2.weight"))

    def forward(self, op: Any, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """(batch, tokens, d) to the same shape."""
        side, *outputs = states(op, x)
        for share, across, along, y in zip(self.gates.sigmoid(), self.across, self.along, outputs, strict=True):
            side = share * across(y) + (1 - share) * along(side)
        return outputs[-1] + side

    @classmethod
    def num_params(cls, op: Operation, rank: int = 0, **options: Any) -> int:
        """L·(2·(2dr + r + d) + 1)."""
        return op.depth * (2 * (2 * op.d_out * rank + rank + op.d_out) + 1)


def _bottleneck(width: int, rank: int) -> nn.Sequential:
    """Down, GELU, up."""
    layers = nn.Sequential(nn.Linear(width, rank), nn.GELU(), nn.Linear(rank, width))
    for name, value in layers.named_parameters():
        nn.init.zeros_(value) if name.endswith("bias") else nn.init.xavier_uniform_(value)
    return layers
