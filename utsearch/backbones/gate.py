"""Gates: a factor on what one tuner changes; an option of every form, so that unions such as UniPELT are designs."""

import torch
from torch import Tensor, nn

from utsearch.backbones.operation import Operation
from utsearch.design import OptionInfo

NONE, SIGMOID, SCALAR = "none", "sigmoid", "scalar"
OPTION = OptionInfo(str, NONE, (NONE, SIGMOID, SCALAR))


class Gate(nn.Module):
    """g of x' = y + g·(tuned(y) − y).

    `sigmoid`: g = mean over tokens of σ(x·w + b), one per image, x the operation's input (Mao et al. 2021, UniPELT,
    arXiv 2110.07577). `scalar`: one learnt number. Initial values: w = 0 and b = 0, so g = 1/2; the scalar 1.
    """

    def __init__(self, kind: str, op: Operation) -> None:
        super().__init__()
        self.kind = kind
        self.weight = nn.Parameter(torch.zeros(op.d_in)) if kind == SIGMOID else None
        self.bias = nn.Parameter(torch.full((), 0.0 if kind == SIGMOID else 1.0))

    def forward(self, x: Tensor) -> Tensor:
        """The operation's input (batch, …, d_in), channels last, to g: (batch, 1, …, 1), or () of a scalar."""
        if self.weight is None:
            return self.bias
        scores = (x @ self.weight + self.bias).sigmoid()  # (batch, …)
        return scores.flatten(1).mean(dim=1).view(-1, *(1,) * (x.ndim - 1))


def gate_params(kind: str, op: Operation) -> int:
    """d_in + 1 for a sigmoid, 1 for a scalar."""
    return {NONE: 0, SIGMOID: op.d_in + 1, SCALAR: 1}[kind]


def gate_refuses(kind: str, op: Operation) -> str | None:
    """A sigmoid gate reads tokens."""
    if kind == SIGMOID and op.site == "stem":
        return "gate=sigmoid reads tokens, and the stem reads an image; take gate=scalar"
    return None
