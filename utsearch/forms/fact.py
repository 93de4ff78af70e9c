"""FacT: the changes of all weights as one factorised tensor."""

import math
from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn

from utsearch.backbones import LINEAR_SITES, Operation, Tuner
from utsearch.backbones.folding import add_weight, not_linear


class FacT(Tuner):
    """x' = OP(x) + s·V·Σ·U·x for every d×d piece of the weights, U and V shared by all FacT tuners of one rank and d.

    d is the smaller width of the operation: a fused qkv has three pieces, fc1 and fc2 four each. Tensor-train (tt):
    each piece has a Σ of its own, r×r. Tucker (tk): Σ is a mixture of the r slices of one shared core. The paper's
    design is `linears:fact(16)`. Initial values: U and Σ kaiming uniform (√5), mixture and core xavier uniform, V = 0.
    """

    name = "fact"
    summary = "OP(x) + s·V·Σ·U·x, U and V shared by all weights"
    source = "Jie & Deng 2022, arXiv 2212.03145"
    sites = LINEAR_SITES
    elsewhere = "it factorises the weights of Linears"
    merges = True

    def __init__(self, op: Operation, rank: int, *, kind: Literal["tt", "tk"] = "tt", scale: float = 1.0) -> None:
        super().__init__()
        self.scale, self.pieces = scale, (op.d_out // _width(op), op.d_in // _width(op))
        number = self.pieces[0] * self.pieces[1]
        shape = (number, rank, rank) if kind == "tt" else (number, rank)
        self.mixture = nn.Parameter(torch.empty(shape))  # Σ, or the weights of the core's slices
        if kind == "tt":
            nn.init.uniform_(self.mixture, -1 / math.sqrt(rank), 1 / math.sqrt(rank))
        else:
            nn.init.xavier_uniform_(self.mixture)

    def delta(self, x: Tensor) -> Tensor:
        """(…, d_in) to (…, d_out)."""
        common, (_, n_in) = self.common, self.pieces
        hidden = torch.einsum("...id,rd->...ir", x.unflatten(-1, (n_in, -1)), common.u)
        mixed = torch.einsum("...ir,oirs->...os", hidden, self._cores())
        return (self.scale * torch.einsum("...os,ds->...od", mixed, common.v)).flatten(-2)

    @classmethod
    def num_params(cls, op: Operation, rank: int = 0, *, kind: str = "tt", **options: Any) -> int:
        """r² for each piece, r for Tucker."""
        return op.d_in * op.d_out // _width(op) ** 2 * rank ** (2 if kind == "tt" else 1)

    @classmethod
    def family(cls, op: Operation) -> int:
        """Tuners of one width share, as do those of one stage of a hierarchical network."""
        return _width(op)

    @classmethod
    def share(cls, ops: Sequence[Operation], rank: int = 0, *, kind: str = "tt", **options: Any) -> nn.Module:
        """U, V and, for Tucker, the core."""
        return _Factors(_width(ops[0]), rank, core=kind == "tk")

    @classmethod
    def shared_params(cls, ops: Sequence[Operation], rank: int = 0, *, kind: str = "tt", **options: Any) -> int:
        """2·d·r, and r³ for Tucker."""
        return 2 * _width(ops[0]) * rank + (rank**3 if kind == "tk" else 0)

    @classmethod
    def refuses(cls, op: Operation, *, scale: float = 1.0, **options: Any) -> str | None:
        """Both widths must be multiples of the smaller one; scale = 0 would never learn."""
        if op.d_in % _width(op) or op.d_out % _width(op):
            return f"its weights, {op.d_out}×{op.d_in}, do not fall into square pieces"
        return None if scale else "with scale=0 it never learns"

    def fold(self, module: nn.Module) -> None:
        """W + s·V·Σ·U, piece by piece."""
        term = torch.einsum("ds,oirs,re->odie", self.common.v, self._cores(), self.common.u)
        add_weight(module, self.scale * term.flatten(0, 1).flatten(1))

    @classmethod
    def folds(cls, op: Operation, **options: Any) -> str | None:
        """At a Linear."""
        return not_linear(op)

    def _cores(self) -> Tensor:
        """(pieces of the output, pieces of the input, r, r): from U's columns to V's."""
        core = self.common.core
        each = self.mixture if core is None else torch.einsum("nk,rsk->nrs", self.mixture, core)
        return each.unflatten(0, self.pieces)


class _Factors(nn.Module):
    def __init__(self, width: int, rank: int, *, core: bool) -> None:
        super().__init__()
        self.u = nn.Parameter(torch.empty(rank, width))
        self.v = nn.Parameter(torch.zeros(width, rank))
        self.core = nn.Parameter(torch.empty(rank, rank, rank)) if core else None
        nn.init.kaiming_uniform_(self.u, a=math.sqrt(5))
        if self.core is not None:
            nn.init.xavier_uniform_(self.core)


def _width(op: Operation) -> int:
    return min(op.d_in, op.d_out)
