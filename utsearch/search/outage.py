"""A database that does not answer for a while: restarted, cut off, out of room, or busy."""

import random
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

PATIENCE_SECONDS = 600.0  # a restart takes seconds, a cut cable minutes
LONGEST_PAUSE = 5.0
_SQLITE = ("locked", "disk I/O", "full")  # of what SQLite calls operational, what may pass

T = TypeVar("T")


def is_outage(error: BaseException) -> bool:
    """Whether the same call may succeed later."""
    return any(_may_pass(cause) for cause in _causes(error))


def causes_line(error: BaseException) -> str:
    """What the innermost cause says, in one line."""
    *_, last = _causes(error)
    details = getattr(last, "details", None)  # gRPC's errors are pages long
    text = str(details() if callable(details) else last).strip()
    return (text or type(last).__name__).splitlines()[0]


def _causes(error: BaseException) -> Iterator[BaseException]:
    found: BaseException | None = error
    while found is not None:
        yield found
        found = getattr(found, "orig", None) or found.__cause__


def _may_pass(error: BaseException) -> bool:
    if isinstance(error, OperationalError | InterfaceError):
        text = str(error.orig)
        return any(word in text for word in _SQLITE) if "sqlite3" in type(error.orig).__module__ else True
    if isinstance(error, DBAPIError):
        return error.connection_invalidated
    if isinstance(error, PoolTimeout | OSError):
        return True
    code = getattr(error, "code", None)  # of gRPC: the proxy is gone, or its own database is
    return type(error).__module__.startswith("grpc") and callable(code) and code().name in ("UNAVAILABLE", "UNKNOWN")


def to_stderr(line: str) -> None:
    """Where the display is not."""
    print(line, file=sys.stderr, flush=True)


@dataclass
class Patience:
    """Calls again what failed by an outage, for some minutes, and says so once.

    Attributes:
        what: the database as it may be shown.
        seconds: how long to go on.
        notice: is told when the waiting begins and ends.
        clock: of the waiting.
        sleep: between two tries.
    """

    what: str
    seconds: float = PATIENCE_SECONDS
    notice: Callable[[str], None] = to_stderr
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    _since: float | None = None  # when the outage began that was told of; calls of several threads meet in it

    def call(self, attempt: Callable[[bool], T]) -> T:
        """What `attempt` returns; it is told whether it was tried before, and may have succeeded unheard."""
        begun, pause, again = self.clock(), 0.1, False
        while True:
            try:
                found = attempt(again)
            except Exception as error:
                if not is_outage(error) or self.clock() - begun > self.seconds:
                    raise
                self._tell(error, begun)
            else:
                if self._since is not None:
                    since, self._since = self._since, None
                    self.notice(f"{self.what} answers again after {self.clock() - since:.0f} s")
                return found
            self.sleep(pause * random.uniform(0.5, 1.0))  # many workers should not come back at once
            pause, again = min(2 * pause, LONGEST_PAUSE), True

    def _tell(self, error: Exception, begun: float) -> None:
        if self._since is None and self.clock() - begun > 1:  # a lock or a dropped connection passes unnoticed
            self._since = begun
            minutes = f"{self.seconds / 60:.0f} minutes"
            self.notice(f"{self.what} does not answer ({causes_line(error)}); waiting, up to {minutes}")
