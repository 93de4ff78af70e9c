"""RepAdapter: a linear bottleneck before the operation."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from utsearch.backbones import LINEARS, Operation, Stage, Tuner
from utsearch.backbones.folding import add_bias, add_weight, first_step, not_read_by_one_linear


class RepAdapter(Tuner):
    """x' = OP(x + s·(B·(A·x + a) + b)), B block-diagonal with `groups` blocks.

    Group j of the output channels reads group j of the r hidden values. Everything is linear, so W(I + s·B·A) folds
    into the Linear that reads x. The paper's design is `mha|ffn:repadapter(8)`. Initial values: A xavier uniform,
    B = 0, both biases 0.
    """

    name = "repadapter"
    summary = "OP(x + s·B·A·x), B grouped"
    source = "Luo et al. 2023, arXiv 2302.08106"
    sites = ("mha", "mixer", "ffn", "block", "conv", *LINEARS)
    elsewhere = "it changes what an operation reads: tune what reads the norm's output instead"
    merges = True
    stage = Stage.INPUT

    def __init__(self, op: Operation, rank: int, *, groups: int = 2, scale: float = 1.0) -> None:
        super().__init__()
        self.scale = scale
        self.down = nn.Linear(op.d_in, rank)
        self.up = nn.Parameter(torch.zeros(groups, op.d_in // groups, rank // groups))
        self.up_bias = nn.Parameter(torch.zeros(op.d_in))
        nn.init.xavier_uniform_(self.down.weight)
        nn.init.zeros_(self.down.bias)

    def _matrix(self) -> Tensor:
        """s·B, (d_in, rank)."""
        return self.scale * torch.block_diag(*self.up)

    def prepare(self, x: Tensor, normed: Callable[[Tensor], Tensor]) -> Tensor:
        """(…, d_in) to the same shape."""
        return x + F.linear(self.down(x), self._matrix(), self.scale * self.up_bias)

    @classmethod
    def num_params(cls, op: Operation, rank: int = 0, *, groups: int = 2, **options: Any) -> int:
        """Dr + r + dr/g + d."""
        return rank * (op.d_in + 1) + op.d_in * rank // groups + op.d_in

    @classmethod
    def refuses(
        cls, op: Operation, *, rank: int = 0, groups: int = 2, scale: float = 1.0, **options: Any
    ) -> str | None:
        """Groups must divide the rank and the channels; a scale of 0 would never learn."""
        if scale == 0:
            return "with scale=0 it never learns"
        if groups < 1 or rank % groups or op.d_in % groups:
            return f"groups must divide the rank and the {op.d_in} channels, got groups={groups} and rank {rank}"
        return None

    def fold(self, module: nn.Module) -> None:
        """W(I + s·B·A), and W·s·(B·a + b) to the bias, of the Linear that reads the operation's input."""
        reader: Any = first_step(module)
        shift = self._matrix() @ self.down.bias + self.scale * self.up_bias
        before = reader.weight.detach().clone()
        add_weight(reader, before @ (self._matrix() @ self.down.weight).to(before))
        add_bias(reader, before @ shift.to(before))

    @classmethod
    def folds(cls, op: Operation, **options: Any) -> str | None:
        """Where one Linear reads the operation's input, the whole of it."""
        return not_read_by_one_linear(op)
