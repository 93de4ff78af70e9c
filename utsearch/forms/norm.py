"""LN-tune: the norms' own scale and shift."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from utsearch.backbones import NORM_SITES, Operation, Stage, Tuner
from utsearch.backbones.folding import NORMS, add_bias, add_weight


class Norm(Tuner):
    """x' = LN(x; γ + Δγ, β + Δβ): the norm anew with its own scale and shift tuned.

    What is learnt is the difference from the pretrained values, so weight decay pulls towards those. The paper's design
    is `norms|tail:norm`. Initial values: Δγ = 0, Δβ = 0.
    """

    name = "norm"
    summary = "LN(x; γ + Δγ, β + Δβ)"
    source = "Basu et al. 2023 (LN-tune), arXiv 2304.01382"
    sites = (*NORM_SITES, "tail")
    elsewhere = "it tunes the scale and shift of a norm"
    rate = 4.0
    merges = True
    stage = Stage.WEIGHTS

    def __init__(self, op: Operation) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.zeros(op.d_out))  # Δγ
        self.shift = nn.Parameter(torch.zeros(op.d_out))  # Δβ

    def forward(self, op: Any, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """(…, d) to the same shape; a norm without γ or β counts as γ = 1, β = 0."""
        scale = self.scale + (1 if op.weight is None else op.weight)
        shift = self.shift if op.bias is None else self.shift + op.bias
        return F.layer_norm(x, op.normalized_shape, scale, shift, op.eps)

    @classmethod
    def num_params(cls, op: Operation, rank: int = 0, **options: Any) -> int:
        """2·d."""
        return 2 * op.d_out

    @classmethod
    def refuses(cls, op: Operation, **options: Any) -> str | None:
        """It computes the norm anew, so it must know it."""
        return (
            None if op.kind in NORMS else f"it knows only LayerNorm, here it is {op.kind}; take ssf, or gamma and bias"
        )

    def fold(self, module: nn.Module) -> None:
        """γ + Δγ and β + Δβ."""
        add_weight(module, self.scale)
        add_bias(module, self.shift)
