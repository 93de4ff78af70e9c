"""A problem whose learning curves are formulas: it searches as a real one does, without training anything.

Run as a script it searches a study, to be killed from outside: `fake_problem.py STUDIES NAME BUDGET [RUNG_SECONDS
[STORAGE UNTIL STREAM]]`.
"""

import math
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from utsearch.design import Design, DesignError, FormInfo
from utsearch.errors import TrainingFailed
from utsearch.files import write_atomic
from utsearch.search import Budget, Study, prepare, search
from utsearch.space import Space, load_space

CATALOGUE = {"lora": FormInfo("lora", ("ffn", "mha"), True), "ssf": FormInfo("ssf", ("ffn", "mha"), False)}
SPACE = """
title = "fake"
[hypervolume]
p0 = 100
p_max = 100_000
[positions]
first = [0.0, 0.5]
count = [0.25, 0.5, 1.0]
[slots.ffn]
sites = ["ffn"]
[slots.ffn.forms.lora]
rank = [1, 2, 4, 8]
[slots.ffn.forms.ssf]
[slots.mha]
sites = ["mha"]
[slots.mha.forms.lora]
rank = [1, 2, 4, 8]
"""
EPOCHS = (1, 3, 9)


@dataclass(frozen=True)
class FakeRung:
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
class FakeResolved:
    design: Design
    digest: str
    n_params: int


@dataclass
class FakeRun:
    problem: "FakeProblem"
    design: Design
    seed: int
    rate: float = 1.0
    done: int = 0
    notice: str = ""
    reached: int = 0
    cost: dict[str, float] = field(default_factory=lambda: {"flops": 1e6, "memory": 1e5})

    @property
    def correct(self) -> npt.NDArray[np.bool_]:
        """Images right with the design's own probability, the same for a seed."""
        quality = self.problem.quality(self.design) - 0.1 * abs(math.log2(self.rate) - 1)
        return np.random.default_rng(self.seed).random(400) < quality

    def rungs(self) -> Iterator[FakeRung]:
        return (rung for rung in self.ticks() if rung is not None)

    def ticks(self) -> Iterator[FakeRung | None]:
        """A step before every rung."""
        problem = self.problem
        problem.started.append(str(self.design))
        if str(self.design) in problem.failing:
            raise TrainingFailed("the loss is not a number in epoch 1")
        final = problem.quality(self.design) - 0.1 * abs(math.log2(self.rate) - 1) * (self.rate != 1)
        for index, epoch in enumerate(EPOCHS):
            if epoch <= self.done:
                continue
            time.sleep(problem.rung_seconds)
            yield None
            if str(self.design) in problem.interrupting:
                problem.interrupting.discard(str(self.design))
                raise KeyboardInterrupt
            top1 = final * (1 - 0.5 * math.exp(-epoch / 2))
            last, self.reached = epoch == EPOCHS[-1], epoch
            problem.epochs.append((str(self.design), epoch))
            yield FakeRung(index, epoch, top1, 0.01, 1 - top1, top1, 0.05, 100.0, 0.1 * (epoch - self.done), last)

    def save(self, path: Path) -> None:
        write_atomic(path, str(self.design))
        if self.reached < EPOCHS[-1]:
            write_atomic(path.with_suffix(".resume.safetensors"), str(self.reached))


@dataclass
class FakeProblem:
    """Accuracy grows with the logarithm of the parameters and a bonus for late blocks."""

    rung_seconds: float = 0.0
    failing: frozenset[str] = frozenset()
    interrupting: set[str] = field(default_factory=set)
    settings: dict[str, Any] = field(
        default_factory=lambda: {
            "dataset": {"name": "fake", "fingerprint": "f00d"},
            "backbone": {"name": "fake", "fingerprint": "beef"},
            "recipe": {"epochs": 9},
            "versions": {"utsearch": "0"},
        }
    )
    depth: int = 8
    n_head: int = 10
    floor: float = 0.4
    started: list[str] = field(default_factory=list)
    epochs: list[tuple[str, int]] = field(default_factory=list)

    @property
    def known(self) -> dict[str, Design]:
        texts = {"linear": "linear", "lora-4": "ffn:lora(4)", "outside": "mha|ffn:lora(16)"}
        return {name: Design.parse(text) for name, text in texts.items()}

    def resolve(self, design: Design) -> FakeResolved:
        for slot in design.slots:
            if slot.form not in CATALOGUE:
                raise DesignError(f"there is no form {slot.form!r}")
        n_params = sum(
            100 * (slot.rank or 1) * len(slot.sites) * len(slot.blocks.resolve(self.depth)) for slot in design.slots
        )
        return FakeResolved(design, f"{hash_text(str(design)):016x}", n_params)

    def quality(self, design: Design) -> float:
        n_params = self.resolve(design).n_params
        wobble = (hash_text(str(design)) % 1000) / 1000
        return 0.4 + 0.08 * math.log10(1 + n_params) + 0.1 * (wobble - 0.5)

    def latencies(self, design: Design) -> tuple[float, float]:
        """10 ms, and 1 ms more for each tuned block; twice that for ssf."""
        tuned = sum((1 + (slot.form == "ssf")) * len(slot.blocks.resolve(self.depth)) for slot in design.slots)
        return 0.010, 0.010 + 0.001 * tuned

    def start(self, design: Design, seed: int = 0, rate: float = 1.0, *, resume: Path | None = None) -> FakeRun:
        if resume is None:
            return FakeRun(self, design, seed, rate)
        left = resume.with_suffix(".resume.safetensors")
        if not left.exists():
            return FakeRun(self, design, seed, rate, notice="trained from the start: there is no checkpoint")
        return FakeRun(self, design, seed, rate, int(left.read_text()))

    def start_beside(self, design: Design, seed: int = 0, *, resume: Path | None = None) -> FakeRun:
        return self.start(design, seed, resume=resume)

    def start_full(self, seed: int = 0, rate: float = 1.0) -> FakeRun:
        return FakeRun(self, Design.parse("ffn:lora(64)"), seed, rate)


def hash_text(text: str) -> int:
    """The same in every process."""
    import zlib

    return zlib.crc32(text.encode())


def fake_space(folder: Path) -> Space:
    path = folder / "fake.toml"
    if not path.exists():
        write_atomic(path, SPACE)
    return load_space(str(path), CATALOGUE)


def run_fake(problem: FakeProblem, folder: Path, budget: str, name: str = "fake", **options: Any) -> Study:
    """Prepare and search in a folder."""
    space = fake_space(folder)
    study = prepare(problem, space, name, studies_dir=folder)
    search(problem, space, study, Budget.parse(budget), **options)
    return study


if __name__ == "__main__":
    seconds = float(sys.argv[4]) if len(sys.argv) > 4 else 0.01
    if len(sys.argv) > 5:  # several workers of a shared storage: URL, trials that the study shall have, own number
        faked, space, home = FakeProblem(rung_seconds=seconds), fake_space(Path(sys.argv[1])), Path(sys.argv[1])
        shared = prepare(faked, space, sys.argv[2], storage_url=sys.argv[5], studies_dir=home)
        until, stream = int(sys.argv[6]), int(sys.argv[7])
        search(faked, space, shared, Budget.parse(sys.argv[3]), sampler="random", until=until, stream=stream)
    else:
        run_fake(FakeProblem(rung_seconds=seconds), Path(sys.argv[1]), sys.argv[3], sys.argv[2], sampler="random")
