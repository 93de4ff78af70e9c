"""Where good designs put their tuners: sites × blocks, drawn over the backbone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

from utsearch.design import DesignError
from utsearch.report.groups import error, finished, front
from utsearch.report.palette import BLUE, GREY, SOFT
from utsearch.report.story import Story, depth_of, regrets, slots
from utsearch.report.theme import layout
from utsearch.report.units import clean

if TYPE_CHECKING:
    from utsearch.search import Record

# the order in which a block computes; what is not listed comes above, in the order of its name
ORDER = ("stem", "norm1", "q", "k", "v", "qkv", "mha", "proj", "norm2", "fc1", "fc2", "ffn", "block", "tail")
NEAR = 0.5  # weight of a design within one standard error of the front

Cell = tuple[str, int]  # site, block


def weights(records: Sequence[Record]) -> dict[int, float]:
    """1 for a design of the front, `NEAR` within one standard error under it; others do not count."""
    members, under = {record.number for record in front(records)}, regrets(records)
    near = {r.number: NEAR for r in finished(records) if r.n_params and under[r.number] <= error(r)}
    return {**near, **{r.number: 1.0 for r in front(records) if r.number in members and r.n_params}}


def shares(records: Sequence[Record], depth: int) -> tuple[dict[Cell, float], dict[Cell, dict[str, float]]]:
    """For each cell the weighted share of good designs that tune it, and by which forms (the same unit)."""
    weight = weights(records)
    total = sum(weight.values())
    share: dict[Cell, float] = {}
    forms: dict[Cell, dict[str, float]] = {}
    for record in records:
        if record.number not in weight:
            continue
        part = weight[record.number] / total
        cells = _cells(record, depth)
        for cell, names in cells.items():
            share[cell] = share.get(cell, 0.0) + part
            by_form = forms.setdefault(cell, {})
            for name in names:
                by_form[name] = by_form.get(name, 0.0) + part
    return share, forms


def _cells(record: Record, depth: int) -> dict[Cell, set[str]]:
    found: dict[Cell, set[str]] = {}
    for slot in slots(record):
        try:
            blocks = slot.blocks.resolve(depth)
        except DesignError:  # a deeper backbone than the study says
            continue
        for site in slot.sites:
            for block in {"stem": (0,), "tail": (depth - 1,)}.get(site, blocks):  # beside the blocks, not in them
                found.setdefault((site, block), set()).add(slot.form)
    return found


def sites(cells: Mapping[Cell, Any]) -> list[str]:
    """The sites that occur, in the order in which a block computes."""
    names = {site for site, _ in cells}
    return [name for name in ORDER if name in names] + sorted(names - set(ORDER))


def where_figure(story: Story) -> dict[str, Any] | None:
    """The heat map over the drawn blocks; None where no good design tunes anything."""
    depth = depth_of(story)
    share, forms = shares(story.records, depth)
    names = sites(share)
    if not names:
        return None
    grid = [[share.get((site, block), 0.0) for block in range(depth)] for site in names]
    words = [[_words(site, b, share, forms) for b in range(depth)] for site in names]
    trace = {
        "type": "heatmap",
        "z": [[100 * value for value in row] for row in grid],
        "x": list(range(depth)),
        "y": [escape(clean(name)) for name in names],
        "hovertext": words,
        "hoverinfo": "text",
        "customdata": [[[None, text.replace("<br>", "; ")] for text in row] for row in words],
        "xgap": 14,
        "ygap": 4,
        "zmin": 0,
        "zmax": 100,
        # from transparent, so that it lies on light and dark pages alike
        "colorscale": [[0, "rgba(0,114,178,0.06)"], [1, BLUE]],
        "colorbar": {"ticksuffix": " %", "thickness": 12, "outlinewidth": 0, "tickfont": {"color": SOFT}},
    }
    return {"data": [trace], "layout": _layout(depth, len(names))}


def _words(site: str, block: int, share: Mapping[Cell, float], forms: Mapping[Cell, Mapping[str, float]]) -> str:
    cell = (site, block)
    by_form = sorted(forms.get(cell, {}).items(), key=lambda item: -item[1])
    listed = ", ".join(f"{escape(clean(name))} {100 * part:.0f} %" for name, part in by_form)
    text = f"{escape(clean(site))} of block {block}: tuned by {100 * share.get(cell, 0.0):.0f} % of good designs"
    return f"{text}<br>{listed}" if listed else text


def _layout(depth: int, rows: int) -> dict[str, Any]:
    axis = {"showgrid": False, "zeroline": False, "ticks": "", "fixedrange": True, "tickfont": {"color": SOFT}}
    return layout(
        100 + 30 * rows,
        margin={"l": 70, "r": 14, "t": 40, "b": 10},
        shapes=list(_drawing(depth)),
        annotations=[
            _label(-1.05, "image"),
            _label(depth + 0.05, "head"),
            *(_label(b, f"block {b}" if b == 0 else str(b)) for b in range(depth)),
        ],
        xaxis={**axis, "range": [-1.5, depth + 0.5], "showticklabels": False, "ticks": ""},
        yaxis={**axis, "type": "category", "range": [-0.5, rows - 0.5]},
        showlegend=False,
    )


def _drawing(depth: int) -> list[dict[str, Any]]:
    """Each block a box from floor to top, and the stream through them."""
    line = {"color": GREY, "width": 1}
    boxes = [
        {"type": "rect", "yref": "paper", "y0": 0, "y1": 1, "x0": b - 0.46, "x1": b + 0.46, "line": line}
        for b in range(depth)
    ]
    stream = [
        {"type": "line", "yref": "paper", "y0": 0.5, "y1": 0.5, "x0": b + 0.46, "x1": b + 0.54, "line": line}
        for b in range(depth - 1)
    ]
    ends = [
        {"type": "line", "yref": "paper", "y0": 0.5, "y1": 0.5, "x0": x, "x1": x + 0.25, "line": line}
        for x in (-0.71, depth - 0.54)
    ]
    return [*boxes, *stream, *ends]


def _label(x: float, text: str) -> dict[str, Any]:
    middle = text in ("image", "head")
    place = {"y": 0.5, "yanchor": "middle"} if middle else {"y": 1, "yanchor": "bottom"}
    turned = {"textangle": -90} if middle else {}
    return {"x": x, "yref": "paper", **place, **turned, "text": text, "showarrow": False, "font": {"color": SOFT}}
