"""Prompts: learnt rows beside the tokens that one block, or the whole trunk, reads."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from utsearch.backbones import PLAIN_ATTENTION, TRUNK, Operation, Stage, Tuner


class Prompt(Tuner):
    """Prompt rows join the trunk before the block's norm, give keys and values, and are dropped after the attention.

    At the trunk (VPT-shallow) they join once, after the position embedding, and pass through all blocks as tokens do.
    In unified form: prefix with Kp = norm(p)·Wk + bk and Vp = norm(p)·Wv + bv through the frozen projections. The rows
    stand at the end of the sequence, so the class token stays first. Initial values: U(±√(6/(3P²+d))).
    """

    name = "prompt"
    summary = "Attn over [x; p], rows of p dropped"
    source = "Jia et al. 2022 (VPT), arXiv 2203.12119"
    sites = ("mha", TRUNK)
    elsewhere = "its rows reach other tokens only through an attention"
    stage = Stage.INPUT
    identity = False

    def __init__(self, op: Operation, rank: int) -> None:
        super().__init__()
        self.rows = nn.Parameter(torch.empty(rank, op.d_in))
        bound = math.sqrt(6 / (op.patch_values + op.d_in))
        nn.init.uniform_(self.rows, -bound, bound)

    def prepare(self, x: Tensor, normed: Callable[[Tensor], Tensor]) -> Tensor:
        """(batch, tokens, d) to (batch, tokens + length, d)."""
        rows = normed(self.rows[None]).to(x.dtype)  # once, not for every image
        return torch.cat([x, rows.expand(x.shape[0], -1, -1)], dim=1)

    @classmethod
    def num_params(cls, op: Operation, rank: int = 0, **options: Any) -> int:
        """l·d."""
        return rank * op.d_in

    @classmethod
    def refuses(cls, op: Operation, **options: Any) -> str | None:
        """Only attention without a notion of position takes rows from nowhere."""
        attention = op.mixer if op.site == TRUNK else op.kind
        if attention == PLAIN_ATTENTION:
            return None
        return f"it knows only {PLAIN_ATTENTION}, here it is {attention or 'of several kinds'}"
