"""The prefix cache: what comes before the first tuned block is computed once per view and shared by all trials.

Nothing before the first tuned block ever changes. Blocks before a cut become skips, the last of them replays the stored
activations, and the stem runs on an empty image; no code knows any family of networks. A network beside the trunk
(bypass, ladder) reads what every block gives, so for it every block replays.
"""

import hashlib
import platform
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from importlib.metadata import version
from typing import Any

import torch
from torch import Tensor, nn

from utsearch.backbones import TRUNK, Backbone
from utsearch.data import normalise
from utsearch.data.cache import Cache, Entry, in_memory
from utsearch.errors import UserError
from utsearch.forms import catalogue
from utsearch.training.moving import home
from utsearch.training.replay import Outputs, Place, Prefix, Replay
from utsearch.training.stepper import autocast
from utsearch.tuning import Resolved

FILL_BATCH = 256
EXACT, HALF = "exact", "bfloat16"
VERSION = 1  # of what a key on disk stands for
GIGABYTES = 20.0  # on disk


def first_tuned(resolved: Resolved, backbone: Backbone) -> int:
    """The first block that a design changes: 0 with a tuned stem, the depth where nothing but the tail is tuned."""
    outside = {"tail": backbone.depth}
    return min((outside.get(c.site, 0) if c.block is None else c.block for c in resolved.cells), default=backbone.depth)


def beside_trunk(resolved: Resolved) -> bool:
    """Whether a design does nothing but read what the frozen blocks give."""
    return bool(resolved.cells) and all(c.site == TRUNK and catalogue()[c.form].bypass for c in resolved.cells)


def disk_cache(on_failure: Callable[[str], None] = lambda reason: None) -> Cache:
    """Where the processes of a machine share activations; $UTSEARCH_PREFIX_GB is its budget, 20 GB without it.

    Raises:
        DataError: the variable is no number.
    """
    found = Cache.named("prefix", "UTSEARCH_PREFIX_GB", GIGABYTES)
    return Cache(found.folder, found.budget, on_failure)


def check_type(name: str) -> None:
    """Raise UserError unless activations can be stored so."""
    if name not in (EXACT, HALF):
        raise UserError(f"no cache type {name!r}; there are {EXACT} and {HALF}")


@dataclass(frozen=True)
class Storing:
    """How activations are kept.

    Attributes:
        dtype: `exact` keeps what the network computes, and so the bits of a trial without a cache; or `bfloat16`.
        disk: shared by processes; None for the memory of this one.
        on_fill: is told the share of the filling that is done, 0…1.
    """

    dtype: str = EXACT
    disk: Cache | None = None
    on_fill: Callable[[float], None] = field(default=lambda share: None, compare=False)

    def type_of(self, activations: Tensor) -> torch.dtype:
        """In which some activations are kept."""
        return activations.dtype if self.dtype == EXACT else torch.bfloat16


class PrefixCache:
    """Activations at a few cuts, within a budget of bytes.

    Args:
        backbone: frozen, without tuners while the cache is filled.
        bank: uint8 views (views, images, 3, crop, crop).
        val: uint8 validation images (images, 3, crop, crop).
        cuts: where it is worth to cut, the most useful first; as many are kept as the budget allows.
        budget: bytes of all activations.
        precision: in which the network computes, as in the trials.
        storing: in which type and where.
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
        storing: Storing | None = None,
    ) -> None:
        self._backbone, self._bank, self._val, self._budget = backbone, bank, val, budget
        self._device = next(backbone.model.parameters()).device
        self._precision, self._storing = precision, storing or Storing()
        self._kept: dict[Place, Outputs] = {}
        self._empties = 1
        self.cuts, self.notice = self._affordable(cuts)

    def of(self, resolved: Resolved) -> Prefix | None:
        """What a design may start from."""
        return self.beside() if beside_trunk(resolved) else self.at(first_tuned(resolved, self._backbone))

    def at(self, first: int) -> Prefix | None:
        """The prefix of a design whose first tuned block is `first`: the largest kept cut at or before it."""
        cut = max((cut for cut in self.cuts if cut <= first), default=0)
        if not cut:
            return None
        self._fill(self.cuts)
        return Prefix({cut: self._kept[cut]}, self._empties)

    def beside(self) -> Prefix | None:
        """Every place, for designs beside the trunk; None where the trunk is no module or the budget too small."""
        return self._beside

    @property
    def nbytes(self) -> int:
        """Bytes held now."""
        return sum(kept.nbytes for kept in self._kept.values())

    @cached_property
    def _beside(self) -> Prefix | None:
        places = range(self._backbone.depth + 1)
        if not self.cuts or (TRUNK, None) not in self._backbone.operations:
            return None
        probe = self._activations(self._bank[0, :2], places)
        missing = [place for place in places if place not in self._kept and place not in self.cuts]
        reserved = sum(map(self._size, (probe[place] for place in places)))
        if reserved > self._budget or not self._exact([places], probe, self._empties):
            return None
        self._fill([*self.cuts, *missing])
        return Prefix({place: self._kept[place] for place in places}, self._empties)

    def _size(self, two: Tensor) -> int:
        """Bytes of one place for all images, from its activations of two."""
        images = self._bank.shape[0] * self._bank.shape[1] + len(self._val)
        return images * two[0].numel() * self._storing.type_of(two).itemsize

    def _affordable(self, cuts: Sequence[int]) -> tuple[tuple[int, ...], str]:
        """The first cuts that fit into the budget and replay exactly, and what is to be said of it."""
        wanted = [cut for cut in cuts if 0 < cut <= self._backbone.depth]
        probe = self._activations(self._bank[0, :2], wanted) if wanted else {}
        exact = [n for n in (1, 0) if self._exact([(cut,) for cut in wanted], probe, n)]
        if not exact:
            return (), f"{self._backbone.name} does not give the same when blocks are replayed: no prefix cache"
        self._empties = exact[0]
        kept, total = [], 0
        for cut in wanted:
            if total + self._size(probe[cut]) <= self._budget:
                kept.append(cut)
                total += self._size(probe[cut])
        left_out = f", {len(wanted) - len(kept)} more did not fit" if len(kept) < len(wanted) else ""
        where = f"before block {', '.join(map(str, sorted(kept)))}" if kept else "nowhere"
        return tuple(sorted(kept)), f"prefix cache {where}: {total / 1e6:.0f} MB{left_out}"

    @torch.no_grad()
    def _exact(self, choices: Iterable[Sequence[Place]], probe: Mapping[Place, Tensor], empties: int) -> bool:
        """Whether the network gives the same bits from stored activations at each choice of places."""
        model = self._backbone.model
        with autocast(self._device, self._precision):
            expected = model(self._images(self._bank[0, :2]))
            for places in choices:
                with Replay(self._backbone, places, empties).installed() as replay:
                    try:
                        found = model(replay.feed({place: probe[place] for place in places}))
                    except RuntimeError:  # a network that counts its images at its input
                        return False
                    if not torch.equal(found, expected):
                        return False
        return True

    def _fill(self, places: Sequence[Place]) -> None:
        """Read or compute those that are not there yet."""
        missing = [place for place in places if place not in self._kept]
        if not missing:
            return
        like = self._activations(self._bank[0, :1], missing)
        views, images = self._bank.shape[:2]
        n = views * images + len(self._val)
        entries = {
            self._key(place): Entry((n, *_in_memory_order(value).shape[1:]), self._storing.type_of(value))
            for place, value in like.items()
        }
        full = self._read(entries, {self._key(place): place for place in missing})
        for place, value in like.items():
            stored = self._placed(full[self._key(place)])
            bank = stored[: views * images].unflatten(0, (views, images))
            self._kept[place] = Outputs(bank, stored[views * images :], value.dtype, _strides(value), self._device)

    def _read(self, entries: Mapping[str, Entry], places: Mapping[str, Place]) -> dict[str, Tensor]:
        def compute(room: dict[str, Tensor]) -> None:
            batches = [pixels for part in (*self._bank, self._val) for pixels in part.split(FILL_BATCH)]
            start = 0
            for number, pixels in enumerate(batches):
                found = self._activations(pixels, [places[key] for key in room])
                for key, out in room.items():
                    out[start : start + len(pixels)] = _in_memory_order(found[places[key]])
                start += len(pixels)
                self._storing.on_fill((number + 1) / len(batches))

        try:
            return (
                in_memory(entries, compute)
                if self._storing.disk is None
                else self._storing.disk.get_all(entries, compute)
            )
        except (RuntimeError, MemoryError) as error:
            if isinstance(error, torch.OutOfMemoryError | MemoryError) or "can't allocate memory" in str(error):
                why = f"no memory for the prefix cache ({error}); give a smaller --cache, or --no-cache"
                raise UserError(why) from error
            raise

    def _placed(self, stored: Tensor) -> Tensor:
        """On the GPU where there is room, else where it is: on the host, mapped from disk."""
        device = self._device
        return stored if device.type != "cuda" else stored.to(home(stored.nbytes, device))

    def _key(self, place: Place) -> str:
        """Of everything that decides the values at a place."""
        return hashlib.sha256(f"{self._origin} {place}".encode()).hexdigest()[:32]

    @cached_property
    def _origin(self) -> str:
        """Network, pixels of all views and of validation, precision, type, versions and kind of processor."""
        backbone, device = self._backbone, self._device
        pixels = hashlib.sha256()
        for part in (*self._bank, self._val):
            pixels.update(part.cpu().contiguous().numpy().data)
        kind = torch.cuda.get_device_name(device) if device.type == "cuda" else torch.backends.cpu.get_cpu_capability()
        facts = {
            "version": VERSION,
            "backbone": (backbone.name, backbone.fingerprint, backbone.img_size, backbone.mean, backbone.std),
            "pixels": (pixels.hexdigest(), *self._bank.shape, len(self._val)),
            "types": (self._precision, self._storing.dtype),
            "libraries": (version("torch"), version("timm")),
            "processor": (platform.machine(), device.type, kind),
        }
        return repr(facts)

    @torch.no_grad()
    def _activations(self, pixels: Tensor, places: Iterable[Place]) -> dict[Place, Tensor]:
        """What some places give for images, (images, …)."""
        found: dict[Place, Tensor] = {}

        def keep(place: Place, module: nn.Module, args: tuple[Any, ...], output: Tensor) -> None:
            found[place] = output.detach()

        def enter(module: nn.Module, args: tuple[Any, ...]) -> None:
            found[0] = args[0].detach()

        model, operations, hooks = self._backbone.model, self._backbone.operations, []
        for place in places:
            if place:
                block = model.get_submodule(operations["block", place - 1].path)
                hooks.append(block.register_forward_hook(partial(keep, place)))
            else:
                hooks.append(model.get_submodule(operations[TRUNK, None].path).register_forward_pre_hook(enter))
        try:
            with autocast(self._device, self._precision):
                model(self._images(pixels))
        finally:
            for hook in hooks:
                hook.remove()
        return found

    def _images(self, pixels: Tensor) -> Tensor:
        return normalise(pixels.to(self._device), self._backbone.mean, self._backbone.std)


def _strides(activations: Tensor) -> torch.memory_format:
    """The memory format of activations (images, …)."""
    maps = activations.ndim == 4 and not activations.is_contiguous()
    last = maps and activations.is_contiguous(memory_format=torch.channels_last)
    return torch.channels_last if last else torch.contiguous_format


def _in_memory_order(activations: Tensor) -> Tensor:
    """With the axes as they lie in memory: a map with its channels last becomes (images, h, w, channels)."""
    return activations.permute(0, 2, 3, 1) if _strides(activations) is torch.channels_last else activations
