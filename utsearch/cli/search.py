"""`search`: Optuna trials over a space of tuner designs, kept in a stored study."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from utsearch.cli.options import (
    STUDIES,
    BackboneName,
    BudgetText,
    Cache,
    CacheType,
    Classes,
    Compile,
    DatasetName,
    Decoders,
    Device,
    Fraction,
    ImgSize,
    MaxLatency,
    MaxParams,
    NewStudyName,
    NoCache,
    Pack,
    Pool,
    PriorName,
    Protocol,
    PrunerName,
    RecipeText,
    SamplerName,
    Seed,
    Shots,
    SpaceName,
    Storage,
    Studies,
    SubsetSeed,
    Threads,
    ValShots,
    WarmStart,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from utsearch.cli.opening import Chosen
    from utsearch.search import Budget, Study
    from utsearch.space import Space
    from utsearch.training import Problem

MORE = (
    "The known designs are trained first. To reach new ones give a larger --budget, or cheaper trials: fewer images "
    "(--shots 50, --classes 20) or smaller ones (--img-size) make another study."
)


def search(
    budget: BudgetText = "5m",
    space: SpaceName = "mini",
    dataset: DatasetName = "mini-birds",
    backbone: BackboneName = "vit_mini",
    study: NewStudyName = None,
    storage: Storage = None,
    studies: Studies = STUDIES,
    sampler: SamplerName = "auto",
    pruner: PrunerName = "forecast",
    warm_start: WarmStart = None,
    prior: PriorName = "none",
    seed: Seed = 0,
    device: Device = "auto",
    max_params: MaxParams = None,
    max_latency: MaxLatency = None,
    cache: Cache = "1g",
    uncached: NoCache = False,
    cache_dtype: CacheType = "exact",
    recipe: RecipeText = "",
    threads: Threads = None,
    classes: Classes = None,
    shots: Shots = None,
    fraction: Fraction = None,
    val_shots: ValShots = None,
    subset_seed: SubsetSeed = 0,
    protocol: Protocol = None,
    img_size: ImgSize = None,
    pool: Pool = None,
    compiled: Compile = False,
    decoders: Decoders = None,
    pack: Pack = 1,
    workers: Annotated[
        int, typer.Option(min=1, help="Processes that share the study: one per GPU, or the CPU's cores shared out.")
    ] = 1,
    launcher: Annotated[
        str, typer.Option(help="Where workers run: local (this machine), ray, or slurm (docs/scale.md).")
    ] = "local",
    launcher_option: Annotated[
        list[str] | None, typer.Option(help="Of the launcher, key=value: partition=gpu, minutes=240, cpus=4, gpus=1, …")
    ] = None,
) -> None:
    """Search tuner designs; Ctrl-C or a crash loses no finished trial, the same command goes on.

    Example: python cli.py search --dataset mini-cars --budget 30m --study cars

    Example: python cli.py search --dataset cub:/data/CUB_200_2011 --classes 40 --shots 16 --protocol vpt
    """
    import re
    import time
    from functools import partial

    from utsearch.cli.look import print_result
    from utsearch.cli.opening import Chosen, check_pack, use_threads
    from utsearch.cli.priors import check_prior, queue_prior
    from utsearch.cli.workers import check_shared, run_workers, share, worker_words
    from utsearch.data import Subset
    from utsearch.launch import make_launcher, worker_start
    from utsearch.search import (
        Budget,
        LatencyLimit,
        enqueue_front,
        make_rule,
        note_search,
        open_study,
        parse_bytes,
        parse_size,
        prepare,
    )
    from utsearch.search import search as run_search
    from utsearch.search.samplers import check_sampler
    from utsearch.search.storage import advice
    from utsearch.training.prefix import check_type

    started = time.monotonic()
    limit = Budget.parse(budget)
    sampler = check_sampler(sampler)
    rule = make_rule(pruner)
    check_prior(prior)
    check_pack(pack, compiled)
    largest = None if max_params is None else parse_size(max_params)
    slowest = None if max_latency is None else LatencyLimit.parse(max_latency)
    room = 0 if uncached else parse_bytes(cache)
    check_type(cache_dtype)
    name = study or re.sub("[/:]", "-", f"{Path(dataset).name}-{backbone}-{Path(space).stem}")
    engine = None
    if workers > 1 or launcher != "local" or launcher_option:
        engine = make_launcher(launcher, launcher_option or (), device=device, folder=studies / name / launcher)
        check_shared(engine, storage)
    use_threads(threads)
    subset = Subset(classes, shots, fraction, val_shots, subset_seed)
    problem, chosen = _open(
        space, Chosen(dataset, backbone, recipe, device, seed, subset, protocol, img_size, pool, compiled, decoders)
    )
    problem = with_cache(problem, chosen, room, cache_dtype)
    opened = prepare(problem, chosen, name, storage_url=storage, studies_dir=studies)
    if notice := advice(opened.url, workers):
        print(notice, flush=True)
    print(f"linear probe trained to convergence: {100 * opened.scale.floor:.1f} % val top-1", flush=True)
    if warm_start is not None:
        source = open_study(warm_start, storage, studies_dir=studies)
        queued = enqueue_front(opened, problem, chosen, source, largest)
        print(f"warm start: {queued} designs of {source.name}'s front are queued", flush=True)
    queue_prior(prior, opened, problem, chosen, largest)
    run: Callable[..., str] = partial(
        run_search,
        problem,
        chosen,
        opened,
        limit,
        sampler=sampler,
        seed=seed,
        max_params=largest,
        max_latency=slowest,
        rule=rule,
        started=started,
        pack=pack,
    )
    if engine is not None:
        limits = {"max_params": largest, "max_latency": max_latency}
        note_search(problem, opened, sampler=sampler, pruner=pruner, seed=seed, **limits)
        words = worker_words(opened, limit, time.monotonic() - started, studies, "0" if uncached else cache, pack)
        shares = share(words, workers, device, threads, engine.cpus)
        run = partial(run_workers, opened, engine, [worker_start(own, storage) for own in shares])
    prepared, before = time.monotonic() - started, _counted(opened)
    reason = _run(opened, run, limit, started)
    said = reason or "interrupted; the running trial is queued again, and the same command goes on"
    if reason and _counted(opened) == before:
        said = f"{reason}, and no trial has ended: reading and preparing took {prepared:.0f} s; give a larger --budget"
    print(f"\n{said[0].upper()}{said[1:]}.")
    print_result(opened)
    if not any(record.status == "finished" and not record.baseline for record in opened.records()):
        print(MORE)
    if reason is None:
        raise typer.Exit(130)


def _counted(opened: "Study") -> int:
    """Trials that count against a budget."""
    return sum(record.status in ("finished", "stopped") for record in opened.records())


def _run(opened: "Study", run: "Callable[..., str]", limit: "Budget", started: float) -> str | None:
    """Search with a live display; why it ended, or None for Ctrl-C."""
    from utsearch.report.board import board
    from utsearch.report.live import display
    from utsearch.report.telling import about_of

    progress = board(about_of(opened), opened.records(), trials=limit.trials, seconds=limit.seconds, started=started)
    on_event = display(progress)
    try:
        with on_event:
            return run(on_event=on_event)
    except KeyboardInterrupt:
        return None


def _open(space: str, chosen: "Chosen") -> "tuple[Problem, Space]":
    """The problem and the space; a wrong space is found before the data are read."""
    from utsearch.backbones import GROUPS
    from utsearch.cli.progress import bar
    from utsearch.forms import info
    from utsearch.space import load_space

    load_space(space, info())
    problem = chosen.open()
    with bar() as shown:
        problem.dataset.check_test(shown)  # a broken file would be found only after the search
    return problem, load_space(space, info(), {*problem.backbone.sites, *GROUPS})


def with_cache(problem: "Problem", space: "Space", room: int, dtype: str) -> "Problem":
    """The problem with a prefix cache of so many bytes at the cuts that are worth it for this space."""
    from dataclasses import replace

    from utsearch.report.progress import filling
    from utsearch.search.cuts import useful_cuts
    from utsearch.training.prefix import Storing, disk_cache

    if not room:
        return problem
    cuts = useful_cuts(space, problem.depth, problem.first_tuned, list(problem.known.values()))
    disk = disk_cache(lambda reason: print(f"the prefix cache stays in memory: {reason}", flush=True))
    storing = Storing(dtype, disk, filling("filling the prefix cache"))
    cached = replace(problem, cache=room, cuts=cuts, storing=storing)
    if cached.prefixes is not None:
        print(cached.prefixes.notice, flush=True)
    return cached
