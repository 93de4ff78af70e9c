"""DoRA: LoRA in the direction of each row of the weights, and the row's length on its own."""

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from utsearch.backbones import LINEAR_SITES, Operation, Stage, Tuner
from utsearch.backbones.folding import LINEAR, not_linear


class DoRA(Tuner):
    """x' = m ⊙ V·x/‖V‖ + b with V = W + (α/r)·B·A, where ‖V‖ has the length of each row.

    The length takes no gradient (section 4.3 of the paper, and peft). Initial values: A kaiming uniform (√5), B = 0,
    m = ‖W‖.
    """

    name = "dora"
    summary = "m ⊙ V·x/‖V‖ with V = W + (α/r)·B·A"
    source = "Liu et al. 2024, arXiv 2402.09353"
    sites = LINEAR_SITES
    elsewhere = "it learns the length of each row of a Linear's weights"
    merges = True
    stage = Stage.WEIGHTS

    def __init__(self, op: Operation, rank: int, *, alpha: float = 8.0) -> None:
        super().__init__()
        self.scale = alpha / rank
        self._rows = slice(None) if op.span is None else slice(*op.span)
        self.down = nn.Parameter(torch.empty(rank, op.d_in))  # A
        self.up = nn.Parameter(torch.zeros(op.d_out, rank))  # B
        self.magnitude = nn.Parameter(torch.ones(op.d_out))  # m
        nn.init.kaiming_uniform_(self.down, a=math.sqrt(5))

    @torch.no_grad()
    def start(self, module: Any) -> None:
        """M = ‖W‖."""
        self.magnitude.copy_(_lengths(module.weight[self._rows]))

    def forward(self, op: Any, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """(…, d_in) to (…, d_out)."""
        weight, bias = op.weight[self._rows], None if op.bias is None else op.bias[self._rows]
        with torch.no_grad():
            lengths = _lengths(self._direction(weight))
        ratio = self.magnitude / lengths
        y = F.linear(x, weight, bias)  # one product with W, and exactly that one while m = ‖V‖
        term = F.linear(F.linear(x, self.down) * self.scale, self.up)
        return y + (ratio - 1) * (y if bias is None else y - bias) + ratio * term

    @classmethod
    def num_params(cls, op: Operation, rank: int = 0, **options: Any) -> int:
        """r·(d_in + d_out) + d_out."""
        return rank * (op.d_in + op.d_out) + op.d_out

    @classmethod
    def refuses(cls, op: Operation, *, alpha: float = 8.0, **options: Any) -> str | None:
        """It computes a Linear anew; α = 0 would never learn."""
        return not_linear(op) if op.kind != LINEAR else (None if alpha else "with alpha=0 it never learns")

    @torch.no_grad()
    def fold(self, module: Any) -> None:
        """W = m ⊙ V/‖V‖."""
        direction = self._direction(module.weight)
        module.weight.copy_(direction * (self.magnitude / _lengths(direction))[:, None])

    def _direction(self, weight: Tensor) -> Tensor:
        return weight + self.scale * self.up @ self.down


def _lengths(weight: Tensor) -> Tensor:
    """Of each row; (d_out,)."""
    return torch.linalg.vector_norm(weight, dim=1)
