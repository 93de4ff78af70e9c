"""BitFit: biases alone."""

from typing import Any

import torch
from torch import Tensor, nn

from utsearch.backbones import LINEARS, NORM_SITES, Operation, Stage, Tuner
from utsearch.backbones.folding import add_bias, last_step, not_affine_at_the_end


class Bias(Tuner):
    """x' = OP(x) + b, where the operation ends by adding a bias.

    The frozen bias and b add up to the learnt bias; weight decay pulls towards the pretrained one. The paper's design
    is `linears|norms|stem|tail:bias`. Initial values: b = 0.
    """

    name = "bias"
    summary = "OP(x) + b"
    source = "Ben Zaken et al. 2021 (BitFit), arXiv 2106.10199"
    sites = (*LINEARS, "mixer", "conv", *NORM_SITES, "stem", "tail")
    elsewhere = "the bias of a whole branch is that of its last Linear: take proj or fc2"
    rate = 2.0
    merges = True
    stage = Stage.SCALE

    def __init__(self, op: Operation) -> None:
        super().__init__()
        self.offset = nn.Parameter(torch.zeros(op.d_out))  # b

    def finish(self, y: Tensor) -> Tensor:
        """(…, d_out) to the same shape."""
        return y + self.offset

    @classmethod
    def num_params(cls, op: Operation, rank: int = 0, **options: Any) -> int:
        """d_out."""
        return op.d_out

    @classmethod
    def refuses(cls, op: Operation, **options: Any) -> str | None:
        """It tunes a bias, so there must be one."""
        return None if op.biased else "it has no bias"

    def fold(self, module: nn.Module) -> None:
        """Bias + b."""
        add_bias(last_step(module), self.offset)

    @classmethod
    def folds(cls, op: Operation, **options: Any) -> str | None:
        """Wherever the operation ends with weights of its own."""
        return not_affine_at_the_end(op)
