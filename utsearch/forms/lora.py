"""LoRA: a low-rank linear term."""

import math
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from utsearch.backbones import LINEAR_SITES, Operation, Stage, Tuner
from utsearch.backbones.folding import NORMS, add_weight, last_step, left_multiply, not_affine_at_the_end, not_linear


class LoRA(Tuner):
    """x' = OP(x) + (α/r)·B·A·x; sequential it reads OP(x) instead of x.

    On a Linear or a 1×1 convolution this is Hu et al.'s; beside a wider one it adds to the middle of its kernel; on
    mha, mixer, ffn or block it is the same term beside a whole operation. Initial values:
    A kaiming uniform (√5), B = 0. α is constant over ranks, as in the paper, so that one learning rate fits all;
    `rank_stabilised` has α/√r instead (Kalajdzievski 2023, arXiv 2312.03732).
    """

    name = "lora"
    summary = "OP(x) + (α/r)·B·A·x"
    source = "Hu et al. 2021, arXiv 2106.09685"
    sites = ("mha", "mixer", "ffn", "block", "conv", *LINEAR_SITES)
    elsewhere = "it stands beside a linear map or a whole branch, not beside a norm or the patch embedding"
    merges = True

    def __init__(
        self,
        op: Operation,
        rank: int,
        *,
        alpha: float = 8.0,
        insert: Literal["parallel", "sequential"] = "parallel",
        rank_stabilised: bool = False,
    ) -> None:
        super().__init__(insert=insert)
        self.scale = alpha / (math.sqrt(rank) if rank_stabilised else rank)
        self.down = nn.Parameter(torch.empty(rank, _read(op, insert)))  # A
        self.up = nn.Parameter(torch.zeros(op.d_out, rank))  # B
        nn.init.kaiming_uniform_(self.down, a=math.sqrt(5))

    def delta(self, x: Tensor) -> Tensor:
        """(…, d_in) to (…, d_out)."""
        return F.linear(F.linear(x, self.down) * self.scale, self.up)

    @classmethod
    def num_params(cls, op: Operation, rank: int = 0, *, insert: str = "parallel", **options: Any) -> int:
        """r·(d_in + d_out)."""
        return rank * (_read(op, insert) + op.d_out)

    @classmethod
    def refuses(cls, op: Operation, *, alpha: float = 8.0, **options: Any) -> str | None:
        """α = 0 would never learn."""
        return None if alpha else "with alpha=0 it never learns"

    def fold(self, module: nn.Module) -> None:
        """W + (α/r)·B·A; sequential (I + (α/r)·B·A)·W and the same of the bias."""
        term = self.scale * self.up @ self.down
        if self.stage is Stage.SEQUENTIAL:
            left_multiply(last_step(module), torch.eye(len(term)).to(term) + term)
        else:
            add_weight(module, term)

    @classmethod
    def folds(cls, op: Operation, *, insert: str = "parallel", **options: Any) -> str | None:
        """Parallel at a Linear; sequential after anything that ends with a Linear or a convolution."""
        if insert == "parallel":
            return not_linear(op)
        if op.groups > 1:
            return f"a convolution in {op.groups} groups does not mix channels, as it would have to at the {op}"
        return (
            f"a norm does not mix channels, as it would have to at the {op}"
            if op.kind in NORMS
            else not_affine_at_the_end(op)
        )


def _read(op: Operation, insert: str) -> int:
    """Channels of what the term reads: the operation's input, or its output."""
    return op.d_in if insert == "parallel" else op.d_out
