"""SSF: scale and shift."""

from typing import Any

import torch
from torch import Tensor, nn

from utsearch.backbones import SITES, TRUNK, Operation, Stage, Tuner
from utsearch.backbones.folding import add_bias, last_step, not_affine_at_the_end, scale_rows


class SSF(Tuner):
    """x' = γ ⊙ OP(x) + β.

    The paper's design is `linears|norms|stem|tail:ssf`. Initial values: γ ~ N(1, .02), β ~ N(0, .02), so it does not
    start as the identity.
    """

    name = "ssf"
    summary = "γ ⊙ OP(x) + β"
    source = "Lian et al. 2022, arXiv 2210.08823"
    sites = tuple(site for site in SITES if site != TRUNK)
    elsewhere = "the trunk gives what its last block gives: take that block"
    rate = 2.0
    merges = True
    stage = Stage.SCALE
    identity = False

    def __init__(self, op: Operation) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.empty(op.d_out))  # γ
        self.shift = nn.Parameter(torch.empty(op.d_out))  # β
        nn.init.normal_(self.scale, mean=1.0, std=0.02)
        nn.init.normal_(self.shift, std=0.02)

    def finish(self, y: Tensor) -> Tensor:
        """(…, d_out) to the same shape."""
        return y * self.scale + self.shift

    @classmethod
    def num_params(cls, op: Operation, rank: int = 0, **options: Any) -> int:
        """2·d_out."""
        return 2 * op.d_out

    def fold(self, module: nn.Module) -> None:
        """γ ⊙ W and γ ⊙ b + β."""
        scale_rows(last_step(module), self.scale)
        add_bias(last_step(module), self.shift)

    @classmethod
    def folds(cls, op: Operation, **options: Any) -> str | None:
        """Wherever the operation ends with weights of its own."""
        return not_affine_at_the_end(op)
