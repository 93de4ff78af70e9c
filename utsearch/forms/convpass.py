"""Convpass: a bottleneck with a convolution over the patch grid."""

import math
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from utsearch.backbones import LINEARS, Operation, Tuner


class Convpass(Tuner):
    """x' = OP(x) + s·φ(conv(φ(z·Wd + bd)))·Wu + bu, z = x (parallel) or OP(x) (sequential), φ = QuickGELU.

    The 3×3 convolution sees the patches as a picture; every other token (class token, prompt rows) is a 1×1 picture of
    its own, so the kernel's centre alone acts on it. The paper's design is `mha|ffn:convpass(8)`. Initial values: Wd
    xavier uniform, the kernel the identity, Wu = 0, biases 0.
    """

    name = "convpass"
    summary = "OP(x) + s·φ(conv3×3(φ(z·Wd)))·Wu, z = x or OP(x)"
    source = "Jie & Deng 2022, arXiv 2207.07039"
    sites = ("mha", "mixer", "ffn", "block", "conv", *LINEARS)
    elsewhere = "it reads a map, or tokens on a grid, beside an operation on them"
    rate = 0.5

    def __init__(
        self,
        op: Operation,
        rank: int,
        *,
        insert: Literal["parallel", "sequential"] = "parallel",
        scale: float = 1.0,
    ) -> None:
        super().__init__(insert=insert)
        self.grid, self.prefix_tokens, self.scale = op.grid or (0, 0), op.prefix_tokens, scale
        self.down = nn.Linear(_read(op, insert), rank)
        self.conv = nn.Conv2d(rank, rank, kernel_size=3, padding=1)
        self.up = nn.Linear(rank, op.d_out)
        nn.init.xavier_uniform_(self.down.weight)
        nn.init.dirac_(self.conv.weight)
        nn.init.zeros_(self.up.weight)
        for layer in (self.down, self.conv, self.up):
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]

    def delta(self, x: Tensor) -> Tensor:
        """(batch, tokens, d), or a map (batch, rows, columns, d), to (…, d_out)."""
        h = _quick_gelu(self.down(x))
        mixed = self._over_tokens(h) if x.ndim == 3 else self.conv(h.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        return torch.as_tensor(self.up(_quick_gelu(mixed))) * self.scale

    def _over_tokens(self, h: Tensor) -> Tensor:
        """The convolution over the patches of (batch, tokens, rank), its centre over the other tokens."""
        start, end = self.prefix_tokens, self.prefix_tokens + math.prod(self.grid)
        picture = h[:, start:end].unflatten(1, self.grid).permute(0, 3, 1, 2)  # (batch, rank, rows, columns)
        patches = self.conv(picture).flatten(2).transpose(1, 2)
        kernel = self.conv.weight[:, :, 1, 1]
        before, after = (F.linear(part, kernel, self.conv.bias) for part in (h[:, :start], h[:, end:]))
        return torch.cat([before, patches, after], dim=1)

    @classmethod
    def num_params(cls, op: Operation, rank: int = 0, *, insert: str = "parallel", **options: Any) -> int:
        """2dr + r + d + 9r² + r."""
        return rank * (_read(op, insert) + op.d_out + 1) + op.d_out + 9 * rank * rank + rank

    @classmethod
    def refuses(cls, op: Operation, *, scale: float = 1.0, **options: Any) -> str | None:
        """It needs to know where the patches lie; a scale of 0 would never learn."""
        if scale == 0:
            return "with scale=0 it never learns"
        return None if op.grid else "its tokens do not lie on a known grid"


def _quick_gelu(x: Tensor) -> Tensor:
    """`x·σ(1.702·x)`, as in the paper's code."""
    return x * torch.sigmoid(1.702 * x)


def _read(op: Operation, insert: str) -> int:
    """Channels of what the term reads: the operation's input, or its output."""
    return op.d_in if insert == "parallel" else op.d_out
