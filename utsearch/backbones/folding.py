"""Change frozen weights in place, so that a module computes what it computed with a linear tuner."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from utsearch.backbones.operation import Operation

LINEAR = "torch.nn.modules.linear.Linear"
CONVOLUTION = "torch.nn.modules.conv.Conv2d"
# The submodules, in order of preference, whose affine map is the last thing that a module computes in eval mode.
LAST_STEP = {
    "timm.layers.attention.Attention": ("proj",),
    "timm.layers.mlp.Mlp": ("fc2",),
    "timm.layers.patch_embed.PatchEmbed": ("norm", "proj"),
}
# The one Linear that reads all that a module reads.
FIRST_STEP = {"timm.layers.attention.Attention": "qkv", "timm.layers.mlp.Mlp": "fc1"}
NORMS = ("torch.nn.modules.normalization.LayerNorm", "timm.layers.norm.LayerNorm")


def not_linear(op: Operation) -> str | None:
    """Why a term of the operation's input cannot be added to its weights, or None."""
    return None if op.kind == LINEAR else f"its input passes more than a Linear in the {op}"


def not_affine_at_the_end(op: Operation) -> str | None:
    """Why an affine map of the operation's output cannot be folded into its weights, or None."""
    if op.kind in (LINEAR, CONVOLUTION, *NORMS, *LAST_STEP):
        return None
    return f"the {op} does not end with weights of its own"


def last_step(module: nn.Module) -> nn.Module:
    """The part whose affine map is the last thing that a module computes; itself for a Linear, Conv2d or norm."""
    names = LAST_STEP.get(f"{type(module).__module__}.{type(module).__qualname__}", ())
    parts = [module.get_submodule(name) for name in names]
    return next((last_step(part) for part in parts if not isinstance(part, nn.Identity)), module)


def not_read_by_one_linear(op: Operation) -> str | None:
    """Why a linear map of the operation's input cannot be folded into its weights, or None."""
    if op.span is None and op.kind in (LINEAR, *FIRST_STEP):
        return None
    return f"no single Linear reads what the {op} reads"


def first_step(module: nn.Module) -> nn.Module:
    """The one Linear that reads what a module reads; itself for a Linear."""
    return module.get_submodule(FIRST_STEP.get(f"{type(module).__module__}.{type(module).__qualname__}", ""))


@torch.no_grad()
def add_weight(module: nn.Module, term: Tensor) -> None:
    """W + term, (d_out, d_in), of a Linear or a 1×1 convolution."""
    weight = _parameter(module, "weight")
    weight.add_(term.to(weight).view_as(weight))


@torch.no_grad()
def add_bias(module: nn.Module, term: Tensor) -> None:
    """Bias + term, (d_out,); a missing bias is created."""
    bias = _parameter(module, "bias")
    bias.add_(term.to(bias))


@torch.no_grad()
def scale_rows(module: Any, factor: Tensor) -> None:
    """Factor ⊙ y of a Linear, a convolution or a norm; factor is (d_out,)."""
    weight = _parameter(module, "weight")
    weight.mul_(factor.to(weight).view(-1, *(1,) * (weight.ndim - 1)))
    if module.bias is not None:
        _parameter(module, "bias").mul_(factor.to(weight))


@torch.no_grad()
def scale_columns(module: nn.Module, factor: Tensor) -> None:
    """A Linear of factor ⊙ x; factor is (d_in,)."""
    weight = _parameter(module, "weight")
    weight.mul_(factor.to(weight))


@torch.no_grad()
def left_multiply(module: Any, matrix: Tensor) -> None:
    """Matrix · y of a Linear or a convolution; matrix is (d_out, d_out)."""
    weight = _parameter(module, "weight")
    weight.copy_((matrix.to(weight) @ weight.flatten(1)).view_as(weight))
    if module.bias is not None:
        bias = _parameter(module, "bias")
        bias.copy_(matrix.to(bias) @ bias)


@contextmanager
def rows_of(module: Any, span: tuple[int, int] | None) -> Iterator[nn.Module]:
    """A Linear that is the rows [start, stop) of another and shares its memory; without a span the module itself."""
    if span is None:
        yield module
        return
    rows, created = slice(*span), module.bias is None
    window: Any = nn.Linear(module.in_features, span[1] - span[0], bias=False, device="meta")
    window.weight = nn.Parameter(module.weight.detach()[rows], requires_grad=False)
    if not created:
        window.bias = nn.Parameter(module.bias.detach()[rows], requires_grad=False)
    yield window
    if created and window.bias is not None:
        _parameter(module, "bias").data[rows] = window.bias


def _parameter(module: Any, name: str) -> Tensor:
    """A weight or bias, created with the values that change nothing where the module has none."""
    if getattr(module, name) is None:
        like = {} if module.weight is None else {"device": module.weight.device, "dtype": module.weight.dtype}
        width = len(module.weight) if module.weight is not None else module.normalized_shape[0]
        value = torch.ones(width, **like) if name == "weight" else torch.zeros(width, **like)
        setattr(module, name, nn.Parameter(value, requires_grad=False))
    found: Tensor = getattr(module, name)
    return found
