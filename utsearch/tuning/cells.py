"""Cells: one tuner each, and the one canonical way to write many of them."""

import hashlib
import json
from dataclasses import dataclass

from utsearch.backbones import GROUPS, Backbone
from utsearch.design import ALL, Blocks, Design, Slot, Value

Options = tuple[tuple[str, Value], ...]
Spec = tuple[str, int, str]  # form, rank, options: what sites need to have in common to share a slot


@dataclass(frozen=True)
class Cell:
    """One tuner: a form at one operation. Options are those that differ from the form's defaults."""

    block: int | None
    site: str
    form: str
    rank: int | None = None
    options: Options = ()

    @property
    def key(self) -> str:
        """`3/mha:lora(8, alpha=16.0)`: what decides its initial values, beside the seed."""
        slot = Slot((self.site,), self.form, self.rank, self.options)
        return str(slot) if self.block is None else f"{self.block}/{slot}"


def spec_of(cell: Cell) -> Spec:
    """Form, rank and options as something that sorts."""
    return cell.form, cell.rank or 0, json.dumps(cell.options)


def digest(cells: tuple[Cell, ...]) -> str:
    """16 hex digits over all cells; studies store it, so it must not move from version to version."""
    rows = [[cell.block, cell.site, cell.form, cell.rank, cell.options] for cell in cells]
    return hashlib.sha256(json.dumps(sorted(rows, key=json.dumps)).encode()).hexdigest()[:16]


def blocks_with(site: str, backbone: Backbone) -> tuple[int, ...]:
    """The blocks that have a site, in order; none for stem and tail."""
    return tuple(block for block in range(backbone.depth) if (site, block) in backbone.operations)


def regroup(cells: tuple[Cell, ...], backbone: Backbone) -> Design:
    """As few slots as possible: sites with the same form, rank, options and blocks share one."""
    blocks: dict[tuple[Spec, str], tuple[int, ...]] = {}
    for cell in cells:
        where = () if cell.block is None else (cell.block,)
        blocks[spec_of(cell), cell.site] = blocks.get((spec_of(cell), cell.site), ()) + where
    sites: dict[tuple[Spec, Blocks], list[str]] = {}
    for (spec, site), found in blocks.items():
        where_all = found == blocks_with(site, backbone)
        sites.setdefault((spec, ALL if where_all else Blocks("list", found)), []).append(site)
    like = {spec_of(cell): cell for cell in cells}
    slots = [
        Slot(_name(names, backbone), cell.form, cell.rank, cell.options, at)
        for (spec, at), names in sites.items()
        for cell in (like[spec],)
    ]
    order = [*backbone.sites, *GROUPS]
    return Design(tuple(sorted(slots, key=lambda slot: (order.index(slot.sites[0]), str(slot)))))


def _name(sites: list[str], backbone: Backbone) -> tuple[str, ...]:
    """Sites in the backbone's order; a group that is there in full by its own name, first."""
    groups = {name: {site for site in members if site in backbone.sites} for name, members in GROUPS.items()}
    whole = [name for name, members in groups.items() if len(members) > 1 and members <= set(sites)]
    single = [site for site in backbone.sites if site in sites and not any(site in groups[name] for name in whole)]
    return (*whole, *single)
