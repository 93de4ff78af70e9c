"""Known methods as named designs, read from `known_designs.toml`."""

import re
import tomllib
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files

from utsearch.backbones import Backbone
from utsearch.design import MOST_RANK, Design, DesignError
from utsearch.tuning.resolve import count, resolve

STEP = 4  # among so many ranks in a row there is one that suits every form


@dataclass(frozen=True)
class Known:
    """A method of the literature as a design; `enqueue` says whether every search trains it first."""

    name: str
    design: Design
    formula: str
    source: str
    enqueue: bool


@cache
def known_designs() -> tuple[Known, ...]:
    """Every known design, in the file's order."""
    text = files("utsearch.tuning").joinpath("known_designs.toml").read_text(encoding="utf-8")
    return tuple(
        Known(row["name"], Design.parse(row["text"]), row["formula"], row["source"], row["enqueue"])
        for row in tomllib.loads(text)["design"]
    )


def named(text: str) -> Design:
    """A known design by its name, or any design by its text.

    Raises:
        DesignError: it is neither.
    """
    by_name = {one.name: one.design for one in known_designs()}
    return by_name[text] if text in by_name else Design.parse(text)


def known(backbone: Backbone) -> dict[str, Design]:
    """The baselines of a search on this backbone by name; those that need sites it lacks are left out."""
    return {one.name: one.design for one in known_designs() if one.enqueue and fits(one.design, backbone)}


def fits(design: Design, backbone: Backbone) -> bool:
    """Whether the backbone has the sites, blocks and operations that a design needs."""
    try:
        resolve(design, backbone)
    except DesignError:
        return False
    return True


def peers(backbone: Backbone, limit: int) -> dict[str, Design]:
    """Every known method at its largest rank with at most `limit` parameters; methods of a fixed size as they are.

    A new design is fairly compared only with methods that were given as many parameters. Names carry the rank.
    """
    found: dict[str, tuple[str, Design]] = {}
    for one in known_designs():
        family = re.sub(r"-\d+$", "", one.name)
        design = _largest(one.design, backbone, limit)
        if design is not None:
            rank = max((slot.rank or 0 for slot in design.slots), default=0)
            found.setdefault(family, (f"{family}-{rank}" if rank else family, design))
    return dict(found.values())


def _largest(design: Design, backbone: Backbone, limit: int) -> Design | None:
    """The design at the largest rank within the limit, all its ranked slots at one rank; None if none fits."""
    if not any(slot.rank for slot in design.slots):
        return _within(design, backbone, limit)
    best, low, high = None, 1, min(max(1, limit), MOST_RANK)
    while low <= high:
        middle = (low + high) // 2
        below = range(middle, max(0, middle - STEP), -1)  # not every rank suits every form: some want it even
        found = next((d for rank in below if fits(d := _ranked(design, rank), backbone)), None)
        if found is not None and count(found, backbone) <= limit:
            best, low = found, middle + 1
        else:
            high = middle - 1
    return best


def _within(design: Design, backbone: Backbone, limit: int) -> Design | None:
    return design if fits(design, backbone) and count(design, backbone) <= limit else None


def _ranked(design: Design, rank: int) -> Design:
    return Design(tuple(replace(slot, rank=rank) if slot.rank else slot for slot in design.slots))
