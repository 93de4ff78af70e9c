"""Write the tables of docs/results.md from the reference studies; the text above them stays as it is.

python tools/make_results.py
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

from utsearch.report.confirmed import confirmed_of, difference, rivalries_of, spread, verdicts
from utsearch.report.story import Confirmed, Rivalry
from utsearch.search import Study, open_study
from utsearch.search.comparing import comparisons
from utsearch.search.evaluation import results

ROOT = Path(__file__).parents[1]
PATH, STUDIES = ROOT / "docs" / "results.md", ROOT / "studies"
MARK = "<!-- what follows is written by: python tools/make_results.py -->\n"


def page() -> str:
    """The whole file."""
    head, _, _ = PATH.read_text().partition(MARK)
    names = sorted(path.stem for path in STUDIES.glob("reference-*.db"))
    return "\n".join([head + MARK, *(part for name in names for part in _study(name))])


def _study(name: str) -> Iterator[str]:
    study = open_study(name, studies_dir=STUDIES)
    found = results(study)
    confirmed, rivalries = confirmed_of(found), rivalries_of(comparisons(found))
    yield f"## {study.settings['dataset']['name']}\n"
    yield f"![the confirmed front](images/{name}.png)\n"
    yield _searched(study) + "\n"
    yield "\n".join(verdicts(confirmed, rivalries)) + "\n"
    new = [each.name for each in confirmed if not each.known]
    leads = "".join(f" lead of {_escaped(own)} |" for own in new)
    yield f"| parameters | test top-1 %, 95% interval | seeds | name | design |{leads}"
    yield "|---:|---|---:|---|---|" + "---|" * len(new)
    yield from (_row(each, new, rivalries) for each in confirmed)
    yield f"\n    python cli.py pareto --study {name}\n    python cli.py report --study {name}\n"


def _searched(study: Study) -> str:
    """How the study came to be."""
    ended = [record for record in study.records() if record.status in ("finished", "stopped")]
    stopped = sum(record.status == "stopped" for record in ended)
    minutes = sum(record.seconds for record in ended) / 60
    command = study.sessions[0]["command"]
    trained = f"{len(ended)} designs trained, {stopped} of them stopped early"
    return f"`{command}`: {trained}, {minutes:.0f} minutes of training."


def _row(each: Confirmed, new: Sequence[str], rivalries: Sequence[Rivalry]) -> str:
    leads = {one.own: f"{difference(one)} ({one.verdict})" for one in rivalries if one.other == each.name}
    cells = "".join(f" {leads.get(own, '')} |" for own in new)
    name = each.name if each.known else f"**{_escaped(each.name)}**, new"
    return f"| {each.n_params:,} | {spread(each)} | {each.seeds} | {name} | `{_escaped(each.design)}` |{cells}"


def _escaped(text: str) -> str:
    """For a cell of a table in Markdown."""
    return text.replace("|", "\\|")


if __name__ == "__main__":
    PATH.write_text(page())
    print(f"wrote {PATH.relative_to(ROOT)}")
