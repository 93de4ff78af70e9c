"""The prefix cache: what comes before the first tuned block is computed once per view and shared by all trials.

Nothing before the first tuned block ever changes. Blocks before a cut become skips, the last of them replays the stored
activations, and the stem runs on an empty image; no code knows any family of networks.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from utsearch.backbones import Backbone
from utsearch.data import normalise
from utsearch.errors import UserError
from utsearch.training.stepper import autocast
from utsearch.tuning import Resolved

FILL_BATCH = 256


@dataclass(frozen=True)
class Prefix:
    """Activations at one cut: the outputs of the last block before it.

    Attributes:
        cut: number of the first block that is still computed; the depth where only the tail is.
        bank: (views, images, …).
        val: (images, …).
        dtype: in which the network computed them.
        strides: how it laid them out in memory, so that what follows computes the same bits.
    """

    cut: int
    bank: Tensor
    val: Tensor
    dtype: torch.dtype
    strides: torch.memory_format = torch.contiguous_format

    def restore(self, stored: Tensor) -> Tensor:
        """Some of them as the network gave them."""
        return stored.to(self.dtype).contiguous(memory_format=self.strides)


def first_tuned(resolved: Resolved, backbone: Backbone) -> int:
    """The first block that a design changes: 0 with a tuned stem, the depth where nothing but the tail is tuned."""
    outside = {"tail": backbone.depth}
    return min((outside.get(c.site, 0) if c.block is None else c.block for c in resolved.cells), default=backbone.depth)


class Replay:
    """Stands for the blocks before a cut while `replaying`: the model then takes stored activations."""

    def __init__(self, backbone: Backbone, cut: int) -> None:
        self._backbone, self._cut = backbone, cut
        self._value: Tensor | None = None

    def feed(self, activations: Tensor) -> Tensor:
        """Make these the output of the last skipped block; returns the empty images to call the model with."""
        self._value = activations
        side, weight = self._backbone.img_size, next(self._backbone.model.parameters())
        return weight.new_zeros(1, 1, 1, 1).expand(len(activations), 3, side, side)

    @contextmanager
    def installed(self) -> Iterator["Replay"]:
        """Skip the blocks for the length of a with block; they come back as they were."""
        with ExitStack() as stack:
            for index in range(self._cut):
                block = self._backbone.model.get_submodule(self._backbone.operations["block", index].path)
                stack.enter_context(_forward(block, self._replay if index == self._cut - 1 else _skip))
            yield self

    def _replay(self, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        assert self._value is not None, "feed activations before the model is called"
        return self._value


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


class PrefixCache:
    """Activations at a few cuts, within a budget of bytes.

    Args:
        backbone: frozen, without tuners while the cache is filled.
        bank: uint8 views (views, images, 3, crop, crop).
        val: uint8 validation images (images, 3, crop, crop).
        cuts: where it is worth to cut, the most useful first; as many are kept as the budget allows.
        budget: bytes of all activations.
        precision: in which the network computes, as in the trials.
        dtype: of storage; None keeps what the network computes, and so the bits of a trial without a cache.
        on_fill: is told the share of the filling that is done, 0…1.
    """

    def __init__(
        self,
        backbone: Backbone,
        bank: Tensor,
        val: Tensor,
        cuts: Sequence[int],
        *,
        budget: int,
        precision: torch.dtype = torch.float32,
        dtype: torch.dtype | None = None,
        on_fill: Callable[[float], None] = lambda share: None,
    ) -> None:
        self._backbone, self._bank, self._val = backbone, bank, val
        self._precision, self._dtype, self._on_fill = precision, dtype, on_fill
        self.cuts, self.notice = self._affordable(cuts, budget)
        self._prefixes: dict[int, Prefix] = {}

    def at(self, first: int) -> Prefix | None:
        """The prefix of a design whose first tuned block is `first`: the largest kept cut at or before it."""
        cut = max((cut for cut in self.cuts if cut <= first), default=0)
        if not cut:
            return None
        if not self._prefixes:
            self._fill()
        return self._prefixes[cut]

    @property
    def nbytes(self) -> int:
        """Bytes held now."""
        kept = [tensor for prefix in self._prefixes.values() for tensor in (prefix.bank, prefix.val)]
        return sum(tensor.nbytes for tensor in kept)

    def _affordable(self, cuts: Sequence[int], budget: int) -> tuple[tuple[int, ...], str]:
        """The first cuts that fit into the budget and replay exactly, and what is to be said of it."""
        images = self._bank.shape[0] * self._bank.shape[1] + len(self._val)
        wanted = [cut for cut in cuts if 0 < cut <= self._backbone.depth]
        probe = self._activations(self._bank[0, :2], wanted) if wanted else {}
        if not self._exact(probe):
            return (), f"{self._backbone.name} does not give the same when blocks are replayed: no prefix cache"
        kept, total = [], 0
        for cut in wanted:
            size = images * probe[cut][0].nbytes
            if total + size <= budget:
                kept.append(cut)
                total += size
        left_out = f", {len(wanted) - len(kept)} more did not fit" if len(kept) < len(wanted) else ""
        where = f"before block {', '.join(map(str, sorted(kept)))}" if kept else "nowhere"
        return tuple(sorted(kept)), f"prefix cache {where}: {total / 1e6:.0f} MB{left_out}"

    @torch.no_grad()
    def _exact(self, probe: dict[int, Tensor]) -> bool:
        """Whether the network gives the same bits from stored activations."""
        model = self._backbone.model
        with autocast(self._bank.device, self._precision):
            expected = model(self._images(self._bank[0, :2]))
            for cut, activations in probe.items():
                with Replay(self._backbone, cut).installed() as replay:
                    if not torch.equal(model(replay.feed(activations)), expected):
                        return False
        return True

    def _fill(self) -> None:
        flat = [*self._bank, self._val]
        batches = [pixels for part in flat for pixels in part.split(FILL_BATCH)]
        like = self._activations(batches[0][:1], self.cuts)
        views, images = self._bank.shape[:2]
        room = {cut: self._empty(views * images + len(self._val), self._stored(value)) for cut, value in like.items()}
        start = 0
        for number, pixels in enumerate(batches):
            for cut, value in self._activations(pixels, self.cuts).items():
                room[cut][start : start + len(pixels)] = self._stored(value)
            start += len(pixels)
            self._on_fill((number + 1) / len(batches))
        self._prefixes = {
            cut: Prefix(
                cut,
                full[: views * images].unflatten(0, (views, images)),
                full[views * images :],
                like[cut].dtype,
                _strides(like[cut]),
            )
            for cut, full in room.items()
        }

    def _stored(self, activations: Tensor) -> Tensor:
        return activations if self._dtype is None else activations.to(self._dtype)

    def _empty(self, n: int, like: Tensor) -> Tensor:
        try:
            shape = (n, *like.shape[1:])
            return torch.empty(shape, dtype=like.dtype, device=like.device, memory_format=_strides(like))
        except (RuntimeError, MemoryError) as error:
            raise UserError(
                f"no memory for the prefix cache ({error}); give a smaller --cache, or --no-cache"
            ) from error

    @torch.no_grad()
    def _activations(self, pixels: Tensor, cuts: Sequence[int]) -> dict[int, Tensor]:
        """Outputs of the last block before each cut, (images, …)."""
        found: dict[int, Tensor] = {}

        def keep(cut: int, module: nn.Module, args: tuple[Any, ...], output: Tensor) -> None:
            found[cut] = output.detach()

        model, hooks = self._backbone.model, []
        for cut in cuts:
            block = model.get_submodule(self._backbone.operations["block", cut - 1].path)
            hooks.append(block.register_forward_hook(partial(keep, cut)))
        try:
            with autocast(pixels.device, self._precision):
                model(self._images(pixels))
        finally:
            for hook in hooks:
                hook.remove()
        return found

    def _images(self, pixels: Tensor) -> Tensor:
        return normalise(pixels, self._backbone.mean, self._backbone.std)


def _strides(activations: Tensor) -> torch.memory_format:
    """The memory format of one image's activations (1, …)."""
    maps = activations.ndim == 4 and not activations.is_contiguous()
    last = maps and activations.is_contiguous(memory_format=torch.channels_last)
    return torch.channels_last if last else torch.contiguous_format
