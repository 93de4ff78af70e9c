"""A search by several workers: what each is told, and how it is watched."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from utsearch.launch import Launcher, Start
    from utsearch.search import Budget, Event, Study


def run_workers(
    study: "Study", launcher: "Launcher", starts: "Sequence[Start]", on_event: "Callable[[Event], None]"
) -> str:
    """Run workers to their end and tell what happens in the study; returns why it ended.

    Raises:
        UserError: every worker failed; the reason of the first.
    """
    from utsearch.errors import UserError
    from utsearch.launch import running
    from utsearch.search.record import SearchEnded
    from utsearch.search.watch import watch

    with running(launcher, starts):
        watch(study, on_event, launcher.alive)
        failed = launcher.complaints()
    if failed and len(failed) == len(starts):
        raise UserError(f"every worker failed, the first one because: {failed[0]}")
    reason = "the budget is used up"
    if failed:
        reason += f"; {len(failed)} of {len(starts)} workers failed: {failed[0]}"
    on_event(SearchEnded(reason))
    return reason


def check_shared(launcher: "Launcher", storage: str | None) -> None:
    """Refuse a SQLite file for workers on several machines: its locks do not hold over a network.

    Raises:
        UserError: they are, and it is one.
    """
    from utsearch.errors import UserError

    if (storage is None or storage.startswith("sqlite")) and not launcher.one_machine():
        raise UserError(
            "workers on several machines need a storage that they can share: --storage postgresql+psycopg://… "
            "(a SQLite file is for one machine)"
        )


def worker_words(study: "Study", limit: "Budget", passed: float, studies: Path, cache: str, pack: int) -> list[str]:
    """The words of `worker` that all workers of a search share; what is left of the budget is for all of them."""
    words = ["--study", study.name, "--studies", str(studies.absolute()), "--cache", cache, "--pack", str(pack)]
    if limit.seconds is not None:
        return [*words, "--budget", f"{max(1.0, limit.seconds - passed):.1f}s", "--until", str(10**9)]
    counted = sum(record.is_new for record in study.records())
    until = counted + (limit.trials or 0)
    return [*words, "--budget", "1000h", "--until", str(until)]


def share(words: list[str], n: int, device: str, threads: int | None, cpus: int | None = None) -> list[list[str]]:
    """The words of each of n workers: its number, its device and its share of the cores.

    An engine that gives each worker so many `cpus` hands out the GPUs as well.
    """
    each = threads or cpus or max(1, _cores() // n)
    places = _places(device, n) if cpus is None else [device] * n
    return [
        [*words, "--device", place, "--stream", str(i), "--threads", str(each)]
        for i, place in enumerate(places, start=1)
    ]


def _places(device: str, n: int) -> list[str]:
    """`auto` and `cuda` spread the workers over the GPUs there are."""
    import torch

    gpus = torch.cuda.device_count() if device in ("auto", "cuda") else 0
    return [f"cuda:{i % gpus}" for i in range(n)] if gpus else [device] * n


def _cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
