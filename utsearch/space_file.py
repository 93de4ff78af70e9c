"""Space files: TOML checked by a schema, with errors that name file, line and key."""

import difflib
import re
import reprlib
import tomllib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from utsearch.design import FormInfo, Value
from utsearch.errors import UserError
from utsearch.files import read_within

SUFFIX = ".toml"
MOST_FILE = 2**20  # bytes
MOST_CHOICES = 1000  # of one key
MOST_SLOTS = 64


class SpaceError(UserError):
    """A space file is missing or wrong: names file, line and key."""


def _listed(value: object) -> object:
    return value if isinstance(value, list) else [value]


_Values = Annotated[
    list[bool | int | float | str], BeforeValidator(_listed), Field(min_length=1, max_length=MOST_CHOICES)
]
_Shares = Annotated[list[Annotated[float, Field(ge=0, le=1)]], Field(min_length=1, max_length=MOST_CHOICES)]
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


class SpaceFile(_Schema):
    """A whole file."""

    title: str
    groups: int = Field(default=1, ge=1, le=16)
    hypervolume: Hypervolume
    positions: Positions = Positions()
    slots: Annotated[dict[_Name, SlotSpace], Field(min_length=1, max_length=MOST_SLOTS)]


def read_space_file(name: str) -> tuple[Path, str, SpaceFile]:
    """The file of a shipped space or at a path: where it is, its text, and its checked content.

    Raises:
        SpaceError: no such file, no TOML, or not by the schema.
    """
    path = _find(name)
    try:
        text = read_within(path, MOST_FILE).decode("utf-8").replace("\r\n", "\n")
        content = tomllib.loads(text)
    except OSError as error:
        raise SpaceError(f"cannot read the space {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise SpaceError(f"the space {path} is not a text file: {error.reason}") from error
    except (ValueError, RecursionError) as error:  # also of numbers with thousands of digits, and of nested brackets
        raise SpaceError(f"{path}: {str(error)[:200]}") from error
    try:
        return path, text, SpaceFile.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        raise Located(path, text).error(first["loc"], _say(first)) from error


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


def check_forms(
    slots: Mapping[str, SlotSpace],
    catalogue: Mapping[str, FormInfo],
    sites: Collection[str] | None,
    at: "Located",
) -> None:
    """Every site, form and option is one there is.

    Raises:
        SpaceError: names file, line and key, and what was probably meant.
    """
    single = {site for info in catalogue.values() for site in info.sites}  # groups are not among them
    for name, slot in slots.items():
        for site in slot.sites:
            if sites is not None and site not in sites:
                raise at.error(("slots", name, "sites"), f"no site {site!r}{_near(site, sites)}")
        for form, keys in slot.forms.items():
            where = ("slots", name, "forms", form)
            if form not in catalogue:
                raise at.error(where, f"no form {form!r}{_near(form, catalogue)}")
            for site in single.intersection(slot.sites):
                if reason := catalogue[form].misplaced(site):
                    raise at.error(where, reason)
            _check_keys(catalogue[form], keys, where, at)


def _check_keys(info: FormInfo, keys: Mapping[str, list[Value]], where: tuple[str, ...], at: "Located") -> None:
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
class Located:
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
        known = {f for model in (SpaceFile, SlotSpace, Positions, Hypervolume) for f in model.model_fields}
        return f"unknown key{_near(str(error['loc'][-1]), known)}"
    if error["type"] == "missing":
        return "this key is missing"
    return f"{error['msg']}, got {_short(error['input'])}"


def _short(value: object) -> str:
    text = reprlib.repr(value)
    return text if len(text) <= 200 else f"{text[:199]}…"


def _near(name: str, known: Collection[str]) -> str:
    close = difflib.get_close_matches(name, list(known), n=3, cutoff=0.6)
    return f"; did you mean {', '.join(close)}?" if close else f"; there are {', '.join(sorted(known)) or 'none'}"
