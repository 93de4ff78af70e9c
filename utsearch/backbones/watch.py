"""One hooked forward: which modules ran, in which order, on which tensors, and where those have their channels."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from utsearch.backbones.operation import BackboneError, Layout


@dataclass
class Calls:
    """What hooks saw of one module; keeping the tensors keeps their identities unique."""

    order: int
    inputs: list[Tensor] = field(default_factory=list)
    outputs: list[Tensor] = field(default_factory=list)
    n: int = 0


class Watch:
    """Everything that one forward in eval mode and without gradients showed of a network.

    Attributes:
        modules: by path, `""` the network itself.
        calls: by path, of those that ran.
    """

    def __init__(self, model: nn.Module, img_size: int) -> None:
        self.modules = dict(model.named_modules())
        self.calls: dict[str, Calls] = {}
        self._run(model, img_size)
        self._evidence: dict[int, set[Layout]] = defaultdict(set)
        self._views: dict[int, list[tuple[Tensor, Layout]]] = defaultdict(list)
        self._collect()

    def once(self, path: str) -> tuple[Tensor, Tensor] | None:
        """Input and output of a module that was called exactly once, with a tensor, and gave one."""
        seen = self.calls.get(path)
        if seen is None or seen.n != 1 or not seen.inputs:
            return None
        return seen.inputs[0], seen.outputs[0]

    def layout(self, x: Tensor) -> Layout | None:
        """Where a tensor has its channels; None if no module that reads or wrote it tells.

        Sizes would not do: 8 channels on an 8×8 map look the same either way.
        """
        if x.ndim != 4:
            return Layout.NLC
        told = self._evidence.get(id(x), set()) or self._of_views(x)
        return next(iter(told)) if len(told) == 1 else None

    def _of_views(self, x: Tensor) -> set[Layout]:
        """What is known of tensors in the same memory, as the map that a patch embedding permutes: strides tell."""
        found = set()
        for other, layout in self._views.get(_memory(x), []):
            at = 1 if layout is Layout.NCHW else 3
            channels = (other.shape[at], other.stride(at))
            same = [axis for axis in (1, 3) if (x.shape[axis], x.stride(axis)) == channels]
            if len(same) == 1:
                found.add(Layout.NCHW if same == [1] else Layout.NHWC)
        return found

    def inside(self, path: str) -> Iterator[tuple[str, nn.Module]]:
        """Modules below one, those that ran, in call order, with their paths."""
        below = [p for p in self.calls if p.startswith(f"{path}.")]
        return ((p, self.modules[p]) for p in sorted(below, key=lambda p: self.calls[p].order))

    def _run(self, model: nn.Module, img_size: int) -> None:
        modes = {path: module.training for path, module in self.modules.items()}
        hooks = [m.register_forward_pre_hook(partial(self._enter, path)) for path, m in self.modules.items()]
        hooks += [m.register_forward_hook(partial(self._leave, path)) for path, m in self.modules.items()]
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
            for path, module in self.modules.items():
                module.training = modes[path]

    def _enter(self, path: str, module: nn.Module, args: tuple[Any, ...]) -> None:
        self.calls.setdefault(path, Calls(len(self.calls))).n += 1

    def _leave(self, path: str, module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        if args and isinstance(args[0], Tensor) and isinstance(output, Tensor):
            self.calls[path].inputs.append(args[0])
            self.calls[path].outputs.append(output)

    def _collect(self) -> None:
        for path, seen in self.calls.items():
            layout = layout_of(self.modules[path])
            if layout is None:
                continue
            for x in (*seen.inputs, *seen.outputs):
                if x.ndim == 4:
                    self._evidence[id(x)].add(layout)
                    self._views[_memory(x)].append((x, layout))


def _memory(x: Tensor) -> int:
    return x.untyped_storage()._cdata


def layout_of(module: nn.Module) -> Layout | None:
    """In which layout a module takes a map, if its type says so; `2d` in a timm norm's or pooling's name does."""
    if isinstance(module, nn.Conv2d | nn.BatchNorm2d | nn.GroupNorm):
        return Layout.NCHW
    norm = isinstance(module, nn.LayerNorm)
    if "2d" in type(module).__name__ and (norm or not any(module.children())):
        return Layout.NCHW
    return Layout.NHWC if norm or isinstance(module, nn.Linear) else None
