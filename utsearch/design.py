"""The description of a tuner design: pure data and its text form, `mha:prefix(10) + ffn:adapter(8, act=relu)@last/2`.

    design := slot (" + " slot)* | "linear"
    slot   := sites ":" form ["(" [rank] {", " key "=" value} ")"] ["@" blocks]
    sites  := name ("|" name)*
    blocks := all | 0-5 | 0,3,6 | first/2 | last/3          (without "@" a slot stands in all blocks)

`Design.parse` and `str` are inverse and check syntax only; whether forms and sites exist and fit is asked by
`utsearch.tuning.resolve`, which knows a backbone.
"""

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

from utsearch.errors import UserError

Value = int | float | bool | str

NAME = re.compile(r"[a-z][a-z0-9_-]*")
WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
INT = re.compile(r"[+-]?\d+", re.ASCII)
OUTSIDE = ("stem", "trunk", "tail")  # sites that stand around the blocks, in no block of their own
_ITEM = re.compile(r"(\d{1,9})(?:-(\d{1,9}))?", re.ASCII)
_PART = re.compile(r"(first|last)/(\d{1,4})", re.ASCII)
_MOST_BLOCKS = 1000
MOST_RANK = 16_384  # four times the widest bottleneck that makes sense; a stranger's text cannot ask for all memory


class DesignError(UserError):
    """A design that cannot be read, or does not fit; shows the text with the bad part underlined."""

    def __init__(self, message: str, text: str = "", start: int = 0, end: int | None = None) -> None:
        self.reason, self.text, self.start, self.end = message, text, start, end
        super().__init__(f"{message}\n{underline(text, start, end)}" if text else message)

    def __reduce__(self) -> tuple[type["DesignError"], tuple[str, str, int, int | None]]:
        """Pickle by the constructor's arguments, so that a worker process can hand the error on."""
        return type(self), (self.reason, self.text, self.start, self.end)


def underline(text: str, start: int, end: int | None = None) -> str:
    """Two lines: the text, and carets under `text[start:end]` (one caret if that is empty)."""
    width = max(1, (len(text) if end is None else end) - start)
    return f"  {text}\n  {' ' * start}{'^' * width}"


@dataclass(frozen=True)
class Blocks:
    """Which blocks a slot stands in; `first/2` and `last/3` survive another depth."""

    kind: Literal["all", "list", "first", "last"]
    indices: tuple[int, ...] = ()
    parts: int = 0

    def __post_init__(self) -> None:
        """Sort a list; refuse what has no text form."""
        if self.kind not in ("all", "list", "first", "last"):
            raise DesignError(f"blocks are all, a list, first or last; got {self.kind!r}")
        if bool(self.indices) != (self.kind == "list") or any(i < 0 for i in self.indices):
            raise DesignError(f"only a list of blocks has indices, at least one, none negative; got {self}")
        if (self.kind in ("first", "last")) != (self.parts != 0) or self.parts < 0 or self.parts == 1:
            raise DesignError(f"first/N and last/N need N of 2 or more, other blocks none; got {self.parts}")
        if len(set(self.indices)) != len(self.indices):
            raise DesignError(f"a block is given twice in {_ranges(sorted(self.indices))}")
        object.__setattr__(self, "indices", tuple(sorted(self.indices)))

    def resolve(self, depth: int) -> tuple[int, ...]:
        """Block numbers on a network of `depth` blocks.

        >>> Blocks("last", parts=3).resolve(12)
        (8, 9, 10, 11)
        """
        if self.kind == "list":
            if self.indices[-1] >= depth:
                raise DesignError(f"there are blocks 0-{depth - 1}, got {self}")
            return self.indices
        count = depth if self.kind == "all" else max(1, (2 * depth + self.parts) // (2 * self.parts))
        return tuple(range(depth - count, depth)) if self.kind == "last" else tuple(range(count))

    def __str__(self) -> str:
        """`all`, `0-2,5`, `first/2` or `last/3`."""
        if self.kind == "list":
            return _ranges(self.indices)
        return self.kind if self.kind == "all" else f"{self.kind}/{self.parts}"

    @classmethod
    def parse(cls, text: str) -> "Blocks":
        """The inverse of `str`; ranges and commas mix."""
        if text == "all":
            return ALL
        if part := _PART.fullmatch(text):
            return cls("first" if part[1] == "first" else "last", parts=int(part[2]))
        items = [_ITEM.fullmatch(item) for item in text.split(",")]
        indices: list[int] = []
        for item in items:
            if item is None or (item[2] and int(item[2]) < int(item[1])):
                raise DesignError(f"blocks are all, 0-5, 0,3,6, first/2 or last/3, got {text!r}")
            if int(item[2] or item[1]) >= _MOST_BLOCKS:  # before a text from a stranger takes the memory
                raise DesignError(f"there are never {_MOST_BLOCKS} blocks, got {text!r}")
            indices.extend(range(int(item[1]), int(item[2] or item[1]) + 1))
        return cls("list", tuple(indices))


ALL = Blocks("all")


def _ranges(indices: Iterable[int]) -> str:
    """`0-2,5` for 0, 1, 2, 5 (ascending)."""
    runs: list[list[int]] = []
    for index in indices:
        if runs and index == runs[-1][1] + 1:
            runs[-1][1] = index
        else:
            runs.append([index, index])
    return ",".join(str(a) if a == b else f"{a}-{b}" for a, b in runs)


@dataclass(frozen=True)
class Slot:
    """One tuner form on one or several sites of some blocks."""

    sites: tuple[str, ...]
    form: str
    rank: int | None = None
    options: tuple[tuple[str, Value], ...] = ()
    blocks: Blocks = ALL

    def __post_init__(self) -> None:
        """Sort the options; refuse what has no text form."""
        keys = [key for key, _ in self.options]
        for name in (*self.sites, self.form, *keys):
            if not NAME.fullmatch(name):
                raise DesignError(f"names are lower-case letters, digits, - and _, got {name!r}")
        if not self.sites or len(set(self.sites)) != len(self.sites):
            raise DesignError(f"a slot needs sites, each once, got {'|'.join(self.sites)!r}")
        if len(set(keys)) != len(keys):
            raise DesignError(f"an option is given twice in {', '.join(keys)}")
        if self.rank is not None and (type(self.rank) is not int or not 1 <= self.rank <= MOST_RANK):
            raise DesignError(f"a rank is a whole number from 1 to {MOST_RANK:,}, got {self.rank!r}")
        for key, value in self.options:
            _check_value(key, value)
        object.__setattr__(self, "options", tuple(sorted(self.options)))

    def __str__(self) -> str:
        """`mha|ffn:adapter(8, act=relu)@last/2`; `@all` is not written."""
        inner = [] if self.rank is None else [str(self.rank)]
        inner += [f"{key}={format_value(value)}" for key, value in self.options]
        call = f"({', '.join(inner)})" if inner else ""
        return f"{'|'.join(self.sites)}:{self.form}{call}" + ("" if self.blocks == ALL else f"@{self.blocks}")


@dataclass(frozen=True)
class Design:
    """Slots side by side; none is the linear probe.

    >>> Design.parse("ffn:adapter(8,act=relu) @last/2+mha:prefix(10)@all")
    Design('ffn:adapter(8, act=relu)@last/2 + mha:prefix(10)')
    """

    slots: tuple[Slot, ...] = ()

    @classmethod
    def parse(cls, text: str) -> "Design":
        """Read the text form; checks syntax only, `DesignError` underlines the bad part."""
        from utsearch.grammar import Reader  # here, since it builds on the classes of this module

        return Reader(text).design()

    def __str__(self) -> str:
        """The text form, `linear` without slots."""
        return " + ".join(str(slot) for slot in self.slots) or "linear"

    def __repr__(self) -> str:
        """`Design('…')`: the text form says it all."""
        return f"Design({str(self)!r})"


@dataclass(frozen=True)
class OptionInfo:
    """One option of a form: its type, its default, and its values where they are a closed list."""

    kind: type
    default: Value | None = None
    choices: tuple[Value, ...] | None = None


@dataclass(frozen=True)
class FormInfo:
    """What a search space and the docs need to know of a form, without torch."""

    name: str
    sites: tuple[str, ...]
    rank: bool
    options: Mapping[str, OptionInfo] = field(default_factory=lambda: MappingProxyType({}))
    summary: str = ""
    source: str = ""
    elsewhere: str = ""

    def misplaced(self, site: str) -> str | None:
        """Why the form cannot stand at a site, on any backbone, or None; errors, spaces and docs all read it here."""
        if site in self.sites:
            return None
        why = f": {self.elsewhere}" if self.elsewhere else ""
        return f"{self.name} cannot stand at {site}, only at {', '.join(self.sites)}{why}"


def format_value(value: Value) -> str:
    """The text of an option's value: `true`, `8`, `0.1`, `relu`."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def parse_value(text: str) -> Value:
    """The inverse of `format_value`."""
    if text in ("true", "false"):
        return text == "true"
    if INT.fullmatch(text):
        return int(text)
    return float(text) if NUMBER.fullmatch(text) else text


def _check_value(key: str, value: object) -> None:
    """Refuse a value that would not come back from its text."""
    if isinstance(value, float):
        fits = math.isfinite(value)
    elif isinstance(value, str):
        fits = bool(WORD.fullmatch(value)) and value not in ("true", "false")
    else:
        fits = isinstance(value, int)
    if not fits:
        raise DesignError(f"option {key} is a finite number, true, false or a word, got {value!r}")
