"""A problem that plays recorded runs back: a search over it takes no training, and is told so by its settings."""

import math
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from utsearch.design import Design
from utsearch.tabular.table import Curve, Entry, Table, TableError


@dataclass(frozen=True)
class Recorded:
    """A rung that was measured once, when the table was made; see `utsearch.training.Rung`."""

    index: int
    epoch: int
    top1: float
    standard_error: float
    loss: float
    balanced: float
    ece: float
    images_per_second: float
    seconds: float
    last: bool


@dataclass(frozen=True)
class Known:
    """A design of the table, as a search resolves it."""

    design: Design
    digest: str
    n_params: int


@dataclass
class Replay:
    """Stands for `utsearch.training.Problem` in a search.

    Attributes:
        table: of recorded runs.
        seed: decides which of the recorded seeds each design is played from.
        rungs: epochs after which a trial may be stopped; the last epoch of the table is always the last one.
        baselines: whether the known designs that a real search queues first are queued first.
        seconds: what the runs that were played took when they were recorded.
        epochs: how many were played.
        saved: epochs of the runs that were saved, by path.
    """

    table: Table
    seed: int = 0
    rungs: tuple[int, ...] = (1, 2, 4)
    baselines: bool = True
    seconds: float = 0.0
    epochs: int = 0
    saved: dict[Path, int] = field(default_factory=dict)
    n_head: int = field(init=False)
    floor: float = field(init=False)

    def __post_init__(self) -> None:
        """Take over what the table was made with."""
        self.n_head, self.floor = self.table.about["n_head"], self.table.about["floor"]

    @property
    def settings(self) -> Mapping[str, Any]:
        """The table's own, marked as played back."""
        return {**self.table.about["settings"], "simulated": "recorded runs, played back"}

    @property
    def depth(self) -> int:
        """Blocks of the backbone."""
        return int(self.table.about["depth"])

    @property
    def known(self) -> Mapping[str, Design]:
        """The known designs that a search queues first, or none."""
        return {str(e.name): Design.parse(e.design) for e in self.table.baselines} if self.baselines else {}

    def clock(self) -> float:
        """Recorded seconds up to now, for a budget of time."""
        return self.seconds

    def resolve(self, design: Design) -> Known:
        """The table's entry for a design.

        Raises:
            TableError: it has none.
        """
        entry = self._entry(design)
        return Known(Design.parse(entry.design), entry.digest, entry.n_params)

    def latencies(self, design: Design) -> tuple[float, float]:
        """Raises TableError: runs were recorded, latencies were not."""
        raise TableError("the table has no latencies: leave the limit out")

    def start(self, design: Design, seed: int = 0, *, resume: Path | None = None) -> "Played":
        """A recorded run of this design; `seed` is the search's and only told apart by this replay's own.

        One that goes on with a saved run costs only what is left of it.
        """
        digest = self._entry(design).digest
        drawn = random.Random(f"{self.seed} {digest}").choice(self.table.seeds)
        return Played(self, self.table.curves[digest, drawn], 0 if resume is None else self.saved.get(resume, 0))

    def _entry(self, design: Design) -> Entry:
        digest = self.table.texts.get(str(design))
        if digest is None:
            raise TableError(f"the table has no {design}; it has {len(self.table.entries)} designs of its space")
        return self.table.entries[digest]


@dataclass
class Played:
    """One recorded run; see `utsearch.training.Run`."""

    replay: Replay
    curve: Curve
    done: int = 0  # epochs of a run that this one goes on with
    cost: Mapping[str, float] = field(default_factory=dict)
    notice: str = ""
    reached: int = 0

    def rungs(self) -> Iterator[Recorded]:
        """The rungs in their order; each adds its seconds and epochs to the replay when it is asked for."""
        replay, before = self.replay, max((e.seconds for e in self.curve if e.epoch <= self.done), default=0.0)
        seconds, epochs = before, self.done
        ends = [*(e for e in self.curve[:-1] if e.epoch in replay.rungs), self.curve[-1]]
        for index, end in enumerate(ends):
            if end.epoch <= self.done:
                continue
            replay.seconds += end.seconds - seconds
            replay.epochs += end.epoch - epochs
            seconds, epochs = end.seconds, end.epoch
            self.reached = epochs
            error = math.sqrt(end.top1 * (1 - end.top1) / replay.table.n_val)
            measured = (end.top1, error, end.loss, end.balanced, end.ece)
            yield Recorded(index, end.epoch, *measured, 0.0, end.seconds - before, end is ends[-1])

    def save(self, path: Path) -> None:
        """Only how far it came: the table holds no weights."""
        self.replay.saved[path] = self.reached
