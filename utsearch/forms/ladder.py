"""Ladder side tuning: a narrow transformer beside the frozen trunk, which sees no gradient."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from utsearch.backbones import TRUNK, Operation, Stage, Tuner, states

TEMPERATURE = 0.1


class Ladder(Tuner):
    """x' = x_L + LN(s_L)·Wu + bu with s_l = block_l(μ_l·D_l(x_l) + (1−μ_l)·s_{l−1}), μ_l = σ(a_l / 0.1).

    The rank is the width w of the side network, s_0 = D_0(x_0), D_l a Linear from d to w; its blocks are transformer
    blocks with norms first and a hidden width of 4w. x_l is what block l gives, cut off from the gradient.
    Initial values: torch's for Linear and LayerNorm, a = 0, Wu and bu 0.
    """

    name = "ladder"
    summary = "x_L + LN(s_L)·Wu, s_l = block(μ·D(x_l) + (1−μ)·s_{l−1})"
    source = "Sung et al. 2022 (LST), arXiv 2206.06522"
    sites = (TRUNK,)
    elsewhere = "it reads every block of the trunk"
    stage = Stage.WEIGHTS
    bypass = True

    def __init__(self, op: Operation, rank: int, *, heads: int = 1) -> None:
        super().__init__()
        self.gates = nn.Parameter(torch.zeros(op.depth))  # a
        self.down = nn.ModuleList(nn.Linear(op.d_out, rank) for _ in range(op.depth + 1))
        self.blocks = nn.ModuleList(_Block(rank, heads) for _ in range(op.depth))
        self.norm = nn.LayerNorm(rank)
        self.up = nn.Linear(rank, op.d_out)
        nn.init.zeros_(self.up.weight)
        nn.init.zeros_(self.up.bias)

    def forward(self, op: Any, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """(batch, tokens, d) to the same shape."""
        seen = states(op, x)
        side, *rungs = [down(state) for down, state in zip(self.down, seen, strict=True)]
        for share, block, rung in zip((self.gates / TEMPERATURE).sigmoid(), self.blocks, rungs, strict=True):
            side = block(share * rung + (1 - share) * side)
        return seen[-1] + self.up(self.norm(side))

    @classmethod
    def num_params(cls, op: Operation, rank: int = 0, **options: Any) -> int:
        """(L+1)·(dw + w) + L·(12w² + 13w + 1) + 2w + wd + d."""
        d, w, depth = op.d_out, rank, op.depth
        return (depth + 1) * (d * w + w) + depth * (12 * w * w + 13 * w + 1) + 2 * w + w * d + d

    @classmethod
    def refuses(cls, op: Operation, *, rank: int = 0, heads: int = 1, **options: Any) -> str | None:
        """Heads must divide the width."""
        return f"heads must divide its width {rank}, got {heads}" if heads < 1 or rank % heads else None


class _Block(nn.Module):
    """x + MHA(LN x), then x + FFN(LN x)."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.ffn = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, x: Tensor) -> Tensor:
        """(batch, tokens, width) to the same shape."""
        qkv = self.qkv(self.norm1(x)).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        y = F.scaled_dot_product_attention(*qkv.unbind(0))  # (batch, heads, tokens, head_dim)
        x = x + self.proj(y.transpose(1, 2).flatten(2))
        return torch.as_tensor(x + self.ffn(self.norm2(x)))
