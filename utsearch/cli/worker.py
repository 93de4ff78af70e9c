"""`worker`: join a study that another process started."""

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from utsearch.cli.options import STUDIES, BudgetText, Cache, Device, NoCache, Pack, Storage, Studies, StudyName, Threads

if TYPE_CHECKING:
    from utsearch.search import Study
    from utsearch.space import Space
    from utsearch.training import Problem


def worker(
    study: StudyName = None,
    storage: Storage = None,
    studies: Studies = STUDIES,
    budget: BudgetText = "1h",
    device: Device = "auto",
    threads: Threads = None,
    cache: Cache = "1g",
    uncached: NoCache = False,
    pack: Pack = 1,
    until: Annotated[int | None, typer.Option(hidden=True, min=0)] = None,
    stream: Annotated[int, typer.Option(hidden=True, min=0)] = 0,
) -> None:
    """Join a study from this or another machine: data, space, recipe, sampler and seed are those of the study.

    Example: python cli.py worker --study cars --storage postgresql+psycopg://me@server/studies --budget 4h
    """
    from utsearch.cli.opening import check_pack, problem_of, use_threads
    from utsearch.cli.search import with_cache
    from utsearch.report.board import board
    from utsearch.report.live import display
    from utsearch.report.telling import about_of
    from utsearch.search import Budget, LatencyLimit, make_rule, open_study, parse_bytes, prepare
    from utsearch.search import search as run_search
    from utsearch.training.prefix import EXACT

    limit, room = Budget.parse(budget), 0 if uncached else parse_bytes(cache)
    use_threads(threads)
    found = open_study(study, storage, studies_dir=studies)
    check_pack(pack, bool(found.settings["machine"].get("compiler")))
    problem = problem_of(found, device)
    space = _space_of(found, problem)
    problem = with_cache(problem, space, room, found.settings["machine"].get("cache_dtype", EXACT))
    opened = prepare(problem, space, found.name, storage_url=storage, studies_dir=studies)
    asked = opened.sessions[-1] if opened.sessions else {}
    parent = os.getppid()
    progress = board(about_of(opened), opened.records(), trials=limit.trials, seconds=limit.seconds)
    with display(progress) as on_event:
        reason = run_search(
            problem,
            space,
            opened,
            limit,
            sampler=asked.get("sampler", "auto"),
            rule=make_rule(asked.get("pruner", "forecast")),
            seed=asked.get("seed", 0),
            max_params=asked.get("max_params"),
            max_latency=LatencyLimit.parse(asked["max_latency"]) if asked.get("max_latency") else None,
            on_event=on_event,
            until=until,
            pack=pack,
            stream=stream or os.getpid(),
            orphaned=lambda: until is not None and os.getppid() != parent,
        )
    print(f"\n{reason[0].upper()}{reason[1:]}.")


def _space_of(study: "Study", problem: "Problem") -> "Space":
    """The space as the study keeps it; the file it came from may have changed since."""
    from utsearch.backbones import GROUPS
    from utsearch.forms import info
    from utsearch.search.storage import check_name
    from utsearch.space import load_space

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{check_name(study.settings['space']['name'])}.toml"  # a stranger's study may say "../"
        path.write_text(study.space_text, encoding="utf-8")
        return load_space(str(path), info(), {*problem.backbone.sites, *GROUPS})
