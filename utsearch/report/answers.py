"""The questions a reader has, answered in plain words at the top of a report."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from utsearch.design import ALL
from utsearch.report.confirmed import spread
from utsearch.report.groups import accuracy, error, finished, front
from utsearch.report.story import Story, best_under, slots
from utsearch.report.summary import Comparison
from utsearch.report.units import clean, count, duration, percent, plural, points

if TYPE_CHECKING:
    from utsearch.search import Record

LIMIT = 50_000
LORA = "lora"  # how the catalogue's LoRA designs are named


class Answer(NamedTuple):
    """A question, its answer, and code to copy, if any; unescaped."""

    question: str
    answer: str
    code: str = ""


def answers(story: Story) -> list[Answer]:
    """Which design, is it better than LoRA, where does it sit, what did it cost, how to load it."""
    best = best_under(story.records, LIMIT)
    cost = Answer("What did the search cost?", _cost(story))
    if best is None:
        return [Answer(f"Which design under {count(LIMIT)} parameters?", "None has finished yet."), cost]
    return [
        Answer(f"Which design under {count(LIMIT)} parameters?", _which(best, story), clean(best.design)),
        Answer("Is a new design better than LoRA, and how sure?", versus_lora(story)),
        Answer("Where does it sit in the network?", where(best)),
        cost,
        Answer("How do I load it?", "Export it, then load the folder:", _loading(story, best)),
    ]


def _which(best: Record, story: Story) -> str:
    name = f" ({clean(best.baseline)} of the catalogue)" if best.baseline else ", a new design"
    words = f"trial #{best.number}{name}: {percent(accuracy(best))} ± {percent(error(best))} % validation top-1"
    words = f"{words} with {count(best.n_params)} parameters, one seed."
    seen = next((each for each in story.confirmed if each.design == best.design and each.interval), None)
    if seen is None:
        return words
    return f"{words} Confirmed: {spread(seen)} % test top-1 over {plural(seen.seeds, 'seed')}."


def versus_lora(story: Story) -> str:
    """Over confirmed seeds where there are some, else from the search's single seed, and then said so."""
    confirmed = [rivalry for rivalry in story.rivalries if rivalry.other.startswith(LORA)]
    if confirmed:
        best = min(confirmed, key=lambda r: (r.verdict != "better", -r.difference))
        spread = f"{points(best.difference)} points [{points(best.low)}, {points(best.high)}]"
        words = {"better": "Yes", "worse": "No"}.get(best.verdict, "Not shown")
        pair = f"{clean(best.own)} against {clean(best.other)} on test over fresh seeds"
        return f"{words}: {pair}: {spread}, p = {best.p:.3f} after Holm's correction ({best.verdict})."
    pair_of = _nearest_lora(story.records)
    if pair_of is None:
        return "Unknown: no new design of the front has a finished LoRA of at most its size beside it."
    strength = f"{points(pair_of.difference)} ± {percent(pair_of.standard_error)} points"
    clear = "Probably" if pair_of.beats else "Not shown"
    pair = f"#{pair_of.new.number} against {clean(pair_of.rival.baseline or '')}"
    advice = (
        "One seed, and picked as the best of many, which flatters it: run python cli.py confirm before you believe it."
    )
    return f"{clear}: {pair} of at most its size: {strength} of validation top-1. {advice}"


def _nearest_lora(records: Sequence[Record]) -> Comparison | None:
    loras = [record for record in finished(records) if (record.baseline or "").startswith(LORA)]
    pairs = []
    for record in front(records):
        rivals = [rival for rival in loras if rival.n_params <= record.n_params]
        if rivals and not record.baseline:
            pairs.append(Comparison(record, max(rivals, key=accuracy)))
    return max(pairs, key=lambda pair: pair.sigmas, default=None)


def where(best: Record) -> str:
    """The slots of a design in words."""
    if not (parts := slots(best)):
        return "Nowhere: it is the linear head alone."
    sentences = []
    for slot in parts:
        rank = "" if slot.rank is None else f" of size {slot.rank}"
        blocks = "every block" if slot.blocks == ALL else f"blocks {slot.blocks}"
        sentences.append(f"{slot.form}{rank} on {' and '.join(slot.sites)} in {blocks}")
    return clean("; ".join(sentences)) + "."


def _cost(story: Story) -> str:
    trained = [record for record in story.records if record.status in ("finished", "stopped", "failed")]
    went_on = {record.resumes for record in trained}
    stopped = sum(record.status == "stopped" and record.number not in went_on for record in trained)
    total = duration(sum(record.seconds for record in trained))
    hosts = sorted({clean(str(session["host"])) for session in story.sessions if "host" in session})
    where = f" on {', '.join(hosts)}" if hosts else ""
    sessions = f" in {plural(len(story.sessions), 'session')}{where}" if story.sessions else ""
    words = f"{total} of training over {plural(len(trained), 'trial')}{sessions}"
    return f"{words}; {plural(stopped, 'trial')} stopped early."


def _loading(story: Story, best: Record) -> str:
    export = f"python cli.py export --study {clean(story.about.study)} --pick trial={best.number} --out my-tuner"
    return f'{export}\n\nimport utsearch\ntuned = utsearch.load("my-tuner")  # .model, .transform, .class_names'
