"""The page: one self-contained HTML file with the interactive front, the result in words, the table, the settings."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Any

from utsearch.files import write_atomic
from utsearch.report.figure import pareto_figure, widths
from utsearch.report.frame import below, ranges
from utsearch.report.groups import About, hypervolume, tally
from utsearch.report.summary import caution, comparisons, line, verdict
from utsearch.report.table import HEADINGS, Row, rows
from utsearch.report.theme import CONFIG
from utsearch.report.units import clean, count, plural

if TYPE_CHECKING:
    from utsearch.search import Record

LONG = 12  # values in a setting; of more, such as the names of 200 classes, the first are shown
_CLASSES = ("number", "number", "number", "number time", "design")


def write_page(records: Sequence[Record], about: About, path: Path) -> Path:
    """Write the page, whole or not at all."""
    write_atomic(path, page(records, about))
    return path


def page(records: Sequence[Record], about: About) -> str:
    """The HTML; text from data is escaped here, and by Plotly inside its JSON."""
    from plotly.offline import get_plotlyjs

    return template("page.html").substitute(
        title=text(f"{about.study}: Pareto front"),
        heading=text(f"Tuner designs on {about.dataset} with {about.backbone}"),
        under=text(under(records, about)),
        verdict=text(verdict(records)),
        caution=text(caution(records)),
        caption=text(caption(records)),
        table=front_html(records),
        comparisons=comparison_list(records),
        settings="".join(f"<dt>{text(k)}</dt><dd>{text(v)}</dd>" for k, v in flatten(about.settings)),
        style=asset("page.css"),
        script=template("page.js").substitute(_data(records)),
        plotly=get_plotlyjs(),
    )


def flatten(settings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Nested settings as dotted names and short values."""
    for key, value in settings.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            yield from flatten(value, f"{name}.")
        elif isinstance(value, Sequence) and len(value) > LONG and not isinstance(value, str):
            yield name, f"{', '.join(map(str, value[:3]))}, … ({len(value)} in all)"
        else:
            yield name, value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def under(records: Sequence[Record], about: About) -> str:
    """The line below the heading."""
    parts = [f"space {about.space}", f"study {about.study}", plural(len(records), "trial")]
    volume = hypervolume(records, about.scale)
    if volume is not None:
        parts.append(f"hypervolume {volume:.3f}")
    return " · ".join(parts)


def caption(records: Sequence[Record]) -> str:
    """What is drawn, what is not, and where the rest went."""
    heads = sorted({record.n_head for record in records})
    sentences = [f"{tally(records)}."]
    hidden = below(records, ranges(records))
    if hidden:
        sentences.append(f"{plural(hidden, 'point')} below the picture: drag the axis to see.")
    sentences.append("Numbers are trials; bars show one standard error of validation; upper left is better.")
    if len(heads) == 1:
        sentences.append(f"Every design trains a head of {count(heads[0])} parameters besides, not counted here.")
    return " ".join(sentences)


def _data(records: Sequence[Record]) -> dict[str, str]:
    """What the page's script reads, as JSON in which Plotly has escaped what could end a script element."""
    from plotly.io.json import to_json_plotly

    figure = pareto_figure(records).to_dict()
    values = {"data": figure["data"], "layout": figure["layout"], "views": widths(records), "config": CONFIG}
    return {name: to_json_plotly(value) for name, value in values.items()}


def front_html(records: Sequence[Record]) -> str:
    """The front as an HTML table."""
    named = zip(_CLASSES, (HEADINGS.trial, HEADINGS.params, HEADINGS.top1, HEADINGS.time, HEADINGS.design), strict=True)
    head = "".join(f'<th class="{name}">{text(cell)}</th>' for name, cell in named)
    body = "".join(f"<tr>{_html_row(row)}</tr>" for row in rows(records))
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _html_row(row: Row) -> str:
    label = f'<span class="known">{text(row.name)}</span> ' if row.name != "-" else ""
    design = f"<code>{text(row.design)}</code>" if row.design != row.name else ""
    cells = (*map(text, (row.trial, row.params, row.top1, row.time)), label + design)
    return "".join(f'<td class="{name}">{cell}</td>' for name, cell in zip(_CLASSES, cells, strict=True))


def comparison_list(records: Sequence[Record]) -> str:
    """Each new design of the front against its rival, as HTML."""
    pairs = comparisons(records)
    if not pairs:
        return "<p>No new design of the front has a finished catalogue design of its size or less beside it.</p>"
    return f"<ul>{''.join(f'<li>{text(line(pair, records))}</li>' for pair in pairs)}</ul>"


def text(value: str) -> str:
    """Text from data, safe in HTML and in attributes."""
    return escape(clean(value))


def template(name: str) -> Template:
    """A file of `assets` with places to fill."""
    return Template(asset(name))


@cache
def asset(name: str) -> str:
    """A file of `assets`."""
    return files("utsearch.report").joinpath("assets", name).read_text(encoding="utf-8")
