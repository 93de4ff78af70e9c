"""Ctrl-C and a scheduler's SIGTERM, let through only where a trial can be given back."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR2)  # Slurm's, through submitit, before a job's time is up
IMPATIENT = 3  # a signal this often is obeyed anywhere: the database may hang


@dataclass
class Interrupts:
    """While entered, a signal raises KeyboardInterrupt inside `allowed()` and waits outside of it.

    An exception between taking a trial and signing it would leave the trial running for nobody, and one in the middle
    of the database's code may leave a lock taken for ever: so only training is interrupted. Only the main thread is
    told of signals; elsewhere, and where somebody else handles them already, this changes nothing.
    """

    _open: bool = False
    _count: int = 0
    _before: dict[int, Any] = field(default_factory=dict)

    def __enter__(self) -> "Interrupts":
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                if signal.getsignal(number) in (signal.default_int_handler, signal.SIG_DFL):
                    self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before.clear()

    @contextmanager
    def allowed(self) -> Iterator[None]:
        """Raises KeyboardInterrupt at once if a signal came before."""
        self._open = True
        try:
            self.check()
            yield
        finally:
            self._open = False

    def check(self) -> None:
        """Raises KeyboardInterrupt if a signal came."""
        if self._count:
            raise KeyboardInterrupt

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self._count += 1
        if self._open or self._count >= IMPATIENT:
            self._open = False  # what gives the trial back is not interrupted again
            raise KeyboardInterrupt
