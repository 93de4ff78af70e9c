"""Search spaces: readable TOML files that turn a trial's choices into a design.

A space suggests flat: every slot always asks for its form (with `none`), a rank index, the first block and the number
of blocks, and every option of every form; what does not apply is ignored. All trials then have the same parameters,
which is what Optuna's samplers model best.
"""

import difflib
import hashlib
import math
import re
import tomllib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Protocol

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from utsearch.design import ALL, Blocks, Design, FormInfo, Slot, Value
from utsearch.errors import UserError

NONE = "none"
SUFFIX = ".toml"


class SpaceError(UserError):
    """A space file is missing or wrong: names file, line and key."""


class TrialLike(Protocol):
    """What a space asks: Optuna's Trial, FrozenTrial and FixedTrial have it."""

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any: ...
    def suggest_int(self, name: str, low: int, high: int) -> int: ...


def _listed(value: object) -> object:
    return value if isinstance(value, list) else [value]


_Values = Annotated[list[bool | int | float | str], BeforeValidator(_listed), Field(min_length=1)]
_Shares = Annotated[list[Annotated[float, Field(ge=0, le=1)]], Field(min_length=1)]
_Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]*$")]


class _Schema(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Hypervolume(_Schema):
    """The sizes between which fronts are compared, in parameters."""

    p0: int = Field(gt=0)
    p_max: int = Field(gt=1)

    @model_validator(mode="after")
    def _ordered(self) -> "Hypervolume":
        if self.p_max <= self.p0:
            raise ValueError(f"p_max must be larger than p0, got {self.p_max} and {self.p0}")
        return self


class Positions(_Schema):
    """Where tuners stand: first block and number of blocks, as shares of the depth."""

    first: _Shares = [0.0]
    count: _Shares = [1.0]


class SlotSpace(_Schema):
    """The choices of one slot: on these sites, one of these forms or none."""

    sites: Annotated[list[_Name], Field(min_length=1)]
    optional: bool = True
    forms: Annotated[dict[_Name, dict[_Name, _Values]], Field(min_length=1)]


class _File(_Schema):
    title: str
    groups: int = Field(default=1, ge=1, le=16)
    hypervolume: Hypervolume
    positions: Positions = Positions()
    slots: Annotated[dict[_Name, SlotSpace], Field(min_length=1)]


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

    def suggest(self, trial: TrialLike, depth: int) -> Design:
        """The design of a trial's choices on `depth` blocks; the same call rebuilds it from a stored trial."""
        chosen = {name: _ask(trial, name, choices) for name, choices in self.parameters.items()}
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
        return Slot(tuple(slot.sites), form, rank, options, _concise(blocks, depth))

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
    path = _find(name)
    try:
        text = path.read_text(encoding="utf-8")
        data = tomllib.loads(text)
    except OSError as error:
        raise SpaceError(f"cannot read the space {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise SpaceError(f"the space {path} is not a text file: {error.reason}") from error
    except tomllib.TOMLDecodeError as error:
        raise SpaceError(f"{path}: {error}") from error
    try:
        file = _File.model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        raise _Located(path, text).error(first["loc"], _say(first)) from error
    _check(file.slots, catalogue, sites, _Located(path, text))
    defaults = {name: {key: option.default for key, option in info.options.items()} for name, info in catalogue.items()}
    return Space(path.stem, file.title, text, file.groups, file.hypervolume, file.positions, file.slots, defaults)


def spaces() -> dict[str, Path]:
    """The shipped spaces by name."""
    return {path.stem: path for path in sorted(_folder().glob(f"*{SUFFIX}"))}


def _folder() -> Path:
    """`search_spaces/` of the checkout, or its copy in the installed package."""
    here = Path(__file__).parent
    checkout = here.parent / "search_spaces"
    return checkout if checkout.is_dir() else here / "_search_spaces"


def _find(name: str) -> Path:
    if (path := Path(name).expanduser()).is_file():
        return path
    known = spaces()
    if name.removesuffix(SUFFIX) in known:
        return known[name.removesuffix(SUFFIX)]
    raise SpaceError(f"no space {name!r}{_near(name, known)}; or give the path of a TOML file")


def _check(
    slots: Mapping[str, SlotSpace],
    catalogue: Mapping[str, FormInfo],
    sites: Collection[str] | None,
    at: "_Located",
) -> None:
    for name, slot in slots.items():
        for site in slot.sites:
            if sites is not None and site not in sites:
                raise at.error(("slots", name, "sites"), f"no site {site!r}{_near(site, sites)}")
        for form, keys in slot.forms.items():
            where = ("slots", name, "forms", form)
            if form not in catalogue:
                raise at.error(where, f"no form {form!r}{_near(form, catalogue)}")
            _check_keys(catalogue[form], keys, where, at)


def _check_keys(info: FormInfo, keys: Mapping[str, list[Value]], where: tuple[str, ...], at: "_Located") -> None:
    if info.rank != ("rank" in keys):
        raise at.error(where, f"{info.name} {'needs' if info.rank else 'has no'} rank")
    for key, values in keys.items():
        if key == "rank":
            if not all(type(value) is int and value > 0 for value in values):
                raise at.error((*where, key), f"ranks are whole numbers from 1, got {values}")
        elif key not in info.options:
            raise at.error((*where, key), f"{info.name} has no option {key!r}{_near(key, info.options)}")
        elif (choices := info.options[key].choices) and (wrong := [v for v in values if v not in choices]):
            raise at.error(
                (*where, key), f"{key} of {info.name} is one of {', '.join(map(str, choices))}, got {wrong[0]!r}"
            )


@dataclass(frozen=True)
class _Located:
    """A space file, to say on which line a key stands."""

    path: Path
    text: str

    def error(self, key: Sequence[str | int], reason: str) -> SpaceError:
        words = [str(part) for part in key if isinstance(part, str)]
        return SpaceError(f"{self.path}:{self._line(words)}: {'.'.join(words) or 'the file'}: {reason}")

    def _line(self, words: list[str]) -> int:
        """The line of the key, or of the nearest table or key above it that is there."""
        best, deepest, table = 1, 0, ""
        for number, line in enumerate(self.text.splitlines(), 1):
            if header := re.match(r"\s*\[+\s*([^\]]+?)\s*\]+", line):
                table = header[1]
            entry = re.match(r"\s*([\w.\"-]+)\s*=", line)
            here = (
                [part.strip('" ') for part in f"{table}.{entry[1]}".strip(".").split(".")]
                if entry
                else table.split(".")
            )
            if here == words[: len(here)] and len(here) > deepest:
                best, deepest = number, len(here)
        return best


def _say(error: Any) -> str:
    """A pydantic error in words; for an unknown key, what it may have meant."""
    if error["type"] == "extra_forbidden":
        known = {f for model in (_File, SlotSpace, Positions, Hypervolume) for f in model.model_fields}
        return f"unknown key{_near(str(error['loc'][-1]), known)}"
    if error["type"] == "missing":
        return "this key is missing"
    return f"{error['msg']}, got {error['input']!r}"


def _near(name: str, known: Collection[str]) -> str:
    close = difflib.get_close_matches(name, list(known), n=3, cutoff=0.6)
    return f"; did you mean {', '.join(close)}?" if close else f"; there are {', '.join(sorted(known)) or 'none'}"


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
