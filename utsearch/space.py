"""Search spaces: readable TOML files that turn a trial's choices into a design.

A space suggests flat: every slot always asks for its form (with `none`), a rank index, the first block and the number
of blocks, and every option of every form; what does not apply is ignored. All trials then have the same parameters,
which is what Optuna's samplers model best.
"""

import hashlib
import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from utsearch.design import ALL, OUTSIDE, Blocks, Design, FormInfo, Slot, Value
from utsearch.space_file import (
    Hypervolume,
    Located,
    Positions,
    SlotSpace,
    SpaceError,
    check_forms,
    read_space_file,
    spaces,
)

__all__ = ["Space", "SpaceError", "TrialLike", "load_space", "spaces"]

NONE = "none"


class TrialLike(Protocol):
    """What a space asks: Optuna's Trial, FrozenTrial and FixedTrial have it."""

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any: ...
    def suggest_int(self, name: str, low: int, high: int) -> int: ...


@dataclass(frozen=True)
class Space:
    """A checked space.

    Attributes:
        name: the file's name without suffix.
        title: what it holds.
        text: the file, kept with every study.
        groups: into so many parts are the blocks cut, each with choices of its own.
        hypervolume: its p0 and p_max.
        positions: shares of the depth.
        slots: by name.
        defaults: of the forms' options; a design does not repeat them.
    """

    name: str
    title: str
    text: str
    groups: int
    hypervolume: Hypervolume
    positions: Positions
    slots: Mapping[str, SlotSpace]
    defaults: Mapping[str, Mapping[str, Value | None]]

    @property
    def fingerprint(self) -> str:
        """Of what is in the file, comments and layout aside."""
        content = repr((self.groups, self.hypervolume, self.positions, sorted(self.slots.items())))
        return hashlib.sha256(content.encode()).hexdigest()[:16]

    @property
    def parameters(self) -> dict[str, tuple[Any, ...]]:
        """Every parameter with its choices, the same for all trials: a range of indices, or words."""
        return {name: choices for group in range(self.groups) for name, choices in self._group_parameters(group)}

    @property
    def most_designs(self) -> int:
        """How many designs there are at most; on few blocks, positions that differ as shares may be the same."""
        places = len(self.positions.first) * len(self.positions.count)
        slots = (
            slot.optional + places * sum(math.prod(map(len, keys.values())) for keys in slot.forms.values())
            for slot in self.slots.values()
        )
        return int(math.prod(slots) ** self.groups)

    def suggest(self, trial: TrialLike, depth: int) -> Design:
        """The design of a trial's choices on `depth` blocks; the same call rebuilds it from a stored trial."""
        return self.design({name: _ask(trial, name, choices) for name, choices in self.parameters.items()}, depth)

    def design(self, chosen: Mapping[str, Any], depth: int) -> Design:
        """The design of one choice for each of `parameters`."""
        slots = [
            slot
            for group in range(self.groups)
            for name in self.slots
            if (slot := self._slot(chosen, group, name, depth)) is not None
        ]
        return Design(tuple(slots))

    def choices_of(self, design: Design, depth: int) -> dict[str, Any] | None:
        """The parameters that make exactly this design, or None if the space cannot express it (one group only)."""
        if self.groups > 1:
            return None
        chosen: dict[str, Any] = {name: choices[0] for name, choices in self.parameters.items()}
        chosen |= {f"{name}.form": NONE for name, slot in self.slots.items() if slot.optional}
        for slot in design.slots:
            found = next((c for name in self.slots if (c := self._match(name, slot, depth)) is not None), None)
            if found is None:
                return None
            chosen |= found
        return chosen

    def examples(self) -> Iterator[tuple[str, str, Design]]:
        """Slot, form and a design for each form with each value of each option, to check a space on a backbone."""
        for name, slot in self.slots.items():
            for form, keys in slot.forms.items():
                options = {k: v for k, v in keys.items() if k != "rank"}
                rank = int(keys["rank"][0]) if "rank" in keys else None
                for given in _combinations(options):
                    yield name, form, Design((Slot(tuple(slot.sites), form, rank, tuple(given.items())),))

    def _group_parameters(self, group: int) -> Iterator[tuple[str, tuple[Any, ...]]]:
        prefix = f"g{group}." if self.groups > 1 else ""
        for name, slot in self.slots.items():
            yield f"{prefix}{name}.form", (*([NONE] if slot.optional else []), *slot.forms)
            if (ranks := max(len(keys.get("rank", ())) for keys in slot.forms.values())) > 1:
                yield f"{prefix}{name}.rank", tuple(range(ranks))
            for key, shares in (("first", self.positions.first), ("count", self.positions.count)):
                if len(shares) > 1:
                    yield f"{prefix}{name}.{key}", tuple(range(len(shares)))
            for form, keys in slot.forms.items():
                for key, values in keys.items():
                    if key != "rank" and len(values) > 1:
                        yield f"{prefix}{name}.{form}.{key}", tuple(values)

    def _slot(self, chosen: Mapping[str, Any], group: int, name: str, depth: int) -> Slot | None:
        prefix = (f"g{group}." if self.groups > 1 else "") + name
        slot, form = self.slots[name], chosen[f"{prefix}.form"]
        if form == NONE:
            return None
        keys = slot.forms[form]
        ranks = keys.get("rank")
        most = max(len(other.get("rank", ())) for other in slot.forms.values())
        rank = int(ranks[chosen.get(f"{prefix}.rank", 0) * len(ranks) // most]) if ranks else None
        given = {k: chosen.get(f"{prefix}.{form}.{k}", v[0]) for k, v in keys.items() if k != "rank"}
        options = tuple((k, v) for k, v in given.items() if v != self.defaults[form].get(k))
        first = self.positions.first[chosen.get(f"{prefix}.first", 0)]
        count = self.positions.count[chosen.get(f"{prefix}.count", 0)]
        blocks = _blocks(first, count, *_part(group, self.groups, depth))
        around = set(slot.sites) <= set(OUTSIDE)  # has no place among the blocks
        if around and group:
            return None  # and stands there once
        return Slot(tuple(slot.sites), form, rank, options, ALL if around else _concise(blocks, depth))

    def _match(self, name: str, wanted: Slot, depth: int) -> dict[str, Any] | None:
        """The choices of the slot `name` that give `wanted`, by trying those of its form."""
        slot = self.slots[name]
        if wanted.form not in slot.forms or set(wanted.sites) != set(slot.sites):
            return None
        mine = {k: v for k, v in self.parameters.items() if k.startswith(f"{name}.")}
        mine[f"{name}.form"] = (wanted.form,)
        mine = {k: v if k.count(".") < 2 or k.startswith(f"{name}.{wanted.form}.") else v[:1] for k, v in mine.items()}
        target = _comparable(wanted, depth)
        for chosen in _combinations(mine):
            made = self._slot(chosen, 0, name, depth)
            if made is not None and _comparable(made, depth) == target:
                return chosen
        return None


def load_space(name: str, catalogue: Mapping[str, FormInfo], sites: Collection[str] | None = None) -> Space:
    """Read a space by the name of a shipped file or by path, and check it.

    Args:
        name: `mini`, `utuning`, … or the path of a TOML file.
        catalogue: the forms there are.
        sites: the sites and groups of the backbone; without them sites are not checked.

    Raises:
        SpaceError: names file, line and key, and what was probably meant.
    """
    path, text, file = read_space_file(name)
    check_forms(file.slots, catalogue, sites, Located(path, text))
    defaults = {name: {key: option.default for key, option in info.options.items()} for name, info in catalogue.items()}
    return Space(path.stem, file.title, text, file.groups, file.hypervolume, file.positions, file.slots, defaults)


def _ask(trial: TrialLike, name: str, choices: tuple[Any, ...]) -> Any:
    """Indices as integers, so that samplers know their order; words as categories."""
    if choices == tuple(range(len(choices))):
        return trial.suggest_int(name, 0, len(choices) - 1)
    return trial.suggest_categorical(name, choices)


def _combinations(choices: Mapping[str, Sequence[Any]]) -> Iterator[dict[str, Any]]:
    """Every way to take one value for each name."""
    if not choices:
        yield {}
        return
    (name, values), *rest = choices.items()
    for value in values:
        for others in _combinations(dict(rest)):
            yield {name: value, **others}


def _part(group: int, groups: int, depth: int) -> tuple[int, int]:
    """First block and number of blocks of a group."""
    start, end = (round(k * depth / groups) for k in (group, group + 1))
    return start, max(1, end - start)


def _blocks(first: float, count: float, start: int, length: int) -> tuple[int, ...]:
    """Block numbers of a share of `length` blocks from `start` on, at least one."""
    begin = min(length - 1, math.floor(first * length + 1e-9))
    n = max(1, round(count * length))
    return tuple(range(start + begin, start + min(length, begin + n)))


def _concise(blocks: tuple[int, ...], depth: int) -> Blocks:
    return ALL if blocks == tuple(range(depth)) else Blocks("list", blocks)


def _comparable(slot: Slot, depth: int) -> tuple[Any, ...]:
    return slot.form, slot.rank, slot.options, slot.blocks.resolve(depth)
