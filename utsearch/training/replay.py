"""Stored activations in place of the blocks that gave them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from utsearch.backbones import TRUNK, Backbone
from utsearch.training.moving import rows

# A place of the trunk: 0 is what its first block reads, p > 0 what block p - 1 gives.
Place = int


@dataclass(frozen=True)
class Outputs:
    """What one place of the trunk gave for every image.

    Attributes:
        bank: (views, images, …), as laid out in memory: maps with their channels last where the network has them so.
        val: (images, …), the same.
        dtype: in which the network computed them.
        strides: how it laid them out in memory, so that what follows computes the same bits.
        device: where they are needed; stored on the host they are moved batch by batch, through pinned memory.
    """

    bank: Tensor
    val: Tensor
    dtype: torch.dtype
    strides: torch.memory_format
    device: torch.device

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        return self.bank.nbytes + self.val.nbytes

    def batch(self, view: int, chosen: Tensor) -> Tensor:
        """Of some training images, as the network gave them."""
        return self._restore(rows(self.bank[view], chosen, self.device))

    def validation(self, chosen: Tensor) -> Tensor:
        """Of some validation images."""
        return self._restore(rows(self.val, chosen, self.device))

    def _restore(self, stored: Tensor) -> Tensor:
        given = stored.to(self.dtype)
        return given.permute(0, 3, 1, 2) if self.strides is torch.channels_last else given


@dataclass(frozen=True)
class Prefix:
    """Activations at a cut, or at every place for a network beside the trunk, which reads them all.

    Attributes:
        at: by place; the last one is the cut, the number of the first block that is still computed.
        empties: images that run through the stem for nothing: 1, or 0 for as many as there are activations.
    """

    at: Mapping[Place, Outputs]
    empties: int = 1

    @property
    def cut(self) -> int:
        """Number of the first block that is still computed; the depth where only the tail is."""
        return max(self.at)

    @property
    def n_val(self) -> int:
        """Validation images."""
        return len(self.at[self.cut].val)

    def batch(self, epoch: int, chosen: Tensor) -> dict[Place, Tensor]:
        """Of some training images in the view of an epoch."""
        return {place: kept.batch(epoch % len(kept.bank), chosen) for place, kept in self.at.items()}

    def validation(self, chosen: Tensor) -> dict[Place, Tensor]:
        """Of some validation images."""
        return {place: kept.validation(chosen) for place, kept in self.at.items()}


class _Slot:
    """What one place gives; a bound method and one tensor, which torch.compile can follow."""

    def __init__(self) -> None:
        self.value: Tensor | None = None

    def give(self, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """In place of a block's forward."""
        assert self.value is not None, "feed activations before the model is called"
        return self.value

    def enter(self, trunk: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
        """Before the trunk's forward."""
        return (self.value, *args[1:])


class Replay:
    """Stands for blocks while `installed`: the model then takes stored activations at some places of its trunk."""

    def __init__(self, backbone: Backbone, places: Sequence[Place], empties: int = 1) -> None:
        self._backbone, self._n = backbone, empties
        self._slots = {place: _Slot() for place in places}

    def feed(self, values: Mapping[Place, Tensor]) -> Tensor:
        """Make these what the places give; returns the empty images to call the model with."""
        for place, value in values.items():
            self._slots[place].value = value
        side, weight = self._backbone.img_size, next(self._backbone.model.parameters())
        n = self._n or len(next(iter(values.values())))
        return weight.new_zeros(1, 1, 1, 1).expand(n, 3, side, side)

    @contextmanager
    def installed(self) -> Iterator["Replay"]:
        """Skip the blocks for the length of a with block; they come back as they were."""
        operations, model = self._backbone.operations, self._backbone.model
        with ExitStack() as stack:
            for place in range(1, max(self._slots, default=0) + 1):
                block = model.get_submodule(operations["block", place - 1].path)
                slot = self._slots.get(place)
                stack.enter_context(_forward(block, _skip if slot is None else slot.give))
            if 0 in self._slots:
                trunk = model.get_submodule(operations[TRUNK, None].path)
                stack.callback(trunk.register_forward_pre_hook(self._slots[0].enter).remove)
            yield self


def _skip(x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    return x


@contextmanager
def _forward(module: nn.Module, function: Callable[..., Tensor]) -> Iterator[None]:
    """Another forward on one module, by its own attribute, which is gone afterwards."""
    module.forward = function
    try:
        yield
    finally:
        del module.forward
