"""The table's file: which designs were trained, and what every epoch of every run measured."""

import json
import sqlite3
import tempfile
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from utsearch.design import Design
from utsearch.errors import UserError
from utsearch.files import write_atomic
from utsearch.pareto import Scale
from utsearch.search.features import features_of
from utsearch.space import Space, load_space

SHIPPED = Path(__file__).with_name("mini_birds.db")


class TableError(UserError):
    """A table is missing, damaged, or lacks a design."""


@dataclass(frozen=True)
class Entry:
    """A design of the table: canonical text, name if it is a known one, whether the space can express it, its size."""

    design: str
    digest: str
    name: str | None
    in_space: bool
    n_params: int
    first_tuned: int
    depth: int

    @cached_property
    def features(self) -> dict[str, float]:
        """What a surrogate learns from."""
        return features_of(Design.parse(self.design), self.depth)


@dataclass(frozen=True)
class Epoch:
    """What was measured after an epoch; seconds are of the run up to there, on one thread, with cached prefixes."""

    epoch: int
    top1: float
    loss: float
    balanced: float
    ece: float
    seconds: float


Curve = tuple[Epoch, ...]


@dataclass(frozen=True)
class Table:
    """A table in memory.

    Attributes:
        about: what made it: command, settings with fingerprints, versions, machine.
        entries: by digest.
        texts: digest by every text that the space writes, canonical or not.
        curves: whole runs by digest and seed.
    """

    about: Mapping[str, Any]
    entries: Mapping[str, Entry]
    texts: Mapping[str, str]
    curves: Mapping[tuple[str, int], Curve]

    @cached_property
    def seeds(self) -> tuple[int, ...]:
        """The seeds with which every design was trained."""
        n = len(self.entries)
        return tuple(sorted(s for s in {s for _, s in self.curves} if sum(x == s for _, x in self.curves) == n))

    @cached_property
    def space(self) -> Space:
        """The space whose designs these are."""
        from utsearch.forms import info

        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"{self.about['settings']['dataset']['name']}-table.toml"
            write_atomic(path, self.about["space"])
            return load_space(str(path), info())

    @cached_property
    def scale(self) -> Scale:
        """Of its hypervolumes: the space's sizes, and the converged linear probe."""
        limits = self.space.hypervolume
        return Scale(limits.p0, limits.p_max, self.about["floor"])

    @cached_property
    def baselines(self) -> tuple[Entry, ...]:
        """The known designs that every search queues first, from small to large; the table has more of them."""
        from utsearch.tuning.known import known_designs

        queued = {one.name for one in known_designs() if one.enqueue}
        return tuple(entry for entry in self.entries.values() if entry.name in queued)

    @property
    def n_val(self) -> int:
        """Images of validation."""
        return int(self.about["settings"]["dataset"]["val"])

    def mean(self, digest: str) -> float:
        """Mean top-1 at the end over the table's seeds: nearer to a design's worth than the run that a search saw."""
        return sum(self.curves[digest, seed][-1].top1 for seed in self.seeds) / len(self.seeds)


def open_table(path: Path = SHIPPED) -> Table:
    """Read a table.

    Raises:
        TableError: there is none, or it is not one.
    """
    if not path.is_file():
        raise TableError(f"no table at {path}; make it with: python benchmarks/tabular.py --out {path}")
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro&immutable=1", uri=True)) as opened:
            return _read(opened)
    except (sqlite3.Error, ValueError, TypeError) as error:
        raise TableError(f"{path} is not a table of utsearch, or it is damaged: {error}") from error


def _read(opened: sqlite3.Connection) -> Table:
    about = {key: json.loads(value) for key, value in opened.execute("select key, value from about")}
    columns = "design, digest, name, in_space, n_params, first_tuned"
    rows = opened.execute(f"select {columns} from designs order by n_params, digest").fetchall()  # noqa: S608 - ours
    entries = {row[1]: Entry(row[0], row[1], row[2], bool(row[3]), row[4], row[5], about["depth"]) for row in rows}
    texts = {entry.design: digest for digest, entry in entries.items()}
    texts |= dict(opened.execute("select text, digest from texts").fetchall())
    curves: dict[tuple[str, int], Curve] = {}
    columns = "digest, seed, epoch, top1, loss, balanced, ece, seconds"
    statement = f"select {columns} from curves order by digest, seed, epoch"  # noqa: S608 - ours
    for digest, seed, *values in opened.execute(statement):
        curves[digest, seed] = (*curves.get((digest, seed), ()), Epoch(*values))
    return Table(about, entries, texts, curves)
