"""The report: one self-contained HTML page that tells a study, or several side by side."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from utsearch.files import write_atomic
from utsearch.report.confirmed import HOW, verdicts
from utsearch.report.costs import costs_figure
from utsearch.report.curves import curves_figure, volume_figure
from utsearch.report.effects import importance_figure, slices_figure
from utsearch.report.figure import pareto_figure, widths
from utsearch.report.groups import drawn, tally
from utsearch.report.page import asset, caption, comparison_list, front_html, template, text, under
from utsearch.report.parts import answers_html, choices_html, ended_html, settings_html, versus_html
from utsearch.report.prior import prior_figure
from utsearch.report.seeds import confirmed_figure
from utsearch.report.story import Story
from utsearch.report.theme import CONFIG, Figure
from utsearch.report.where import where_figure


def write_report(stories: Sequence[Story], path: Path) -> Path:
    """Write the report, whole or not at all."""
    write_atomic(path, report(stories))
    return path


def report(stories: Sequence[Story]) -> str:
    """The HTML; text from data is escaped here, and by Plotly inside its JSON.

    Raises:
        ValueError: no stories.
    """
    from plotly.io.json import to_json_plotly
    from plotly.offline import get_plotlyjs

    if not stories:
        raise ValueError("a report needs a study")
    names = ", ".join(story.about.study for story in stories)
    words: dict[str, int] = {}  # every hover text and design once: a trial stands in several figures
    made = [{key: _shared(figure, words) for key, figure in figures(story)} for story in stories]
    plots = [{"id": f"s{i}-{key}", **figure} for i, figs in enumerate(made) for key, figure in figs.items()]
    columns = [_column(story, f"s{i}", set(figs)) for i, (story, figs) in enumerate(zip(stories, made, strict=True))]
    return template("report.html").substitute(
        title=text(f"{names}: report"),
        style=asset("page.css") + asset("report.css"),
        versus=versus_html(stories) if len(stories) > 1 else "",
        columns="".join(f"<article>{column}</article>" for column in columns),
        count=str(len(stories)),
        plotly=get_plotlyjs(),
        script=template("report.js").substitute(
            plots=to_json_plotly(plots), words=to_json_plotly(list(words)), config=to_json_plotly(CONFIG)
        ),
    )


def _shared(figure: Figure, words: dict[str, int]) -> Figure:
    """The figure with indices into `words` for what is hovered and copied; `report.js` puts the texts back."""

    def index(value: Any) -> Any:
        if isinstance(value, list | tuple):
            return [index(each) for each in value]
        return words.setdefault(value, len(words)) if isinstance(value, str) else value

    treated = {"hovertext": index, "customdata": index, "x": _short, "y": _short, "error_y": _short}
    data = [
        {key: treated[key](value) if key in treated else value for key, value in trace.items()}
        for trace in figure["data"]
    ]
    return {**figure, "data": data}


def _short(value: Any) -> Any:
    """Numbers of a trace with the digits that can be seen."""
    if isinstance(value, Mapping):
        return {key: _short(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_short(each) for each in value]
    return float(f"{value:.6g}") if isinstance(value, float) else value


def figures(story: Story) -> Iterator[tuple[str, Figure]]:
    """The figures that this study has, by the id of their place."""
    if drawn(story.records):
        yield "front", _front(story)
    others = {
        "seeds": confirmed_figure(story.confirmed),
        "where": where_figure(story),
        "volume": volume_figure(story),
        "prior": prior_figure(story.records),
        "curves": curves_figure(story.records),
        "importance": importance_figure(story.importance),
        "slices": slices_figure(story),
        "costs": costs_figure(story.records),
    }
    yield from ((key, figure) for key, figure in others.items() if figure is not None)


def plotly_figures(story: Story) -> dict[str, Any]:
    """The figures as Plotly's own objects, for other pages than ours."""
    from plotly.graph_objects import Figure as PlotlyFigure

    return {key: PlotlyFigure({"data": each["data"], "layout": each["layout"]}) for key, each in figures(story)}


def _front(story: Story) -> Figure:
    """The Pareto front; its labels are placed for each range of widths."""
    figure = pareto_figure(story.records).to_dict()
    return {"data": figure["data"], "layout": figure["layout"], "views": widths(story.records)}


_SECTIONS = (
    (
        "where",
        "Where good designs put their tuners",
        "Share of good designs that tune each operation of each block: designs of the front count once, those within "
        "one standard error under it half. A block computes from bottom to top.",
    ),
    (
        "volume",
        "How the search went on",
        "Hypervolume: the share of the box from the linear probe to 100 % that the front dominates. Dots raised it.",
    ),
    (
        "prior",
        "What the prior had thought",
        "A prior's score of the designs that it queued, against what they reached; further right it liked them better. "
        "It queued the best of each size only, so this says less of a prior than a correlation over many designs does.",
    ),
    (
        "curves",
        "Learning curves",
        "Validation top-1 at every rung; a curve that ends early was stopped. Of many, evenly chosen ones are drawn.",
    ),
    (
        "importance",
        "What decides",
        "PED-ANOVA: in what the best tenth of the sampled designs differs from all. It sees one parameter at a time.",
    ),
    (
        "slices",
        "Site, form, rank, position",
        "How far finished designs lie below the best of at most their size; lines are medians, diamonds the catalogue. "
        "A design of several slots stands in several columns, so a column is no proof of a cause.",
    ),
    (
        "costs",
        "What accuracy costs",
        "Finished trials; further left is cheaper. Times depend on the machine and its load.",
    ),
)


# why a section has nothing to draw; of what was not asked for, such as a prior, nothing is said
_REASONS = {
    "where": "No finished design tunes anything yet.",
    "volume": "No trial has finished yet.",
    "curves": "No trial has reached a rung yet.",
    "importance": "Too few sampled trials yet; the catalogue's do not count.",
    "slices": "No finished design tunes anything yet.",
    "costs": "No trial has finished yet.",
}


def _column(story: Story, prefix: str, present: set[str]) -> str:
    records, about = story.records, story.about
    parts = [
        f"<h1>{text(f'Tuner designs on {about.dataset} with {about.backbone}')}</h1>",
        f'<p class="under">{text(under(records, about))}</p>',
        '<h2 class="short">In short</h2>',
        answers_html(story),
        choices_html(story),
        *(
            _drawn_front(prefix, story)
            if "front" in present
            else (_missing("The front", f"Nothing to draw yet: {tally(records)}."),)
        ),
        *(
            _confirmed(prefix, story)
            if "seeds" in present
            else (_missing("Confirmed over seeds", _unconfirmed(story)),)
        ),
        f"<section><h2>Against the catalogue, one seed on validation</h2>{comparison_list(records)}</section>",
        *(_part(prefix, part, present) for part in _SECTIONS),
        ended_html(story),
        settings_html(story),
    ]
    return "".join(parts)


def _section(prefix: str, key: str, heading: str, words: str) -> str:
    plot = f'<div class="plot" id="{prefix}-{key}" role="img" aria-label="{text(heading)}"></div>'
    return f"<section><h2>{text(heading)}</h2><figure>{plot}<figcaption>{text(words)}</figcaption></figure></section>"


def _part(prefix: str, part: tuple[str, str, str], present: set[str]) -> str:
    """A section, or the reason why there is none."""
    key, heading, words = part
    if key in present:
        return _section(prefix, key, heading, words)
    return _missing(heading, _REASONS[key]) if key in _REASONS else ""


def _missing(heading: str, why: str) -> str:
    return f'<section><h2>{text(heading)}</h2><p class="missing">{text(why)}</p></section>'


def _unconfirmed(story: Story) -> str:
    command = f"python cli.py confirm --study {story.about.study} --most 3 --seeds 10"
    return f"Not yet: every number of this page is of one seed. {command} retrains the front beside the known forms."


def _drawn_front(prefix: str, story: Story) -> Iterator[str]:
    yield _section(prefix, "front", "The front", caption(story.records))
    yield f'<section><div class="scroll">{front_html(story.records)}</div></section>'


def _confirmed(prefix: str, story: Story) -> Iterator[str]:
    """The confirmed front, and in words which new designs beat the known ones, and which do not."""
    yield _section(prefix, "seeds", "Confirmed over seeds", f"Retrained on train+val, read on test. {HOW}")
    first, *rest = verdicts(story.confirmed, story.rivalries)
    listed = "".join(f"<li>{text(line)}</li>" for line in rest)
    yield f"<section><p><strong>{text(first)}</strong></p><ul>{listed}</ul></section>"
