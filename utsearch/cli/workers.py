"""Worker processes of one machine: started, watched and ended together."""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING

from utsearch.cli.options import STORAGE_VARIABLE

if TYPE_CHECKING:
    from utsearch.search import Budget, Event, Study

PATIENCE = 30  # seconds to give a trial back after Ctrl-C; one that is killed then is found and queued again as well


@dataclass
class Workers:
    """Processes that run `utsearch worker` on one study."""

    commands: Sequence[Sequence[str]]
    storage: str | None = None
    _running: list["subprocess.Popen[bytes]"] = field(default_factory=list)
    _errors: list[IO[bytes]] = field(default_factory=list)

    def __enter__(self) -> "Workers":
        """Start them, each in a process group of its own, so that Ctrl-C reaches them once, from here."""
        environment = {**os.environ, STORAGE_VARIABLE: self.storage} if self.storage else None
        for words in self.commands:
            errors = tempfile.TemporaryFile()
            command = [sys.executable, "-m", "utsearch", "worker", *words]
            process = subprocess.Popen(
                command, stdout=subprocess.DEVNULL, stderr=errors, start_new_session=True, env=environment
            )
            self._running.append(process)
            self._errors.append(errors)
        return self

    def __exit__(self, *error: object) -> None:
        """Ask those still running to give back what they train, and wait."""
        for process in self._running:
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
        for process in self._running:
            try:
                process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        for errors in self._errors:
            errors.close()

    def alive(self) -> bool:
        """Whether any of them still works."""
        return any(process.poll() is None for process in self._running)

    def complaints(self) -> list[str]:
        """The last line that each failed worker said."""
        found = []
        for process, errors in zip(self._running, self._errors, strict=True):
            if process.poll() not in (0, None):
                errors.seek(0)
                lines = errors.read().decode(errors="replace").strip().splitlines()
                found.append(lines[-1].removeprefix("error: ") if lines else f"exit code {process.returncode}")
        return found


def run_workers(
    study: "Study", commands: Sequence[Sequence[str]], storage: str | None, on_event: "Callable[[Event], None]"
) -> str:
    """Run workers to their end and tell what happens in the study; returns why it ended.

    Raises:
        UserError: every worker failed; the reason of the first.
    """
    from utsearch.errors import UserError
    from utsearch.search.record import SearchEnded
    from utsearch.search.watch import watch

    with Workers(commands, storage) as workers:
        watch(study, on_event, workers.alive)
        failed = workers.complaints()
    if failed and len(failed) == len(commands):
        raise UserError(f"every worker failed, the first one because: {failed[0]}")
    reason = "the budget is used up"
    if failed:
        reason += f"; {len(failed)} of {len(commands)} workers failed: {failed[0]}"
    on_event(SearchEnded(reason))
    return reason


def worker_words(study: "Study", limit: "Budget", passed: float, studies: Path, cache: str) -> list[str]:
    """The words of `worker` that all workers of a search share; what is left of the budget is for all of them."""
    words = ["--study", study.name, "--studies", str(studies), "--cache", cache]
    if limit.seconds is not None:
        return [*words, "--budget", f"{max(1.0, limit.seconds - passed):.1f}s", "--until", str(10**9)]
    counted = sum(record.status in ("finished", "stopped") for record in study.records())
    until = counted + (limit.trials or 0)
    return [*words, "--budget", "1000h", "--until", str(until)]


def share(words: list[str], n: int, device: str, threads: int | None) -> list[list[str]]:
    """The words of each of n workers: its number, its device and its share of the cores."""
    each = threads or max(1, _cores() // n)
    return [
        [*words, "--device", place, "--stream", str(i), "--threads", str(each)]
        for i, place in enumerate(_places(device, n), start=1)
    ]


def _places(device: str, n: int) -> list[str]:
    """`auto` and `cuda` spread the workers over the GPUs there are."""
    import torch

    gpus = torch.cuda.device_count() if device in ("auto", "cuda") else 0
    return [f"cuda:{i % gpus}" for i in range(n)] if gpus else [device] * n


def _cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
