"""The report: one self-contained HTML page that tells a study, or several side by side."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from utsearch.files import write_atomic
from utsearch.report.answers import LIMIT, Answer, answers
from utsearch.report.confirmed import HOW, verdicts
from utsearch.report.costs import costs_figure
from utsearch.report.curves import curves_figure, volume_figure
from utsearch.report.effects import importance_figure, slices_figure
from utsearch.report.figure import pareto_figure, sized
from utsearch.report.frame import VIEWS
from utsearch.report.groups import front, hypervolume, title
from utsearch.report.page import asset, caption, comparison_list, flatten, front_html, template, text, under
from utsearch.report.seeds import confirmed_figure
from utsearch.report.story import Story, best_under
from utsearch.report.theme import CONFIG
from utsearch.report.units import count, duration, percent, plural
from utsearch.report.where import where_figure

MOST_ENDED = 200  # rows of the table of trials that did not finish

Figure = dict[str, Any]


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
    drawn = [{key: _shared(figure, words) for key, figure in figures(story)} for story in stories]
    plots = [{"id": f"s{i}-{key}", **figure} for i, figs in enumerate(drawn) for key, figure in figs.items()]
    columns = [_column(story, f"s{i}", set(figs)) for i, (story, figs) in enumerate(zip(stories, drawn, strict=True))]
    return template("report.html").substitute(
        title=text(f"{names}: report"),
        style=asset("page.css") + asset("report.css"),
        versus=_versus(stories) if len(stories) > 1 else "",
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
    drawn = pareto_figure(story.records).to_dict()
    views = [{"min_width": view.min_width, "layout": sized(story.records, view)} for view in VIEWS]
    yield "front", {"data": drawn["data"], "layout": drawn["layout"], "views": views}
    others = {
        "seeds": confirmed_figure(story.confirmed),
        "where": where_figure(story),
        "volume": volume_figure(story),
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


def _column(story: Story, prefix: str, present: set[str]) -> str:
    records, about = story.records, story.about
    parts = [
        f"<h1>{text(f'Tuner designs on {about.dataset} with {about.backbone}')}</h1>",
        f'<p class="under">{text(under(records, about))}</p>',
        _answers(answers(story)),
        _section(prefix, "front", "The front", caption(records)),
        f'<section><div class="scroll">{front_html(records)}</div></section>',
        *(_confirmed(prefix, story) if "seeds" in present else ()),
        f"<section><h2>Against the catalogue, one seed on validation</h2>{comparison_list(records)}</section>",
        *(_section(prefix, key, heading, words) for key, heading, words in _SECTIONS if key in present),
        _ended(story),
        _settings(story),
    ]
    return "".join(parts)


def _section(prefix: str, key: str, heading: str, words: str) -> str:
    plot = f'<div class="plot" id="{prefix}-{key}" role="img" aria-label="{text(heading)}"></div>'
    return f"<section><h2>{text(heading)}</h2><figure>{plot}<figcaption>{text(words)}</figcaption></figure></section>"


def _confirmed(prefix: str, story: Story) -> Iterator[str]:
    """The confirmed front, and in words which new designs beat the known ones, and which do not."""
    yield _section(prefix, "seeds", "Confirmed over seeds", f"Retrained on train+val, read on test. {HOW}")
    first, *rest = verdicts(story.confirmed, story.rivalries)
    listed = "".join(f"<li>{text(line)}</li>" for line in rest)
    yield f"<section><p><strong>{text(first)}</strong></p><ul>{listed}</ul></section>"


def _answers(given: Sequence[Answer]) -> str:
    rows = []
    for question, answer, code in given:
        copied = f'<button class="copy"><code>{escape(code)}</code></button>' if code else ""
        rows.append(f"<dt>{text(question)}</dt><dd>{text(answer)}{copied}</dd>")
    return f'<dl class="answers">{"".join(rows)}</dl>'


def _ended(story: Story) -> str:
    """What did not finish, and why."""
    lost = [record for record in story.records if record.status not in ("finished", "running", "waiting")]
    if not lost:
        return ""
    went_on = {r.resumes: f"; trial {r.number} resumes it" for r in story.records if r.status != "duplicate"}
    tally = Counter((record.status, record.epoch) for record in lost)
    listed = ", ".join(f"{n} {status} at epoch {epoch}" for (status, epoch), n in sorted(tally.items()))
    rows = "".join(
        f"<tr><td class=number>#{record.number}</td><td>{text(record.status)}</td><td class=number>{record.epoch}</td>"
        f"<td>{text((record.reason or '') + went_on.get(record.number, ''))}</td>"
        f"<td class=design><code>{text(title(record))}</code></td></tr>"
        for record in lost[:MOST_ENDED]
    )
    more = f"<p>{len(lost) - MOST_ENDED} more are not listed.</p>" if len(lost) > MOST_ENDED else ""
    head = "<tr><th class=number>trial</th><th>end</th><th class=number>epoch</th><th>why</th><th>design</th></tr>"
    return (
        f"<section><h2>What was stopped, and why</h2><p>{text(listed)}.</p><details><summary>All of them</summary>"
        f'<div class="scroll"><table><thead>{head}</thead><tbody>{rows}</tbody></table></div>{more}</details></section>'
    )


def _settings(story: Story) -> str:
    listed = "".join(f"<dt>{text(k)}</dt><dd>{text(v)}</dd>" for k, v in flatten(story.about.settings))
    sessions = "".join(
        f"<li>{text(str(session.get('started', '?')))} on {text(str(session.get('host', '?')))}: "
        f"<code>{text(str(session.get('command', '?')))}</code></li>"
        for session in story.sessions
    )
    again = f"<h3>Sessions</h3><ul>{sessions}</ul>" if sessions else ""
    return f"<section><h2>Settings and fingerprints</h2><dl>{listed}</dl>{again}</section>"


def _versus(stories: Sequence[Story]) -> str:
    """The studies in one table."""
    heads = ("study", "trials", "front", "best top-1 %", f"best under {count(LIMIT)}", "hypervolume", "training")
    head = "".join(f'<th class="{"number" if i else ""}">{text(name)}</th>' for i, name in enumerate(heads))
    rows = "".join(f"<tr>{''.join(_versus_cells(story))}</tr>" for story in stories)
    differing = _differing(stories)
    settings = f"<p>Settings that differ: {text(', '.join(differing))}.</p>" if differing else ""
    note = "<p>Hypervolumes compare only where their boxes (scale) are the same.</p>"
    table = f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>'
    heading = f"<h1>{text(plural(len(stories), 'study', 'studies'))}</h1>"
    return f'<section class="versus">{heading}{table}{note}{settings}</section>'


def _versus_cells(story: Story) -> Iterator[str]:
    records, volume = story.records, hypervolume(story.records, story.about.scale)
    members, under_limit = front(records), best_under(records, LIMIT)
    yield f"<td>{text(story.about.study)}</td>"
    numbers = (
        str(len(records)),
        str(len(members)),
        percent(members[-1].top1 or 0.0) if members else "-",
        percent(under_limit.top1 or 0.0) if under_limit else "-",
        "-" if volume is None else f"{volume:.3f}",
        duration(sum(record.seconds for record in records)),
    )
    yield from (f'<td class="number">{text(value)}</td>' for value in numbers)


def _differing(stories: Sequence[Story]) -> list[str]:
    """Names of settings, versions and machines apart, that are not the same in all."""
    flat: list[Mapping[str, str]] = [dict(flatten(story.about.settings)) for story in stories]
    names = dict.fromkeys(name for settings in flat for name in settings)
    return [
        name
        for name in names
        if not name.startswith(("versions.", "machine.")) and len({settings.get(name) for settings in flat}) > 1
    ]
