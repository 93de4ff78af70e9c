"""One worker process: what starts it, how it ended, how it is asked to end."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import utsearch

PATIENCE = (
    30.0  # seconds to give a trial back after a signal; one that is killed then is found and queued again as well
)
STORAGE_VARIABLE = "UTSEARCH_STORAGE"  # keeps a password out of the list of processes


@dataclass(frozen=True)
class Start:
    """What an engine is asked to run.

    Attributes:
        command: program and words; no secret among them, since every user of a machine can read them.
        environment: added to that of the place where it runs.
        folder: it is run in, the same path on every machine.
    """

    command: tuple[str, ...]
    environment: Mapping[str, str]
    folder: str


@dataclass(frozen=True)
class Ended:
    """How a worker ended: its exit code and the last line that it said on stderr."""

    code: int
    words: str = ""

    @property
    def complaint(self) -> str | None:
        """What went wrong, None if nothing did."""
        if self.code == 0:
            return None
        return self.words.removeprefix("error: ") or f"exit code {self.code}"


def worker_start(words: Sequence[str], storage: str | None) -> Start:
    """`utsearch worker` with these words, by this Python and this copy of utsearch."""
    package = str(Path(utsearch.__file__).parents[1])
    paths = [package, *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {"PYTHONPATH": os.pathsep.join(paths)}
    if storage:
        environment[STORAGE_VARIABLE] = storage
    return Start((sys.executable, "-m", "utsearch", "worker", *words), environment, str(Path.cwd()))


class WorkerProcess:
    """A worker that runs here, in a session of its own: Ctrl-C reaches it once, from who started it."""

    def __init__(self, start: Start) -> None:
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - it lives as long as the process
        self._process = subprocess.Popen(
            start.command,
            stdout=subprocess.DEVNULL,
            stderr=self._errors,
            cwd=start.folder,
            env={**os.environ, **start.environment},
            start_new_session=True,
        )

    def ended(self) -> Ended | None:
        """How it ended; None while it runs."""
        code = self._process.poll()
        if code is None:
            return None
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").strip().splitlines()
        return Ended(code, lines[-1] if lines else "")

    def interrupt(self) -> None:
        """Ask it to give back its trial and to end."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)  # a parent may have SIGINT blocked, and children inherit that

    def wait(self, seconds: float | None = PATIENCE) -> Ended:
        """Until it has ended; one that takes longer is killed, with None none is."""
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        ended = self.ended()
        assert ended is not None, "it was waited for"
        return ended

    def close(self) -> None:
        """Give back what it holds."""
        self._errors.close()


def wait_all(processes: Sequence[WorkerProcess], seconds: float = PATIENCE) -> None:
    """Interrupt all and wait for all, the patience shared."""
    for process in processes:
        process.interrupt()
    deadline = time.monotonic() + seconds
    for process in processes:
        process.wait(max(0.0, deadline - time.monotonic()))
