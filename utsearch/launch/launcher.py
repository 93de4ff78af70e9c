"""What every engine does for a search, and how its options are read."""

import difflib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from utsearch.errors import UserError
from utsearch.launch.process import Start


class LauncherError(UserError):
    """An engine is not installed, not reachable, or was asked for what it does not have."""


class Launcher(Protocol):
    """Starts the same worker command somewhere and watches it.

    Attributes:
        cpus: cores of each worker; None where all of them share this machine's.
    """

    cpus: int | None

    def one_machine(self) -> bool:
        """Whether all its workers run on this machine, so that a SQLite file will do."""

    def start(self, starts: Sequence[Start]) -> None:
        """Start them, or put them into the engine's queue."""

    def alive(self) -> bool:
        """Whether any of them still works or waits."""

    def complaints(self) -> list[str]:
        """The last line that each failed worker said."""

    def stop(self) -> None:
        """Ask those still there to give back what they train, and wait; end the engine's part."""


@contextmanager
def running(launcher: Launcher, starts: Sequence[Start]) -> Iterator[Launcher]:
    """Workers for the length of a with block; they end with it, however it ends."""
    try:
        launcher.start(starts)
        yield launcher
    finally:
        launcher.stop()


@dataclass(frozen=True)
class Option:
    """One option of an engine: how its text is read, and what it means."""

    read: Callable[[str], object]
    meaning: str


def read_options(engine: str, words: Sequence[str], known: Mapping[str, Option]) -> dict[str, object]:
    """`key=value` words as values.

    Raises:
        LauncherError: no such option, or a value that is not one; lists what there is.
    """
    found: dict[str, object] = {}
    for word in words:
        key, equals, text = word.partition("=")
        if not equals or key not in known:
            close = difflib.get_close_matches(key, known, 1)
            meant = f"; did you mean {close[0]}?" if close and close[0] != key else ""
            raise LauncherError(f"{engine} has no option {word!r}{meant}; there are {_listing(known)}")
        try:
            found[key] = known[key].read(text)
        except ValueError as error:
            raise LauncherError(f"{engine} option {key}: {known[key].meaning}; got {text!r}") from error
    return found


def _listing(known: Mapping[str, Option]) -> str:
    return ", ".join(f"{key}= ({option.meaning})" for key, option in known.items()) or "none"


def count(text: str) -> int:
    """A whole number from 0."""
    number = int(text)
    if number < 0:
        raise ValueError(text)
    return number


def word(text: str) -> str:
    """A name as engines have them: nothing that could become a second argument or line of theirs."""
    if not text or not all(c.isalnum() or c in "._-,:/&|[]@" for c in text) or text.startswith("-"):
        raise ValueError(text)
    return text
