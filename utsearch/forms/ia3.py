"""(IA)³: factors on keys, values and the activations of the MLP."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from utsearch.backbones import Operation, Stage, Tuner
from utsearch.backbones.folding import LINEAR, scale_columns, scale_rows


class IA3(Tuner):
    """At k and v x' = γ ⊙ OP(x), at fc2 x' = OP(γ ⊙ x): x is what fc1 and the activation gave.

    The paper's design is `k|v|fc2:ia3`. Initial values: γ = 1.
    """

    name = "ia3"
    summary = "γ ⊙ OP(x) at k and v, OP(γ ⊙ x) at fc2"
    source = "Liu et al. 2022, arXiv 2205.05638"
    sites = ("k", "v", "fc2")
    elsewhere = "it scales keys, values and what the last Linear of an MLP reads"
    rate = 16.0
    merges = True

    def __init__(self, op: Operation) -> None:
        super().__init__()
        self.stage = Stage.INPUT if op.site == "fc2" else Stage.SCALE
        self.factor = nn.Parameter(torch.ones(_width(op)))  # γ

    def prepare(self, x: Tensor, normed: Callable[[Tensor], Tensor]) -> Tensor:
        """(…, d_in) to the same shape."""
        return x * self.factor

    def finish(self, y: Tensor) -> Tensor:
        """(…, d_out) to the same shape."""
        return y * self.factor

    @classmethod
    def num_params(cls, op: Operation, rank: int = 0, **options: Any) -> int:
        """The channels of k and v, and those that fc2 reads."""
        return _width(op)

    def fold(self, module: nn.Module) -> None:
        """Rows of W and b at k and v, columns of W at fc2."""
        (scale_columns if self.stage is Stage.INPUT else scale_rows)(module, self.factor)

    @classmethod
    def folds(cls, op: Operation, **options: Any) -> str | None:
        """At every Linear."""
        return None if op.kind == LINEAR else f"the {op} is no Linear"


def _width(op: Operation) -> int:
    return op.d_in if op.site == "fc2" else op.d_out
