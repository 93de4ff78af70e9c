"""Find the operations of a network: names propose, one hooked forward disposes.

A module counts as an operation only if it was called exactly once, with a tensor, and gave one of the same rank. So a
Linear whose weight is read without calling it (BEiT's qkv) is no site, and nobody tunes what never runs.
"""

import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import replace

from torch import Tensor, nn

from utsearch.backbones.operation import BackboneError, Layout, Operation
from utsearch.backbones.sites import AROUND, FUSED, IN_BLOCK, LINEAR_SITES, QKV, SIDEWAYS, SITES, TRUNK
from utsearch.backbones.watch import Watch, layout_of
from utsearch.design import OUTSIDE

_BLOCK_NAME = re.compile(
    r"Block|Bottle|Residual$|ConvResidual|MBConv|SeparableConv$|EdgeResidual|Xception(Module|)$|Layer[12]d$|DlaBasic|"
    r"Basic$|^Outlooker$|^ConvEncoder$|^Inception[A-E]$|^HighPerfGpuBlock$|^FFN$"
)
_NO_BLOCK = re.compile(
    r"ParallelMaxxVitBlock|^(DenseBlock|StageBlock|AttentionBlock|LearnableAffineBlock|MobileOneBlock)$"
)


def describe(model: nn.Module, img_size: int) -> dict[tuple[str, int | None], Operation]:
    """The operations of a network by (site, block), from one forward of an empty image.

    Raises:
        BackboneError: the forward fails, or no blocks are found.
    """
    return probe(model, img_size)[0]


def probe(model: nn.Module, img_size: int) -> tuple[dict[tuple[str, int | None], Operation], int]:
    """As `describe`, and the number of features that the network gives for an image.

    Raises:
        BackboneError: also where the network gives no pooled features (batch, width).
    """
    watch = Watch(model, img_size)
    blocks = sorted(_blocks(watch), key=lambda path: watch.calls[path].order)
    if not blocks:
        raise BackboneError(
            f"{type(model).__name__} has no blocks that utsearch can tune: a block is called once, takes one tensor of "
            "tokens or a map, and gives one; load another network"
        )
    whole = watch.once("")
    if whole is None or whole[1].ndim != 2:
        gives = "no tensor" if whole is None else f"{tuple(whole[1].shape)}"
        raise BackboneError(f"{type(model).__name__} gives {gives} for one image, not pooled features (1, width)")
    found = [_around(site, names, watch) for site, names in AROUND.items()]
    for index, block in enumerate(blocks):
        places = _places(watch, block)
        found += [_operation(watch, site, index, places[site], block) for site in SITES if site in places]
    there = [op for op in found if op is not None]
    there += _trunk(there, watch, blocks)
    there += [part for op in there for part in _thirds(op, there)]
    order = {site: at for at, site in enumerate((*OUTSIDE, *IN_BLOCK))}
    there.sort(key=lambda op: (-1 if op.block is None else op.block, order[op.site]))
    return {(op.site, op.block): op for op in there}, whole[1].shape[1]


def _thirds(qkv: Operation, there: Iterable[Operation]) -> Iterator[Operation]:
    """The q, k and v of a fused projection, as thirds of its columns."""
    attention = {op.kind for op in there if (op.site, op.block) == ("mha", qkv.block)}
    if qkv.site == "qkv" and attention & set(FUSED) and qkv.d_out % 3 == 0:
        third = qkv.d_out // 3
        for at, part in enumerate(QKV):
            yield replace(qkv, site=part, d_out=third, span=(at * third, (at + 1) * third))


def _trunk(there: Iterable[Operation], watch: Watch, blocks: list[str]) -> Iterator[Operation]:
    """All blocks as one operation, where the network calls them by an nn.Sequential of nothing else, over tokens."""
    path = blocks[0].rpartition(".")[0]
    children = [f"{path}.{name}" for name, _ in watch.modules[path].named_children()]
    seen = watch.once(path)
    if children != blocks or not isinstance(watch.modules[path], nn.Sequential) or seen is None:
        return
    if seen[0].ndim != 3 or seen[0].shape != seen[1].shape:
        return
    mixers = {op.kind for op in there if op.site == "mha"}
    first = next(op for op in there if op.site == "block")
    yield replace(
        first,
        site=TRUNK,
        block=None,
        path=path,
        kind=_kind(watch.modules[path]),
        norm=None,
        biased=False,
        depth=len(blocks),
        mixer=mixers.pop() if len(mixers) == 1 else "",
    )


def _blocks(watch: Watch) -> list[str]:
    """Innermost modules with attention or another mixer and an MLP; apart from these, those whose class says block."""
    strong = _innermost(path for path in watch.modules if _is_transformer_block(watch, path))
    named = [p for p, m in watch.modules.items() if _says_block(m) and _fits(watch, p) and next(m.children(), None)]
    weak = [p for p in named if not any(_within(p, s) or _within(s, p) for s in strong)]
    found = strong + _innermost(weak)
    return [path for path in found if _operation(watch, "block", 0, path, path) is not None]


def _is_transformer_block(watch: Watch, path: str) -> bool:
    children = dict(watch.modules[path].named_children())
    mixes = any(name in children for name in (*IN_BLOCK["mha"], *IN_BLOCK["mixer"]))
    return bool(path) and mixes and any(name in children for name in IN_BLOCK["ffn"]) and _fits(watch, path)


def _says_block(module: nn.Module) -> bool:
    name = type(module).__name__
    return bool(_BLOCK_NAME.search(name)) and not _NO_BLOCK.search(name)


def _innermost(paths: Iterable[str]) -> list[str]:
    paths = list(paths)
    return [path for path in paths if not any(other != path and _within(other, path) for other in paths)]


def _within(inner: str, outer: str) -> bool:
    return inner == outer or inner.startswith(f"{outer}.")


def _fits(watch: Watch, path: str) -> bool:
    """Called once on tokens or a map, and gave as many of them, or others in as many dimensions."""
    seen = watch.once(path)
    # a container would call its tuners as one more layer
    if seen is None or isinstance(watch.modules[path], nn.Identity | nn.Sequential | nn.ModuleList | nn.ModuleDict):
        return False
    return seen[0].ndim in (3, 4) and seen[0].ndim == seen[1].ndim and len(seen[0]) == len(seen[1])


def _places(watch: Watch, block: str) -> dict[str, str]:
    """Paths of a block's sites; a module has one site only."""
    places: dict[str, str] = {}
    for site, names in IN_BLOCK.items():
        for name in names:
            path = f"{block}.{name}".rstrip(".")
            if path not in places.values() and path in watch.modules and _suits(watch, site, path):
                places.setdefault(site, path)
    for site, path in _convolutions(watch, block, places):
        if path not in places.values():
            places.setdefault(site, path)
    return places


def _suits(watch: Watch, site: str, path: str) -> bool:
    module = watch.modules[path]
    if not _fits(watch, path):
        return False
    if site == "mha":
        return _heads(module) is not None
    return site not in LINEAR_SITES or isinstance(module, nn.Linear) or _is_pointwise(module)


def _convolutions(watch: Watch, block: str, places: dict[str, str]) -> Iterator[tuple[str, str]]:
    """Sites by the order of a block's own convolutions, outside its attention, MLP and mixer."""
    parts = [places[site] for site in ("mha", "mixer", "ffn") if site in places]
    found = [
        path
        for path, module in watch.inside(block)
        if isinstance(module, nn.Conv2d)
        and _fits(watch, path)
        and not any(_within(path, part) for part in parts)
        and not path.removeprefix(f"{block}.").startswith(SIDEWAYS)
        and _is_map(watch, path)
    ]
    wide = [path for path in found if not _is_pointwise(watch.modules[path])]
    if len(wide) > 1:
        yield "conv", wide[0]
    if wide and "mha" not in places:
        yield "mixer", wide[-1]
    middle = places.get("mixer", wide[-1] if wide else None)
    if middle is None or "ffn" in places:
        return
    at = watch.calls[middle].order
    before = [p for p in found if _is_pointwise(watch.modules[p]) and watch.calls[p].order < at]
    after = [p for p in found if _is_pointwise(watch.modules[p]) and watch.calls[p].order > at]
    yield from (("fc1", path) for path in before[:1])
    yield from (("fc2", path) for path in after[-1:])


def _is_map(watch: Watch, path: str) -> bool:
    """Whether it reads a map and not one pooled position, as a squeeze-and-excitation does."""
    seen = watch.once(path)
    return seen is not None and max(seen[0].shape[2:]) > 1


def _is_pointwise(module: nn.Module) -> bool:
    return isinstance(module, nn.Conv2d) and set(module.kernel_size) == {1} and module.groups == 1


def _operation(watch: Watch, site: str, index: int, path: str, block: str) -> Operation | None:
    """The operation of a site in a block, if it keeps its layout."""
    seen, module = watch.once(path), watch.modules[path]
    if seen is None:
        return None
    x, y = seen
    layout = watch.layout(y) or watch.layout(x) or _nearest(watch, path)
    if (watch.layout(x) or layout) is not layout:
        return None
    axis = _axis(layout)
    heads = _heads(module) if site == "mha" else None
    grid = _grid(watch, layout.channels_last(x))
    return Operation(
        site=site,
        block=index,
        path=path,
        kind=_kind(module),
        d_in=x.shape[axis],
        d_out=y.shape[axis],
        tokens=math.prod(x.shape[1:]) // x.shape[axis],
        layout=layout,
        stride=_stride(layout.channels_last(x), layout.channels_last(y)),
        groups=module.groups if isinstance(module, nn.Conv2d) else 1,
        norm=_feeding(watch, path, block, x),
        heads=heads,
        head_dim=getattr(module, "head_dim", None) if site == "mha" else None,
        patch_values=_patch_values(watch.modules),
        grid=grid,
        prefix_tokens=x.shape[1] - math.prod(grid) if grid and x.ndim == 3 else 0,
        biased=_biased(module),
    )


def _grid(watch: Watch, x: Tensor) -> tuple[int, int] | None:
    """Rows and columns of a map, or of the patches after the prefix tokens: as the stem says, else a square."""
    if x.ndim == 4:
        return x.shape[1], x.shape[2]
    patches = x.shape[1] - int(getattr(watch.modules[""], "num_prefix_tokens", 0))
    said = getattr(watch.modules.get("patch_embed"), "grid_size", None)
    if said is not None and math.prod(said) == patches:
        return int(said[0]), int(said[1])
    side = math.isqrt(max(0, patches))
    return (side, side) if side and side * side == patches else None


def _biased(module: nn.Module) -> bool:
    """Whether it ends by adding a bias: a Linear, convolution or norm, or a patch embedding whose projection does."""
    own = module if hasattr(module, "bias") else getattr(module, "proj", None)
    ends = isinstance(getattr(own, "act", nn.Identity()), nn.Identity)  # some norms apply an activation as well
    return ends and isinstance(getattr(own, "bias", None), Tensor)


def _feeding(watch: Watch, path: str, block: str, x: Tensor) -> str | None:
    """The norm of the block whose output is x."""
    for name, module in watch.modules[block].named_children():
        seen = watch.once(child := f"{block}.{name}")
        if child != path and seen is not None and seen[1] is x and _is_norm(module):
            return child
    return None


def _is_norm(module: nn.Module) -> bool:
    return isinstance(module, nn.LayerNorm | nn.BatchNorm2d | nn.GroupNorm) or "Norm" in type(module).__name__


def _nearest(watch: Watch, path: str) -> Layout:
    """What the last module inside that tells by its type says: windows (SAM) meet no Linear before they are tokens."""
    told = [layout for _, module in watch.inside(path) if (layout := layout_of(module)) is not None]
    return told[-1] if told else Layout.NCHW


def _stride(x: Tensor, y: Tensor) -> int:
    """The s for which y, (batch, …, channels), stands at every s-th position of x, or 0."""
    before, after = x.shape[1:-1], y.shape[1:-1]
    if before == after:
        return 1
    s = round(before[0] / after[0])
    return s if len(before) == 2 and s > 1 and all(-(-b // s) == a for b, a in zip(before, after, strict=True)) else 0


def _around(site: str, names: tuple[str, ...], watch: Watch) -> Operation | None:
    """Stem and tail: the patch embedding or first convolution, and the last norm that ran."""
    ran = [path for name in names if (path := _last_of(watch, name)) is not None]
    if not ran:
        return None
    path = ran[0] if site == "stem" else max(ran, key=lambda path: watch.calls[path].order)
    seen = watch.once(path)
    if seen is None:
        return None
    x, y = seen
    layout = watch.layout(y) or _nearest(watch, path)
    d_in = x.shape[_axis(watch.layout(x) or Layout.NCHW)]
    module = watch.modules[path]
    d_out = y.shape[_axis(layout)]
    return Operation(site, None, path, _kind(module), d_in, d_out, layout=layout, biased=_biased(module))


def _last_of(watch: Watch, path: str) -> str | None:
    """The module itself, or what ran last inside a Sequential, if it gave tensors."""
    while isinstance(watch.modules.get(path), nn.Sequential):
        inside = [p for p, _ in watch.inside(path) if p.count(".") == path.count(".") + 1]
        inside = [p for p in inside if any(True for _ in watch.modules[p].parameters())]
        if not inside:
            return None
        path = inside[-1]
    if path not in watch.modules or isinstance(watch.modules[path], nn.Identity) or watch.once(path) is None:
        return None
    return path


def _axis(layout: Layout) -> int:
    return 1 if layout is Layout.NCHW else -1


def _heads(module: nn.Module) -> int | None:
    heads = getattr(module, "num_heads", getattr(module, "heads", None))
    return heads if isinstance(heads, int) else None


def _patch_values(modules: dict[str, nn.Module]) -> int:
    """3·P² of a patch embedding by convolution or Linear, 0 without one."""
    weight = getattr(modules.get("patch_embed.proj"), "weight", None)
    return weight[0].numel() if isinstance(weight, Tensor) else 0


def _kind(module: nn.Module) -> str:
    return f"{type(module).__module__}.{type(module).__qualname__}"
