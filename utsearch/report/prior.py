"""How well a prior's scores agree with what its designs reached."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING, Any

from utsearch.report.groups import accuracy, finished, front
from utsearch.report.theme import Figure, layout, name_of, panelled, shared_axes
from utsearch.report.traces import PLAIN, hover
from utsearch.report.units import clean, plural
from utsearch.stats import rank_correlation

if TYPE_CHECKING:
    from utsearch.search import Record

FEWEST = 3  # designs for a rank correlation


def scored(records: Sequence[Record]) -> dict[str, list[Record]]:
    """The finished trials that have a prior's score, by prior."""
    found: dict[str, list[Record]] = {}
    for record in finished(records):
        if record.prior is not None and record.prior_score is not None:
            found.setdefault(record.prior, []).append(record)
    return found


def agreement(members: Sequence[Record]) -> float | None:
    """Spearman's rank correlation of score and top-1; None of too few designs, or where all are equal."""
    if len(members) < FEWEST:
        return None
    rho = rank_correlation([record.prior_score or 0.0 for record in members], [accuracy(record) for record in members])
    return rho if math.isfinite(rho) else None


def prior_figure(records: Sequence[Record]) -> Figure | None:
    """Top-1 over the score, a panel for each prior; None without scores."""
    groups = scored(records)
    if not groups:
        return None
    members = {record.number for record in front(records)}
    data: list[dict[str, Any]] = [
        {
            "type": "scatter",
            "mode": "markers",
            "xaxis": name_of("x", i),
            "yaxis": name_of("y", i),
            "marker": {**PLAIN.marker, "opacity": 1, "size": 10},
            "x": [record.prior_score for record in group],
            "y": [100 * accuracy(record) for record in group],
            "hovertext": [hover(record, record.number in members) for record in group],
            "hoverinfo": "text",
            "customdata": [[record.number, record.design] for record in group],
        }
        for i, group in enumerate(groups.values())
    ]
    words = [f"score by {escape(clean(name))}, {_words(group)}" for name, group in groups.items()]
    xaxes = [{"title": {"text": each, "font": {"size": 12}}} for each in words]
    titles = ["validation top-1 (%)", *[""] * (len(groups) - 1)]
    return panelled(data, titles, layout(320, **shared_axes(xaxes, {}), showlegend=False))


def _words(group: Sequence[Record]) -> str:
    rho = agreement(group)
    told = "" if rho is None else f"\N{GREEK SMALL LETTER RHO} = {rho:.2f} over ".replace("-", "\N{MINUS SIGN}")
    return f"{told}{plural(len(group), 'design')}"
