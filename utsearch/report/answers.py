"""The questions a reader has, answered in plain words at the top of a report."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from utsearch.design import ALL
from utsearch.report.confirmed import spread
from utsearch.report.groups import accuracy, error
from utsearch.report.lora import cell, confirmed_as, versus_lora
from utsearch.report.story import Story, best_under, slots
from utsearch.report.units import clean, count, duration, percent, plural, short_count

if TYPE_CHECKING:
    from utsearch.search import Record

LIMIT = 50_000
SIZES = (1_000, 5_000, 10_000, LIMIT)


class Answer(NamedTuple):
    """A question, its answer, and code to copy, if any; unescaped."""

    question: str
    answer: str
    code: str = ""


class Choice(NamedTuple):
    """The best design of a size: unescaped words of a row, and the design's text."""

    size: str
    trial: str
    params: str
    top1: str
    lora: str
    sure: str
    design: str


def answers(story: Story) -> list[Answer]:
    """Which design, is it better than LoRA, where does it sit, what did it cost, how to load it."""
    best = best_under(story.records, LIMIT)
    cost = Answer("What did the search cost?", _cost(story))
    if best is None:
        return [Answer(f"Which design under {count(LIMIT)} parameters?", "None has finished yet."), cost]
    verb = "Export" if story.has_weights else "Train"  # a reference study has no weights to export
    return [
        Answer(f"Which design under {count(LIMIT)} parameters?", _which(best, story), clean(best.design)),
        Answer("Is a new design better than LoRA, and how sure?", versus_lora(story) + _unconfirmed(best, story)),
        Answer("Where does it sit in the network?", where(best)),
        cost,
        Answer("How do I load it?", f"{verb} it, then load the folder:", _loading(story, best)),
    ]


def _which(best: Record, story: Story) -> str:
    name = f" ({clean(best.baseline)} of the catalogue)" if best.baseline else ", a new design"
    words = f"trial #{best.number}{name}: {percent(accuracy(best))} ± {percent(error(best))} % validation top-1"
    words = f"{words} with {count(best.n_params)} parameters, one seed."
    seen = confirmed_as(best, story)
    if seen is None:
        return words
    return f"{words} Confirmed: {spread(seen)} % test top-1 over {plural(seen.seeds, 'seed')}."


def _unconfirmed(best: Record, story: Story) -> str:
    """That what was confirmed is another design than the one above, and how sure that one is."""
    if not story.rivalries or best.baseline or confirmed_as(best, story):
        return ""
    return f" Trial #{best.number} itself was not confirmed: {cell(best, story)} points on one seed of validation."


def choices(story: Story) -> list[Choice]:
    """The best design of a few sizes, each design once, at the largest size it is the best of."""
    rows: dict[int, Choice] = {}
    for limit, size in _sizes(story.records):
        best = best_under(story.records, limit)
        if best is not None:
            rows.pop(best.number, None)
            rows[best.number] = _choice(best, size, story)
    return list(rows.values())


def _sizes(records: Sequence[Record]) -> Iterator[tuple[int, str]]:
    yield from ((limit, short_count(limit)) for limit in SIZES)
    yield max((record.n_params for record in records), default=0), "any size"


def _choice(best: Record, size: str, story: Story) -> Choice:
    seen = confirmed_as(best, story)
    top1 = f"{percent(accuracy(best))} ± {percent(error(best))}"
    sure = "one seed" if seen is None else f"confirmed: {spread(seen)} % of test, {plural(seen.seeds, 'seed')}"
    name = f" {clean(best.baseline)}" if best.baseline else ""
    words = (size, f"#{best.number}{name}", count(best.n_params), top1, cell(best, story), sure)
    return Choice(*words, design=clean(best.design))


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
    machine = story.about.settings.get("machine", {})
    device = f", device {clean(str(machine['device']))}" if "device" in machine else ""
    words = f"{total} of training over {plural(len(trained), 'trial')}{sessions}{device}"
    confirmed = " Confirming came on top of it." if story.confirmed else ""
    return f"{words}; {plural(stopped, 'trial')} stopped early for good.{confirmed}"


def _loading(story: Story, best: Record) -> str:
    if story.has_weights:
        made = f"python cli.py export --study {clean(story.about.study)} --pick trial={best.number} --out my-tuner"
    else:
        dataset, backbone = clean(story.about.dataset), clean(story.about.backbone)
        train = f'python cli.py train --design "{clean(best.design)}"'
        made = f"{train} --dataset {dataset} --backbone {backbone}{_data_options(story)} --out my-tuner"
    return f'{made}\n\nimport utsearch\ntuned = utsearch.load("my-tuner")  # .model, .transform, .class_names'


def _data_options(story: Story) -> str:
    """The options of `train` that give the images of the search."""
    settings = story.about.settings
    chosen = {"img_size": settings.get("backbone", {}).get("img_size"), **settings.get("dataset", {}).get("subset", {})}
    chosen["subset_seed"] = chosen.pop("seed", 0) or None
    named = ("img_size", "classes", "shots", "val_shots", "fraction", "subset_seed")
    given = [(name, chosen[name]) for name in named if chosen.get(name) is not None]
    return "".join(f" --{name.replace('_', '-')} {clean(str(value))}" for name, value in given)
