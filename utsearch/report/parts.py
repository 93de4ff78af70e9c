"""The parts of a report that are text and tables, as HTML; whatever comes from data is escaped."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from html import escape

from utsearch.report.answers import LIMIT, answers, choices
from utsearch.report.groups import front, hypervolume, title
from utsearch.report.page import flatten, text
from utsearch.report.story import Story, best_under
from utsearch.report.units import count, duration, percent, plural

MOST_ENDED = 200  # rows of the table of trials that did not finish


def answers_html(story: Story) -> str:
    """What a reader asks first."""
    rows = []
    for question, answer, code in answers(story):
        copied = f'<button class="copy"><code>{escape(code)}</code></button>' if code else ""
        rows.append(f"<dt>{text(question)}</dt><dd>{text(answer)}{copied}</dd>")
    return f'<dl class="answers">{"".join(rows)}</dl>'


def choices_html(story: Story) -> str:
    """The best design of a few sizes; a click copies it."""
    chosen = choices(story)
    if not chosen:
        return ""
    names = ("at most", "trial", "params", "val top-1 %", "lead over LoRA, points", "how sure", "design")
    classes = ("number", "", "number", "number", "", "", "design")
    head = "".join(f'<th class="{kind}">{text(name)}</th>' for kind, name in zip(classes, names, strict=True))
    rows = []
    for each in chosen:
        cells = zip(classes, (*each[:-1], ""), strict=True)
        *plain, _ = [f'<td class="{kind}">{text(word)}</td>' for kind, word in cells]
        design = f'<button class="copy"><code>{escape(each.design)}</code></button>'
        rows.append(f'<tr>{"".join(plain)}<td class="design">{design}</td></tr>')
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"
    return f'<section class="sizes"><h3>The best design of each size</h3><div class="scroll">{table}</div></section>'


def ended_html(story: Story) -> str:
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


def settings_html(story: Story) -> str:
    """Everything that a study refuses to mix, and where it was searched."""
    listed = "".join(f"<dt>{text(k)}</dt><dd>{text(v)}</dd>" for k, v in flatten(story.about.settings))
    sessions = "".join(
        f"<li>{text(str(session.get('started', '?')))} on {text(str(session.get('host', '?')))}: "
        f"<code>{text(str(session.get('command', '?')))}</code></li>"
        for session in story.sessions
    )
    again = f"<h3>Sessions</h3><ul>{sessions}</ul>" if sessions else ""
    return f"<section><h2>Settings and fingerprints</h2><dl>{listed}</dl>{again}</section>"


def versus_html(stories: Sequence[Story]) -> str:
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
