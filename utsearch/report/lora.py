"""New designs against LoRA: over confirmed seeds where there are some, else from the search's one seed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from utsearch.report.confirmed import verdicts
from utsearch.report.groups import accuracy, finished, front
from utsearch.report.story import Confirmed, Rivalry, Story
from utsearch.report.summary import CLEAR, Comparison
from utsearch.report.units import clean, count, percent, plural, points

if TYPE_CHECKING:
    from utsearch.search import Record

LORA = "lora"  # how the catalogue's LoRA designs are named
ONE_SEED = (
    "One seed, and picked as the best of many, which flatters it: run python cli.py confirm before you believe it."
)


def versus_lora(story: Story) -> str:
    """The answer in words."""
    confirmed = [rivalry for rivalry in story.rivalries if rivalry.other.startswith(LORA)]
    if confirmed:
        best = min(confirmed, key=lambda r: (r.verdict != "better", -r.difference))
        words = {"better": "Yes", "worse": "No"}.get(best.verdict, "Not shown")
        both = f"{clean(best.own)} against {clean(best.other)} on test over {plural(best.seeds, 'fresh seed')}"
        rest = verdicts(story.confirmed, story.rivalries)[0]
        return f"{words}: {both}: {_interval(best)} after Holm's correction ({best.verdict}). {rest}"
    new = [record for record in front(story.records) if not record.baseline]
    pairs = [pair for record in new if (pair := beside(record, story.records))]
    fair = [pair for pair in pairs if _fair(pair)]
    if not pairs:
        return "Unknown: no new design of the front and no LoRA have both finished."
    best_of = max(fair or pairs, key=lambda pair: pair.sigmas)
    return f"{_judged(best_of)} {ONE_SEED}"


def beside(record: Record, records: Sequence[Record]) -> Comparison | None:
    """A design and its LoRA: the best of at most its size; where none is so small, the smallest larger one."""
    loras = [other for other in finished(records) if (other.baseline or "").startswith(LORA)]
    fitting = [other for other in loras if other.n_params <= record.n_params]
    if fitting:
        return Comparison(record, max(fitting, key=accuracy))
    return Comparison(record, min(loras, key=lambda other: other.n_params)) if loras else None


def cell(record: Record, story: Story) -> str:
    """A design's lead over its LoRA, and how sure it is, for a table."""
    if (record.baseline or "").startswith(LORA):
        return "is LoRA"
    seen = confirmed_as(record, story)
    rivals = [r for r in story.rivalries if seen and r.own == seen.name and r.other.startswith(LORA)]
    if rivals:
        return f"{_interval(rivals[0])} ({clean(rivals[0].other)})"
    pair = beside(record, story.records)
    if pair is None:
        return "no LoRA was trained"
    times = "" if _fair(pair) or not record.n_params else f", {pair.rival.n_params / record.n_params:.1f}× as large"
    name = clean(pair.rival.baseline or "")
    one_seed = "; one seed" if seen else ""  # where the row tells of several
    return f"{points(pair.difference)} ± {percent(pair.standard_error)} ({name}{times}{one_seed})"


def confirmed_as(record: Record, story: Story) -> Confirmed | None:
    """What a design reached over fresh seeds, if it was confirmed."""
    return next((each for each in story.confirmed if each.design == record.design and each.interval), None)


def _fair(pair: Comparison) -> bool:
    """Whether the rival has no more parameters."""
    return pair.rival.n_params <= pair.new.n_params


def _interval(rivalry: Rivalry) -> str:
    spread = f"{points(rivalry.difference)} points [{points(rivalry.low)}, {points(rivalry.high)}]"
    return f"{spread}, p = {rivalry.p:.3f}"


def _judged(pair: Comparison) -> str:
    """One seed's comparison in words; a smaller design need not be more accurate to be of use."""
    strength = f"{points(pair.difference)} ± {percent(pair.standard_error)} points of validation top-1"
    name, clear = clean(pair.rival.baseline or ""), "Probably" if pair.beats else "Not shown"
    if _fair(pair):
        return f"{clear}: #{pair.new.number} against {name} of at most its size: {strength}."
    if pair.sigmas < -CLEAR:
        clear = "Smaller but worse"
    elif not pair.beats:
        clear = "Smaller, and no worse as far as is seen"
    sizes = f"{count(pair.new.n_params)} parameters against {count(pair.rival.n_params)} of {name}"
    return f"{clear}: #{pair.new.number} has {sizes}, the smallest LoRA of this study, and {strength}."
