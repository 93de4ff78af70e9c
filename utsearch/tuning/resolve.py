"""A design on a backbone: names checked, groups and blocks expanded to cells, defaults dropped, one digest."""

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from utsearch.backbones import GROUPS, QKV, SITES, TRUNK, Backbone, Operation, Stage, Tuner
from utsearch.design import ALL, Blocks, Design, DesignError, OptionInfo, Slot, Value
from utsearch.forms import catalogue as all_forms
from utsearch.tuning.cells import Cell, Options, blocks_with, digest, regroup, spec_of

Catalogue = Mapping[str, type[Tuner]]


@dataclass(frozen=True)
class Resolved:
    """A design that fits a backbone.

    Attributes:
        cells: every tuner, in canonical order.
        digest: 16 hex digits, equal for designs that are the same however they were written.
        design: the canonical text's design.
        n_params: learnt values of all tuners, head not counted.
    """

    cells: tuple[Cell, ...]
    digest: str
    design: Design
    n_params: int


def resolve(design: Design | str, backbone: Backbone, catalogue: Catalogue | None = None) -> Resolved:
    """Check a design against the forms and the backbone, and bring it into canonical form.

    Raises:
        DesignError: unknown form, site, option or block; a form where it may not stand; a tuner given twice.
    """
    design = Design.parse(design) if isinstance(design, str) else design
    forms = all_forms() if catalogue is None else catalogue
    seen: dict[tuple[Any, ...], Cell] = {}
    for index, slot in enumerate(design.slots):
        for cell in _Slot(design, index, slot, backbone, forms).cells():
            _admit(cell, seen, forms, _at(design, index, "|".join(slot.sites)))
    _check_bypass(seen.values(), forms, str(design))
    order = {site: at for at, site in enumerate(backbone.sites)}
    cells = tuple(sorted(seen.values(), key=lambda c: (-1 if c.block is None else c.block, order[c.site], spec_of(c))))
    return Resolved(cells, digest(cells), regroup(cells, backbone), num_params(cells, backbone, forms))


def count(design: Design | str, backbone: Backbone) -> int:
    """Learnt values of a design's tuners on a backbone, from the formulas alone; the head is not counted."""
    return resolve(design, backbone).n_params


def num_params(cells: Iterable[Cell], backbone: Backbone, forms: Catalogue) -> int:
    """The forms' closed formulas at the cells' operations, and those of what they share."""
    total = 0
    for group in sharing(cells, backbone, forms):
        form, options = forms[group[0].form], full_options(group[0], forms)
        ops = [backbone.operations[cell.site, cell.block] for cell in group]
        total += sum(form.count(op, group[0].rank, options) for op in ops)
        total += form.count_shared(ops, group[0].rank, options)
    return total


def sharing(cells: Iterable[Cell], backbone: Backbone, forms: Catalogue) -> list[list[Cell]]:
    """The cells whose tuners share what their form shares: same form, rank, options and family."""
    groups: dict[tuple[Any, ...], list[Cell]] = {}
    for cell in cells:
        family = forms[cell.form].family(backbone.operations[cell.site, cell.block])
        groups.setdefault((*spec_of(cell), family), []).append(cell)
    return list(groups.values())


def full_options(cell: Cell, forms: Catalogue) -> dict[str, Value]:
    """The cell's options with the form's defaults filled in."""
    defaults = {key: option.default for key, option in forms[cell.form].info().options.items()}
    return {key: value for key, value in defaults.items() if value is not None} | dict(cell.options)


@dataclass(frozen=True)
class _Slot:
    """One slot of a design in front of a backbone; its errors underline the part that is wrong."""

    design: Design
    index: int
    slot: Slot
    backbone: Backbone
    forms: Catalogue

    def cells(self) -> list[Cell]:
        form, options = self._form(), self._options()
        cells = []
        for site in self._sites(form):
            for block in self._blocks(site):
                op = self._operation(site, block)
                cell = Cell(block, site, form.name, self.slot.rank, options)
                options_here = full_options(cell, self.forms)
                unfit = _unfit(form.stage_of(options_here), op)
                if reason := unfit or form.refusal(op, self.slot.rank, options_here):
                    raise self._error(f"{form.name} cannot stand at the {op}: {reason}", f":{form.name}")
                cells.append(cell)
        return cells

    def _form(self) -> type[Tuner]:
        name = self.slot.form
        if name not in self.forms:
            raise self._error(f"there is no form {name!r}{near(name, self.forms)}", f":{name}")
        form = self.forms[name]
        if form.info().rank and self.slot.rank is None:
            raise self._error(f"{name} needs a rank, as in {name}(8)", f":{name}")
        if self.slot.rank is not None and not form.info().rank:
            raise self._error(f"{name} has no rank, got {self.slot.rank}", f":{name}({self.slot.rank}")
        return form

    def _options(self) -> Options:
        """Typed options without those at their default."""
        known = self.forms[self.slot.form].info().options
        chosen = []
        for key, given in self.slot.options:
            if key not in known:
                raise self._error(f"{self.slot.form} has no option {key!r}{near(key, known)}", f"{key}=")
            try:
                value = typed(given, known[key])
            except (ValueError, OverflowError) as error:
                raise self._error(f"option {key} of {self.slot.form} is {error}, got {given!r}", f"{key}=") from None
            if value != known[key].default:
                chosen.append((key, value))
        return tuple(chosen)

    def _sites(self, form: type[Tuner]) -> list[str]:
        """Groups expanded; each site once."""
        expanded: list[str] = []
        for name in self.slot.sites:
            for site in members_of(name, self.backbone):
                self._check_site(site, name, form)
                if site in expanded:
                    raise self._error(f"{site} is given twice by {'|'.join(self.slot.sites)}", name)
                expanded.append(site)
        return expanded

    def _check_site(self, site: str, name: str, form: type[Tuner]) -> None:
        if site not in self.backbone.sites:
            groups = [group for group in GROUPS if members_of(group, self.backbone) != (group,)]
            there = (*self.backbone.sites, *groups)
            absent = " (a part counts only if it is called once, on tokens or a map)"
            hint = absent if site in (*SITES, *GROUPS) else near(site, there)
            raise self._error(f"{self.backbone.name} has no site {site!r}{hint}; it has {', '.join(there)}", name)
        if reason := form.info().misplaced(site):
            raise self._error(reason, name)

    def _blocks(self, site: str) -> tuple[int | None, ...]:
        if (site, None) in self.backbone.operations:
            if self.slot.blocks != ALL:
                raise self._error(f"{site} stands outside the blocks: write it in a slot without @", site)
            return (None,)
        try:
            blocks = self.slot.blocks.resolve(self.backbone.depth)
        except DesignError as error:
            raise self._error(f"{self.backbone.name}: {error.reason}", f"@{self.slot.blocks}") from None
        if self.slot.blocks.kind == "list":
            return blocks
        there = blocks_with(site, self.backbone)  # relative positions mean those of their blocks that have the site
        if not set(blocks) & set(there):
            raise self._error(self._absent(site, str(self.slot.blocks)), site)
        return tuple(block for block in blocks if block in there)

    def _operation(self, site: str, block: int | None) -> Operation:
        found = self.backbone.operations.get((site, block))
        if found is None:
            raise self._error(self._absent(site, f"block {block}"), site)
        return found

    def _absent(self, site: str, where: str) -> str:
        there = Blocks("list", blocks_with(site, self.backbone))
        return f"{self.backbone.name} has no {site} in {where}, only in {there}"

    def _error(self, reason: str, part: str) -> DesignError:
        return DesignError(reason, *_at(self.design, self.index, part))


def _unfit(stage: Stage, op: Operation) -> str | None:
    """Why a tuner of this stage cannot stand at an operation, whatever its form."""
    if stage is Stage.PARALLEL and not op.stride:
        return "it gives other positions than it reads, so a parallel term does not fit; give insert=sequential"
    return None


def members_of(name: str, backbone: Backbone) -> tuple[str, ...]:
    """The sites of a group that the backbone has; a site, or a group of which it has none, stands for itself."""
    return tuple(site for site in GROUPS.get(name, ()) if site in backbone.sites) or (name,)


def typed(value: Value, option: OptionInfo) -> Value:
    """A value as the option's type.

    Raises:
        ValueError: says what the option is.
    """
    if option.choices is not None:
        if value not in option.choices:
            raise ValueError(f"one of {', '.join(map(str, option.choices))}")
        return value
    if option.kind is float and type(value) in (int, float):
        return float(value)
    if type(value) is not option.kind:
        kinds = {int: "a whole number", float: "a number", bool: "true or false", str: "a word"}
        raise ValueError(kinds[option.kind])
    return value


def near(name: str, known: Iterable[str]) -> str:
    """`; did you mean …?` or `; there are …`."""
    known = list(known)
    close = difflib.get_close_matches(name, known, n=3, cutoff=0.6)
    return f"; did you mean {', '.join(close)}?" if close else f"; there are {', '.join(known) or 'none'}"


def _at(design: Design, index: int, part: str) -> tuple[str, int, int]:
    """The design's text, and where a part of one of its slots stands in it; a colon only helps to find a form."""
    before = sum(len(str(slot)) + len(" + ") for slot in design.slots[:index])
    not_inside_a_name = r"(?<![a-z0-9_-])" if part[0].isalpha() else ""
    found = re.search(not_inside_a_name + re.escape(part), str(design.slots[index]))
    start = before + (found.start() if found else 0)
    return str(design), start + part.startswith(":"), start + len(part)


def _admit(cell: Cell, seen: dict[tuple[Any, ...], Cell], forms: Catalogue, where: tuple[str, int, int]) -> None:
    """Refuse a tuner given twice, and two that both replace the operation's own computation."""
    place = f"{cell.site}" + ("" if cell.block is None else f" of block {cell.block}")
    key = (cell.block, cell.site, cell.form, cell.options)
    if key in seen:
        raise DesignError(f"{cell.form} is given twice at the {place}", *where)
    if _stage(cell, forms) is Stage.WEIGHTS:
        for other in seen.values():
            if other.block == cell.block and _overlap(other.site, cell.site) and _stage(other, forms) is Stage.WEIGHTS:
                raise DesignError(f"{other.form} and {cell.form} both replace the weights of the {place}", *where)
    seen[key] = cell


def _overlap(one: str, other: str) -> bool:
    """Whether two sites of a block share weights: a site with itself, and q, k and v with the fused qkv."""
    return one == other or (one in QKV and other == "qkv") or (other in QKV and one == "qkv")


def _check_bypass(cells: Iterable[Cell], forms: Catalogue, text: str) -> None:
    """Refuse what could never learn since a bypass keeps its gradient away."""
    cells = list(cells)
    bypass = next((cell for cell in cells if forms[cell.form].bypass), None)
    for cell in cells if bypass else ():
        before = cell.site == TRUNK and _stage(cell, forms) is Stage.INPUT
        if bypass and (before or cell.site not in (TRUNK, "tail")):
            place = cell.site if cell.block is None else f"{cell.site} of block {cell.block}"
            raise DesignError(
                f"{bypass.form} lets no gradient into the backbone: {cell.form} at the {place} could not learn; "
                "beside it only the tail can be tuned",
                text,
                0,
                len(text),
            )


def _stage(cell: Cell, forms: Catalogue) -> Stage:
    return forms[cell.form].stage_of(full_options(cell, forms))
