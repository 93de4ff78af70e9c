"""A factor per channel, as DiffFit puts on every branch."""

from typing import Any

import torch
from torch import Tensor, nn

from utsearch.backbones import SITES, TRUNK, Operation, Stage, Tuner
from utsearch.backbones.folding import last_step, not_affine_at_the_end, scale_rows


class Gamma(Tuner):
    """x' = γ ⊙ OP(x).

    DiffFit's design is `linears|stem:bias + norms|tail:norm + mha|ffn:gamma`. Initial values: γ = 1.
    """

    name = "gamma"
    summary = "γ ⊙ OP(x)"
    source = "Xie et al. 2023 (DiffFit), arXiv 2304.06648"
    sites = tuple(site for site in SITES if site != TRUNK)
    elsewhere = "the trunk gives what its last block gives: take that block"
    rate = 8.0
    merges = True
    stage = Stage.SCALE

    def __init__(self, op: Operation) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(op.d_out))  # γ

    def finish(self, y: Tensor) -> Tensor:
        """(…, d_out) to the same shape."""
        return y * self.scale

    @classmethod
    def num_params(cls, op: Operation, rank: int = 0, **options: Any) -> int:
        """d_out."""
        return op.d_out

    def fold(self, module: nn.Module) -> None:
        """γ ⊙ W and γ ⊙ b."""
        scale_rows(last_step(module), self.scale)

    @classmethod
    def folds(cls, op: Operation, **options: Any) -> str | None:
        """Wherever the operation ends with weights of its own."""
        return not_affine_at_the_end(op)
