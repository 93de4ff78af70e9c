"""The layouts that utsearch reads: the files of this folder, each with its READER; nothing else lists them."""

import difflib
import pkgutil
from functools import cache
from importlib import import_module
from pathlib import Path

from utsearch.data import procedural
from utsearch.data.dataset import DataError
from utsearch.data.listing import Listing
from utsearch.data.reader import Reader


@cache
def readers() -> dict[str, Reader]:
    """The readers by name, in alphabetical order."""
    found = [import_module(f"{__name__}.{module.name}").READER for module in pkgutil.iter_modules(__path__)]
    return {reader.name: reader for reader in sorted(found, key=lambda reader: reader.name)}


def reader(name: str) -> Reader:
    """The reader of this name; raises DataError with those that exist."""
    known = readers()
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {near[0]}? " if near else ""
        raise DataError(f"no reader {name!r}; {hint}There are {', '.join(known)}")
    return known[name]


def read(name: str) -> Listing:
    """List the set called `NAME:ROOT`, or a plain folder.

    Raises:
        DataError: what `placed` raises, or a wrong layout.
    """
    found, where = placed(name)
    return found.read(where)


def placed(name: str) -> tuple[Reader, str]:
    """The reader of the set called `NAME:ROOT`, or a plain folder, and where the set is.

    Raises:
        DataError: no such reader or folder, or a folder whose layout has a reader of its own.
    """
    head, colon, where = name.partition(":")
    if colon and head in readers():
        return reader(head), where
    path = Path(name).expanduser()
    if name in readers() and not path.is_dir():
        raise DataError(f"where is {readers()[name].title}? write {name}:ROOT")
    if not path.is_dir():
        raise DataError(
            f"no data set or folder {name!r}; there are {', '.join(procedural.NAMES)}, NAME:ROOT with NAME "
            f"one of {', '.join(readers())}, "
            "and any folder of CLASS/IMAGE files"
        )
    for other in readers().values():
        if other.marker and all(any(path.glob(pattern)) for pattern in other.marker):
            raise DataError(f"{name} has the layout of {other.title}; write {other.name}:{name} to read it as such")
    return reader("folder"), name
