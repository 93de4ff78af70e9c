"""VeRA: one random low-rank pair for all Linears, and two learnt vectors for each."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from utsearch.backbones import LINEAR_SITES, Operation, Tuner
from utsearch.backbones.folding import add_weight, not_linear


class VeRA(Tuner):
    """x' = OP(x) + b ⊙ B·(s ⊙ A·x), A and B random, frozen and shared by all VeRA tuners of one rank in a design.

    A and B have the largest widths there are, and a smaller operation takes their first columns and rows, as in peft.
    They are saved with the tuner and not counted. Initial values: A and B kaiming uniform, s = `scale`, b = 0.
    """

    name = "vera"
    summary = "OP(x) + b ⊙ B·(s ⊙ A·x), A and B random and shared"
    source = "Kopiczko et al. 2023, arXiv 2310.11454"
    sites = LINEAR_SITES
    elsewhere = "it stands beside a linear map"
    rate = 4.0
    merges = True

    def __init__(self, op: Operation, rank: int, *, scale: float = 0.1) -> None:
        super().__init__()
        self.d_in, self.d_out = op.d_in, op.d_out
        self.inner = nn.Parameter(torch.full((rank,), scale))  # s
        self.outer = nn.Parameter(torch.zeros(op.d_out))  # b

    def delta(self, x: Tensor) -> Tensor:
        """(…, d_in) to (…, d_out)."""
        a, b = self._pair()
        return F.linear(F.linear(x, a) * self.inner, b) * self.outer

    @classmethod
    def num_params(cls, op: Operation, rank: int = 0, **options: Any) -> int:
        """R + d_out."""
        return rank + op.d_out

    @classmethod
    def share(cls, ops: Sequence[Operation], rank: int = 0, **options: Any) -> nn.Module:
        """A and B."""
        return _Pair(max(op.d_in for op in ops), max(op.d_out for op in ops), rank)

    @classmethod
    def refuses(cls, op: Operation, *, scale: float = 0.1, **options: Any) -> str | None:
        """With s = 0 and b = 0 neither would have a gradient."""
        return None if scale else "with scale=0 it never learns"

    def fold(self, module: nn.Module) -> None:
        """W + diag(b)·B·diag(s)·A."""
        a, b = self._pair()
        add_weight(module, self.outer[:, None] * b @ (self.inner[:, None] * a))

    @classmethod
    def folds(cls, op: Operation, **options: Any) -> str | None:
        """At a Linear."""
        return not_linear(op)

    def _pair(self) -> tuple[Tensor, Tensor]:
        return self.common.a[:, : self.d_in], self.common.b[: self.d_out]


class _Pair(nn.Module):
    a: Tensor
    b: Tensor

    def __init__(self, d_in: int, d_out: int, rank: int) -> None:
        super().__init__()
        self.register_buffer("a", nn.init.kaiming_uniform_(torch.empty(rank, d_in)))
        self.register_buffer("b", nn.init.kaiming_uniform_(torch.empty(d_out, rank)))
