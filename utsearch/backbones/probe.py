"""Find the operations of a network: names propose, one hooked forward disposes.

A module counts as an operation only if it was called exactly once and kept (batch, tokens) up to the channels. So a
Linear whose weight is read without calling it (BEiT's qkv) is no site, and nobody tunes what never runs.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from utsearch.backbones.operation import PLAIN_ATTENTION, BackboneError, Operation
from utsearch.design import OUTSIDE

IN_BLOCK = {
    "mha": "attn",
    "ffn": "mlp",
    "block": "",
    "qkv": "attn.qkv",
    "q": "attn.q_proj",
    "k": "attn.k_proj",
    "v": "attn.v_proj",
    "proj": "attn.proj",
    "fc1": "mlp.fc1",
    "fc2": "mlp.fc2",
    "norm1": "norm1",
    "norm2": "norm2",
}
AROUND = {"stem": ("patch_embed",), "tail": ("norm", "fc_norm")}
LINEARS = ("qkv", "proj", "fc1", "fc2")
QKV = ("q", "k", "v")
LINEAR_SITES = (*LINEARS, *QKV)
TRUNK = "trunk"  # all blocks in a row, as one operation
SITES = (*IN_BLOCK, *OUTSIDE)
# Attention whose fused projection gives all of q, then all of k, then all of v.
FUSED = (PLAIN_ATTENTION, "timm.models.swin_transformer.WindowAttention")
GROUPS = {"linears": LINEARS, "norms": ("norm1", "norm2")}


@dataclass
class _Calls:
    """What hooks saw of one module; keeping the tensors keeps their identities unique."""

    order: int
    inputs: list[Tensor] = field(default_factory=list)
    outputs: list[Tensor] = field(default_factory=list)


class _Watch(dict[str, _Calls]):
    """Calls by module path, in call order; hooks that write into it."""

    def enter(self, path: str, module: nn.Module, args: tuple[Any, ...]) -> None:
        self.setdefault(path, _Calls(len(self)))

    def leave(self, path: str, module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        if args and isinstance(args[0], Tensor) and isinstance(output, Tensor):
            self[path].inputs.append(args[0])
            self[path].outputs.append(output)


def describe(model: nn.Module, img_size: int) -> dict[tuple[str, int | None], Operation]:
    """The operations of a network by (site, block), from one forward of an empty image.

    Raises:
        BackboneError: the forward fails, or the network is no stack of equal blocks over tokens.
    """
    modules = dict(model.named_modules())
    calls = _watch(model, modules, img_size)
    blocks = sorted(_blocks(modules, calls), key=lambda path: calls[path].order)
    widths = {tuple(calls[path].inputs[0].shape) for path in blocks}
    if len(widths) != 1:
        raise BackboneError(
            f"{type(model).__name__} is no ViT-like network: "
            + (f"its blocks read {_shapes(widths)}" if blocks else "no module with attn and mlp reads tokens")
            + "; utsearch tunes stacks of equal blocks over (batch, tokens, channels), such as vit_*, deit_*, beit_*"
        )
    grid = _grid(model, modules, calls[blocks[0]].inputs[0].shape[1])
    found = [_around(site, names, modules, calls) for site, names in AROUND.items()]
    found += [
        _inside(site, index, f"{block}.{name}".rstrip("."), block, modules, calls, grid)
        for index, block in enumerate(blocks)
        for site, name in IN_BLOCK.items()
    ]
    found.append(_trunk([op for op in found if op is not None], blocks, modules, calls))
    operations = {(op.site, op.block): op for op in found if op is not None}
    operations |= {(op.site, op.block): op for op in _spans(operations)}
    order = {site: at for at, site in enumerate((*OUTSIDE, *IN_BLOCK))}
    return dict(
        sorted(operations.items(), key=lambda item: (item[0][1] is not None, item[0][1] or 0, order[item[0][0]]))
    )


def _spans(operations: dict[tuple[str, int | None], Operation]) -> Iterator[Operation]:
    """The q, k and v of every fused projection, as thirds of its columns."""
    for (site, block), op in operations.items():
        mha = operations.get(("mha", block))
        if site == "qkv" and mha is not None and mha.kind in FUSED and op.d_out % 3 == 0:
            third = op.d_out // 3
            for at, part in enumerate(QKV):
                yield replace(op, site=part, d_out=third, span=(at * third, (at + 1) * third))


def _trunk(
    inside: list[Operation], blocks: list[str], modules: dict[str, nn.Module], calls: dict[str, _Calls]
) -> Operation | None:
    """All blocks as one operation, where the network calls them by an nn.Sequential of nothing else."""
    path = blocks[0].rpartition(".")[0]
    children = [f"{path}.{name}" for name, _ in modules[path].named_children()]
    if children != blocks or not isinstance(modules[path], nn.Sequential) or not _fits(path, calls, same=True):
        return None
    mixers = {op.kind for op in inside if op.site == "mha"}
    first = next(op for op in inside if op.site == "block")
    return replace(
        first,
        site=TRUNK,
        block=None,
        path=path,
        kind=_kind(modules[path]),
        norm=None,
        biased=False,
        depth=len(blocks),
        mixer=mixers.pop() if len(mixers) == 1 else "",
    )


def _watch(model: nn.Module, modules: dict[str, nn.Module], img_size: int) -> dict[str, _Calls]:
    """Run once in eval mode without gradients and note the tensors in and out of every module."""
    watch = _Watch()
    modes = {path: module.training for path, module in modules.items()}
    hooks = [m.register_forward_pre_hook(partial(watch.enter, path)) for path, m in modules.items()]
    hooks += [m.register_forward_hook(partial(watch.leave, path)) for path, m in modules.items()]
    like = next(model.parameters())
    try:
        with torch.no_grad():
            model.eval()(torch.zeros(1, 3, img_size, img_size, device=like.device, dtype=like.dtype))
    except Exception as error:  # a network may fail in any way on an input that is not its own
        reason = " ".join(str(error).split())
        raise BackboneError(f"{type(model).__name__} cannot run on a {img_size} px image: {reason}") from error
    finally:
        for hook in hooks:
            hook.remove()
        for path, module in modules.items():
            module.training = modes[path]
    return watch


def _blocks(modules: dict[str, nn.Module], calls: dict[str, _Calls]) -> Iterator[str]:
    """Paths of modules with attn and mlp that keep (batch, tokens, channels)."""
    for path, module in modules.items():
        children = dict(module.named_children())
        if path and "attn" in children and "mlp" in children and _fits(path, calls, same=True):
            yield path


def _fits(path: str, calls: dict[str, _Calls], *, same: bool) -> bool:
    """Called once, on tokens, and kept them (and with `same` their channels)."""
    seen = calls.get(path)
    if seen is None or len(seen.inputs) != 1 or seen.inputs[0].ndim != 3:
        return False
    before, after = seen.inputs[0].shape, seen.outputs[0].shape
    return before == after if same else before[:-1] == after[:-1]


def _inside(
    site: str,
    index: int,
    path: str,
    block: str,
    modules: dict[str, nn.Module],
    calls: dict[str, _Calls],
    grid: tuple[int, int] | None,
) -> Operation | None:
    """The operation of a site in a block, if it ran and fits."""
    linear = site in LINEAR_SITES
    if path not in modules or not _fits(path, calls, same=not linear) or linear != isinstance(modules[path], nn.Linear):
        return None
    x, module = calls[path].inputs[0], modules[path]
    feeding = [
        child
        for name, norm in modules[block].named_children()
        if (child := f"{block}.{name}") != path
        and child in calls
        and not isinstance(norm, nn.Identity)
        and any(out is x for out in calls[child].outputs)
    ]
    return Operation(
        site=site,
        block=index,
        path=path,
        kind=_kind(module),
        d_in=x.shape[-1],
        d_out=calls[path].outputs[0].shape[-1],
        tokens=x.shape[1],
        norm=feeding[0] if feeding else None,
        heads=getattr(module, "num_heads", None) if site == "mha" else None,
        head_dim=getattr(module, "head_dim", None) if site == "mha" else None,
        patch_values=_patch_values(modules),
        grid=grid,
        prefix_tokens=x.shape[1] - math.prod(grid) if grid else 0,
        biased=_biased(module),
    )


def _around(
    site: str, names: tuple[str, ...], modules: dict[str, nn.Module], calls: dict[str, _Calls]
) -> Operation | None:
    """Stem and tail: the patch embedding, and the last norm that ran."""
    ran = [n for n in names if n in modules and n in calls and not isinstance(modules[n], nn.Identity)]
    if not ran or len(calls[ran[-1]].outputs) != 1:
        return None
    path, seen = ran[-1], calls[ran[-1]]
    d_in = seen.inputs[0].shape[1 if site == "stem" else -1]
    d_out = seen.outputs[0].shape[-1]
    return Operation(site, None, path, _kind(modules[path]), d_in, d_out, biased=_biased(modules[path]))


def _grid(model: nn.Module, modules: dict[str, nn.Module], tokens: int) -> tuple[int, int] | None:
    """Rows and columns of the patches that follow the prefix tokens: as the patch embedding says, else a square."""
    patches = tokens - int(getattr(model, "num_prefix_tokens", 0))
    said = getattr(modules.get("patch_embed"), "grid_size", None)
    if said is not None and math.prod(said) == patches:
        return int(said[0]), int(said[1])
    side = math.isqrt(max(0, patches))
    return (side, side) if side and side * side == patches else None


def _biased(module: nn.Module) -> bool:
    """Whether it ends by adding a bias: a Linear, a norm, or a patch embedding whose projection does."""
    own = module if hasattr(module, "bias") else getattr(module, "proj", None)
    return getattr(own, "bias", None) is not None


def _patch_values(modules: dict[str, nn.Module]) -> int:
    """3·P² of a patch embedding by convolution or Linear, 0 without one."""
    weight = getattr(modules.get("patch_embed.proj"), "weight", None)
    return weight[0].numel() if isinstance(weight, Tensor) else 0


def _kind(module: nn.Module) -> str:
    return f"{type(module).__module__}.{type(module).__qualname__}"


def _shapes(shapes: set[tuple[int, ...]]) -> str:
    """`(100, 64), (25, 128)`: without the batch axis."""
    return ", ".join(str(shape[1:]) for shape in sorted(shapes))
