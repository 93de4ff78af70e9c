"""Known methods as named designs, read from `known_designs.toml`."""

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from utsearch.backbones import Backbone
from utsearch.design import Design, DesignError
from utsearch.tuning.resolve import resolve


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
