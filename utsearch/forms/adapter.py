"""Adapters: a bottleneck with a non-linearity."""

import math
from collections.abc import Mapping
from typing import Any, Literal

import torch
from torch import Tensor, nn

from utsearch.backbones import Operation, Tuner

ACTIVATIONS = {"gelu": nn.GELU, "relu": nn.ReLU, "silu": nn.SiLU, "none": nn.Identity}


class Adapter(Tuner):
    """x' = OP(x) + s·(φ(z·Wd + bd)·Wu + bu) with z = OP(x) (sequential) or z = x (parallel).

    Houlsby's and Pfeiffer's are sequential; AdaptFormer's is parallel to the ffn and reads the trunk before the norm
    (`read=pre`). The scale s is fixed, learned, or learned per channel (Adapter+). Initial values: `init=normal` draws
    both weights from N(0, .01) cut at two deviations, biases 0; `init=zero` has Wd kaiming uniform (√5) and Wu = 0.
    With `norm=true` a LayerNorm of its own (γ = 1, β = 0) comes first; `dropout` acts on the hidden values in training.
    """

    name = "adapter"
    summary = "OP(x) + s·φ(z·Wd)·Wu, z = OP(x) or x"
    source = "Houlsby et al. 2019, arXiv 1902.00751; AdaptFormer 2205.13535; Adapter+ 2406.06820"
    sites = ("mha", "mixer", "ffn", "block")
    elsewhere = "a bottleneck with a non-linearity stands beside or after a whole branch or block"
    rate = 0.5

    def __init__(
        self,
        op: Operation,
        rank: int,
        *,
        insert: Literal["sequential", "parallel"] = "sequential",
        read: Literal["post", "pre"] = "post",
        act: Literal["gelu", "relu", "silu", "none"] = "gelu",
        scale: float = 1.0,
        scaling: Literal["fixed", "learned", "channel"] = "fixed",
        init: Literal["normal", "zero"] = "normal",
        norm: bool = False,
        dropout: float = 0.0,
    ) -> None:
        super().__init__(insert=insert)
        self.reads_pre = read == "pre"
        self.identity = init == "zero"
        read_channels = op.d_in if insert == "parallel" else op.d_out
        self.norm = nn.LayerNorm(read_channels) if norm else nn.Identity()
        self.down = nn.Linear(read_channels, rank)
        self.act = ACTIVATIONS[act]()
        self.dropout = nn.Dropout(dropout)
        self.up = nn.Linear(rank, op.d_out)
        start = torch.tensor(scale) if scaling == "learned" else torch.full((op.d_out,), scale)
        self.scale: float | nn.Parameter = scale if scaling == "fixed" else nn.Parameter(start)
        self._initialise(init)

    def _initialise(self, init: str) -> None:
        if init == "normal":
            _cut_normal(self.down.weight, 0.01)
            _cut_normal(self.up.weight, 0.01)
        else:
            nn.init.kaiming_uniform_(self.down.weight, a=math.sqrt(5))
            nn.init.zeros_(self.up.weight)
        nn.init.zeros_(self.down.bias)
        nn.init.zeros_(self.up.bias)

    def delta(self, x: Tensor) -> Tensor:
        """(batch, …, d_in or d_out) to (batch, …, d_out)."""
        return torch.as_tensor(self.up(self.dropout(self.act(self.down(self.norm(x)))))) * self.scale

    @classmethod
    def rate_of(cls, options: Mapping[str, Any]) -> float:
        """A small scale, as AdaptFormer's 0.1, takes a higher rate."""
        return 2.0 if abs(options.get("scale", 1.0)) < 0.5 else cls.rate

    @classmethod
    def num_params(
        cls,
        op: Operation,
        rank: int = 0,
        *,
        insert: str = "sequential",
        scaling: str = "fixed",
        norm: bool = False,
        **options: Any,
    ) -> int:
        """2dr + r + d, 1 or d for a learned scale, 2d for a norm."""
        read = op.d_in if insert == "parallel" else op.d_out
        scale = {"fixed": 0, "learned": 1, "channel": op.d_out}[scaling]
        return rank * (read + op.d_out + 1) + op.d_out + scale + 2 * read * norm

    @classmethod
    def refuses(
        cls,
        op: Operation,
        *,
        insert: str = "sequential",
        read: str = "post",
        scale: float = 1.0,
        dropout: float = 0.0,
        **options: Any,
    ) -> str | None:
        """`read=pre` needs a parallel adapter and a norm to read before; a scale of 0 would never learn."""
        if scale == 0:
            return "with scale=0 it never learns"
        if not 0 <= dropout < 1:
            return f"dropout is a share from 0 to below 1, got {dropout}"
        if read == "pre" and insert != "parallel":
            return "read=pre reads the operation's input before its norm: it needs insert=parallel"
        if read == "pre" and op.norm is None:
            return f"read=pre reads before the norm that feeds the operation, and no norm feeds the {op}"
        return None


@torch.no_grad()
def _cut_normal(weight: Tensor, deviation: float) -> None:
    """N(0, deviation²) cut at two deviations, as `nn.init.trunc_normal_` in a third of the time."""
    inside = math.erf(math.sqrt(2))  # the share of a normal distribution within two deviations
    weight.uniform_(-inside, inside).erfinv_().mul_(deviation * math.sqrt(2))
