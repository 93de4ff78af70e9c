"""GLoRA: five tensors on a Linear's weights and bias, each of a kind of its own."""

from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from utsearch.backbones import LINEARS, Operation, Stage, Tuner
from utsearch.backbones.folding import LINEAR, add_bias, not_linear

Weight = Literal["lora", "vector", "constant", "none"]
Product = Literal["lora", "vector", "none"]
Shift = Literal["vector", "constant", "none"]


class GLoRA(Tuner):
    """x' = (W + W⊙A + B)·x + b + b⊙D + E + W·C.

    A and B are a product of rank r, a factor per output feature, one number, or absent; C a product of rank r or a
    vector over the inputs; D and E a vector or a number: the paper's 432 choices per Linear. Initial values: the left
    part of a product 0, the right part xavier uniform; everything else 0.
    """

    name = "glora"
    summary = "(W + W⊙A + B)·x + b + b⊙D + E + W·C"
    source = "Chavan et al. 2023, arXiv 2306.07967, equation 8"
    sites = (*LINEARS, "q", "v")
    elsewhere = "it changes weights and bias of a Linear; at k alone a shift of all keys would change no attention"
    merges = True
    stage = Stage.WEIGHTS

    def __init__(
        self,
        op: Operation,
        rank: int,
        *,
        a: Weight = "lora",
        b: Weight = "lora",
        c: Product = "lora",
        d: Shift = "vector",
        e: Shift = "vector",
    ) -> None:
        super().__init__()
        self._rows = slice(None) if op.span is None else slice(*op.span)
        self.a, self.b = _Path(a, op.d_out, op.d_in, rank), _Path(b, op.d_out, op.d_in, rank)
        self.c = _Path(c, op.d_in, 1, rank)
        self.d, self.e = _Path(d, op.d_out, 1, rank), _Path(e, op.d_out, 1, rank)

    def forward(self, op: Any, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """(…, d_in) to (…, d_out)."""
        weight, bias = self._changed(op.weight[self._rows], None if op.bias is None else op.bias[self._rows])
        return F.linear(x, weight, bias)

    @classmethod
    def num_params(cls, op: Operation, rank: int = 0, **paths: Any) -> int:
        """r·(d_out + d_in) for each of A and B, r·(d_in + 1) for C; d_out or d_in for vectors, 1 for a number."""
        sizes = {"a": (op.d_out, op.d_in), "b": (op.d_out, op.d_in), "c": (op.d_in, 1)}
        return sum(_size(kind, *sizes.get(name, (op.d_out, 1)), rank) for name, kind in paths.items())

    @classmethod
    def refuses(cls, op: Operation, *, d: str = "vector", **options: Any) -> str | None:
        """It computes a Linear anew; D needs a bias, and something must be there to learn."""
        if op.kind != LINEAR:
            return not_linear(op)
        if d != "none" and not op.biased:
            return "it has no bias for D to multiply; give d=none"
        paths = {d, *(value for key, value in options.items() if key in "abce")}
        return "nothing is left to learn: a, b, c, d and e are all none" if paths == {"none"} else None

    @torch.no_grad()
    def fold(self, module: Any) -> None:
        """The changed weights and bias in the place of the frozen ones."""
        weight, bias = self._changed(module.weight, module.bias)
        module.weight.copy_(weight)
        if bias is not None:
            add_bias(module, bias if module.bias is None else bias - module.bias)

    def _changed(self, weight: Tensor, bias: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """(d_out, d_in) and (d_out,)."""
        terms = [] if bias is None else [bias]
        if bias is not None and self.d.kind != "none":
            terms.append(bias * self.d().view(-1))
        if self.e.kind != "none":
            terms.append(self.e().expand(len(weight), 1).view(-1))
        if self.c.kind != "none":
            terms.append((weight @ self.c()).view(-1))
        changed = weight if self.a.kind == "none" else weight + weight * self.a()
        changed = changed if self.b.kind == "none" else changed + self.b()
        return changed, sum(terms[1:], terms[0]) if terms else None


class _Path(nn.Module):
    """One of the five: broadcasts to (rows, columns)."""

    def __init__(self, kind: str, rows: int, columns: int, rank: int) -> None:
        super().__init__()
        self.kind = kind
        if kind == "lora":
            self.up = nn.Parameter(torch.zeros(rows, rank))
            self.down = nn.Parameter(torch.empty(rank, columns))
            nn.init.xavier_uniform_(self.down)
        elif kind != "none":
            self.value = nn.Parameter(torch.zeros(rows if kind == "vector" else 1, 1))

    def forward(self) -> Tensor:
        return self.up @ self.down if self.kind == "lora" else self.value


def _size(kind: str, rows: int, columns: int, rank: int) -> int:
    return {"lora": rank * (rows + columns), "vector": rows, "constant": 1, "none": 0}[kind]
