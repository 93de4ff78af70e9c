"""`search`: Optuna trials over a space of tuner designs, kept in a stored study."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from utsearch.cli.options import (
    STUDIES,
    BackboneName,
    BudgetText,
    Cache,
    DatasetName,
    Device,
    MaxParams,
    NewStudyName,
    RecipeText,
    SamplerName,
    Seed,
    SpaceName,
    Storage,
    Studies,
    Threads,
)

if TYPE_CHECKING:
    from utsearch.space import Space
    from utsearch.training import Problem


def search(
    budget: BudgetText = "5m",
    space: SpaceName = "mini",
    dataset: DatasetName = "mini-birds",
    backbone: BackboneName = "vit_mini",
    study: NewStudyName = None,
    storage: Storage = None,
    studies: Studies = STUDIES,
    sampler: SamplerName = "tpe",
    seed: Seed = 0,
    device: Device = "auto",
    max_params: MaxParams = None,
    cache: Cache = "1g",
    recipe: RecipeText = "",
    threads: Threads = None,
    workers: Annotated[
        int, typer.Option(min=1, help="Processes that share the study: one per GPU, or the CPU's cores shared out.")
    ] = 1,
) -> None:
    """Search tuner designs; Ctrl-C or a crash loses no finished trial, the same command goes on.

    Example: python cli.py search --dataset mini-cars --budget 30m --study cars
    """
    import time

    from utsearch.cli.look import about_of, print_result
    from utsearch.cli.opening import use_threads
    from utsearch.cli.workers import run_workers, share, worker_words
    from utsearch.report.board import board
    from utsearch.report.live import display
    from utsearch.search import Budget, note_search, parse_bytes, parse_size, prepare
    from utsearch.search import search as run_search
    from utsearch.search.samplers import check_sampler

    started = time.monotonic()
    limit = Budget.parse(budget)
    check_sampler(sampler)
    largest = None if max_params is None else parse_size(max_params)
    room = parse_bytes(cache)
    use_threads(threads)
    problem, chosen = _open(space, dataset, backbone, recipe, device, seed)
    problem = with_cache(problem, chosen, room)
    name = study or f"{Path(dataset).name}-{backbone}-{chosen.name}".replace("/", "-")
    opened = prepare(problem, chosen, name, storage_url=storage, studies_dir=studies)
    print(f"linear probe trained to convergence: {100 * opened.scale.floor:.1f} % val top-1", flush=True)
    progress = board(about_of(opened), opened.records(), trials=limit.trials, seconds=limit.seconds, started=started)
    on_event = display(progress)
    interrupted = False
    try:
        with on_event:
            if workers == 1:
                reason = run_search(
                    problem,
                    chosen,
                    opened,
                    limit,
                    sampler=sampler,
                    seed=seed,
                    max_params=largest,
                    on_event=on_event,
                    started=started,
                )
            else:
                note_search(problem, opened, sampler=sampler, seed=seed, max_params=largest)
                words = worker_words(opened, limit, time.monotonic() - started, studies, cache)
                reason = run_workers(opened, share(words, workers, device, threads), storage, on_event)
    except KeyboardInterrupt:
        interrupted, reason = True, "interrupted; the running trial is queued again, and the same command goes on"
    print(f"\n{reason[0].upper()}{reason[1:]}.")
    print_result(opened)
    if interrupted:
        raise typer.Exit(130)


def _open(space: str, dataset: str, backbone: str, recipe: str, device: str, seed: int) -> "tuple[Problem, Space]":
    """The problem and the space; a wrong space or recipe is found before the data are read."""
    from utsearch.backbones import GROUPS
    from utsearch.forms import info
    from utsearch.space import load_space
    from utsearch.training import Recipe, open_problem

    load_space(space, info())
    changed = Recipe.parse(recipe)
    print(f"reading {dataset} for {backbone} …", flush=True)
    problem = open_problem(dataset, backbone, recipe=changed, device=device, seed=seed)
    return problem, load_space(space, info(), {*problem.backbone.sites, *GROUPS})


def with_cache(problem: "Problem", space: "Space", room: int) -> "Problem":
    """The problem with a prefix cache at the cuts that are worth it for this space."""
    from dataclasses import replace

    from utsearch.report.progress import filling
    from utsearch.search.cuts import useful_cuts

    if not room:
        return problem
    cuts = useful_cuts(space, problem.depth, problem.first_tuned, list(problem.known.values()))
    cached = replace(problem, cache=room, cuts=cuts, on_fill=filling("filling the prefix cache"))
    if cached.prefixes is not None:
        print(cached.prefixes.notice, flush=True)
    return cached
