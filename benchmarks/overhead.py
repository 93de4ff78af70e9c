"""What sampler, early stopping and storage take of a search: CPU milliseconds a trial, outside training.

    python benchmarks/overhead.py --samplers random tpe ehvi --out benchmarks/results/overhead.json

A SQLite study is filled by the worker that also runs the real trials. Only training is left out: a run's curve is a
formula, and everything else is real, from the choice of a design and its resolution on the backbone to the rungs in the
database. CPU time, since others may use the machine; waiting for the disk is not in it and is reported apart.
"""

import argparse
import json
import math
import platform
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from statistics import mean
from typing import Any

from utsearch.backbones import Backbone, load_backbone
from utsearch.design import Design
from utsearch.files import write_atomic
from utsearch.forms import info
from utsearch.search import Budget, Event, TrialEnded, prepare, search
from utsearch.space import load_space
from utsearch.tabular.replay import Recorded
from utsearch.tuning import resolve

WINDOW = 50  # trials over which the cost is averaged


@dataclass
class Run:
    """A curve that rises with the design's size and has a bonus of its own."""

    n_params: int
    digest: str
    cost: Mapping[str, float] = field(default_factory=lambda: {"flops": 1e7, "memory": 1e6, "mergeable": 1.0})
    notice: str = ""

    def rungs(self) -> Iterator[Recorded]:
        end = 0.4 + 0.06 * math.log10(1 + self.n_params) + 0.05 * (int(self.digest[:6], 16) / 16**6 - 0.5)
        for index, epoch in enumerate((1, 3, 9)):
            top1 = end * (1 - 0.5 * math.exp(-epoch / 2))
            yield Recorded(index, epoch, top1, 0.01, 2 - 2 * top1, top1, 0.05, 1000.0, float(epoch), epoch == 9)

    def save(self, path: Path) -> None:
        """What a small tuner weighs."""
        write_atomic(path, bytes(4 * self.n_params))


@dataclass(frozen=True)
class Untrained:
    """A real backbone, and runs that take no time."""

    backbone: Backbone
    settings: Mapping[str, Any] = field(default_factory=lambda: {"simulated": "curves are formulas"})
    n_head: int = 0
    floor: float = 0.4
    known: Mapping[str, Design] = field(default_factory=dict)

    @property
    def depth(self) -> int:
        return self.backbone.depth

    def resolve(self, design: Design) -> Any:
        return resolve(design, self.backbone)

    def start(self, design: Design, seed: int = 0, *, resume: Path | None = None) -> Run:
        resolved = self.resolve(design)
        return Run(resolved.n_params, resolved.digest)


def measure(sampler: str, space_name: str, trials: int) -> dict[str, Any]:
    """Milliseconds a trial in the first and in the last trials of a study, and in all of them, CPU and wall."""
    problem, space = Untrained(load_backbone("vit_mini")), load_space(space_name, info())
    ended: list[tuple[float, float]] = [(time.process_time(), time.perf_counter())]

    def note(event: Event) -> None:
        if isinstance(event, TrialEnded):
            ended.append((time.process_time(), time.perf_counter()))

    with tempfile.TemporaryDirectory() as folder:
        study = prepare(problem, space, "overhead", studies_dir=Path(folder))
        search(problem, space, study, Budget(trials=trials), sampler=sampler, on_event=note)
    row: dict[str, Any] = {"sampler": sampler, "space": space_name, "trials": trials}
    for name, here in (("first", ended[: WINDOW + 1]), ("last", ended[-WINDOW - 1 :]), ("all", ended)):
        for kind, i in (("cpu_ms", 0), ("wall_ms", 1)):
            row[f"{name}_{kind}"] = round(1000 * mean(b[i] - a[i] for a, b in pairwise(here)), 1)
    return row


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samplers", nargs="+", default=["random", "tpe", "ehvi"])
    parser.add_argument("--space", default="mini")
    parser.add_argument("--trials", type=int, default=1000)
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    rows = []
    for sampler in asked.samplers:
        rows.append(measure(sampler, asked.space, asked.trials))
        print(json.dumps(rows[-1]), flush=True)
        if asked.out:
            made_by = {
                "command": " ".join([Path(sys.argv[0]).name, *sys.argv[1:]]),
                "versions": {name: version(name) for name in ("utsearch", "optuna", "sqlalchemy")},
                "machine": platform.machine(),
            }
            write_atomic(asked.out, json.dumps({"made_by": made_by, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
