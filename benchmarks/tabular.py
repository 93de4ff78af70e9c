"""Train every design of a small space with several seeds and keep the curves: the table behind `utsearch.tabular`.

    python benchmarks/tabular.py                    # what the table lacks; it may be stopped, and goes on
    python benchmarks/tabular.py --workers 2        # processes of one thread each
    python benchmarks/tabular.py --show             # what the table holds

Besides the designs of search_spaces/tabular.toml it trains the known designs that fit the backbone. Every design is
trained to the end, on mini-birds at 48 pixels (20 classes), where a run takes seconds on one thread.
"""

import argparse
import itertools
import json
import os
import platform
import random
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from utsearch.data import Subset
from utsearch.design import Design
from utsearch.errors import TrainingFailed
from utsearch.forms import info
from utsearch.search.cuts import useful_cuts
from utsearch.space import Space, load_space
from utsearch.training import Problem, Recipe, open_problem
from utsearch.tuning import Resolved
from utsearch.tuning.known import fits, known_designs

TABLE = Path(__file__).parents[1] / "utsearch" / "tabular" / "mini_birds.db"
SCHEMA = """
create table if not exists about (key text primary key, value text not null);
create table if not exists designs (
    digest text primary key, design text not null, name text, in_space integer not null, n_params integer not null,
    first_tuned integer not null);
create table if not exists texts (text text primary key, digest text not null);
create table if not exists curves (
    digest text not null, seed integer not null, epoch integer not null, top1 real not null, loss real not null,
    balanced real not null, ece real not null, seconds real not null, primary key (digest, seed, epoch));
create table if not exists failures (digest text not null, seed integer not null, reason text not null,
    primary key (digest, seed));
"""


def problem_of_table(space: Space, classes: int = 20) -> Problem:
    """Mini-birds at 48 pixels, 20 classes, four epochs with validation after each; activations kept in memory."""
    problem = open_problem(
        "mini-birds",
        "vit_mini",
        recipe=Recipe(epochs=4, rungs=(1, 2, 3, 4)),
        subset=Subset(classes=classes),
        img_size=48,
        device="cpu",
    )
    cuts = useful_cuts(space, problem.depth, problem.first_tuned, list(problem.known.values()))
    return replace(problem, cache=1_000_000_000, cuts=cuts)


def designs_of(space: Space, problem: Problem) -> Iterator[tuple[str | None, bool, Resolved]]:
    """Name, whether the space has it, and design: known ones first, then every design of the space."""
    seen: set[str] = set()
    inside = [problem.resolve(design) for design in enumerate_space(space, problem.depth)]
    digests = {resolved.digest for resolved in inside}
    for one in known_designs():
        if fits(one.design, problem.backbone):
            resolved = problem.resolve(one.design)
            seen.add(resolved.digest)
            yield one.name, resolved.digest in digests, resolved
    for resolved in inside:
        if resolved.digest not in seen:
            seen.add(resolved.digest)
            yield None, True, resolved


def enumerate_space(space: Space, depth: int) -> Iterator[Design]:
    """Every design of a space, some more than once."""
    names, choices = zip(*space.parameters.items(), strict=True)
    for values in itertools.product(*choices):
        yield space.design(dict(zip(names, values, strict=True)), depth)


def is_done(table: sqlite3.Connection, resolved: Resolved, seed: int) -> bool:
    """Whether the table has this run, or why it failed."""
    runs = "select digest, seed from curves union select digest, seed from failures"
    found = table.execute(f"select 1 from ({runs}) where digest = ? and seed = ?", (resolved.digest, seed))
    return found.fetchone() is not None


def train(problem: Problem, resolved: Resolved, seed: int, table: sqlite3.Connection) -> None:
    """One run, kept when it is complete."""
    try:
        rungs = list(problem.start(resolved.design, seed).rungs())
    except TrainingFailed as error:
        with table:
            table.execute("insert or replace into failures values (?, ?, ?)", (resolved.digest, seed, str(error)))
        return
    rows = [(resolved.digest, seed, r.epoch, r.top1, r.loss, r.balanced, r.ece, r.seconds) for r in rungs]
    with table:
        table.executemany("insert or replace into curves values (?, ?, ?, ?, ?, ?, ?, ?)", rows)


def make(path: Path, seeds: int, worker: int, workers: int) -> None:
    """Train what the table lacks: every `workers`-th run from `worker` on, one seed after the other."""
    torch.set_num_threads(1)
    space = load_space("tabular", info())
    problem = problem_of_table(space)
    table = sqlite3.connect(path, timeout=120)
    designs = list(designs_of(space, problem))
    random.Random(0).shuffle(designs)  # what there is at any time is a fair sample
    note(table, problem, space, designs)
    runs = [(resolved, seed) for seed in range(seeds) for _, _, resolved in designs][worker::workers]
    for number, (resolved, seed) in enumerate(runs, start=1):
        if not is_done(table, resolved, seed):
            begun = time.perf_counter()
            train(problem, resolved, seed, table)
            print(f"{number}/{len(runs)} {resolved.design} {time.perf_counter() - begun:.1f} s", flush=True)


def note(table: sqlite3.Connection, problem: Problem, space: Space, designs: list[Any]) -> None:
    """The designs and what made the table."""
    about = {
        "command": "python benchmarks/tabular.py",
        "space": space.text,
        "settings": problem.settings,
        "floor": problem.floor,
        "n_head": problem.n_head,
        "depth": problem.depth,
        "machine": f"{platform.machine()}, one thread a run",
        "versions": {name: version(name) for name in ("utsearch", "torch", "timm")},
    }
    with table:
        table.executescript(SCHEMA)
        table.executemany("insert or replace into about values (?, ?)", [(k, json.dumps(v)) for k, v in about.items()])
        rows = [
            (r.digest, str(r.design), name, inside, r.n_params, problem.first_tuned(r.design))
            for name, inside, r in designs
        ]
        table.executemany("insert or replace into designs values (?, ?, ?, ?, ?, ?)", rows)
        texts = {str(design): problem.resolve(design).digest for design in enumerate_space(space, problem.depth)}
        table.executemany("insert or replace into texts values (?, ?)", texts.items())


def show(path: Path) -> None:
    """How far the table is, and how much of the variance the seeds make."""
    table = sqlite3.connect(path)
    (designs,) = table.execute("select count(*) from designs").fetchone()
    for seed, n in table.execute("select seed, count(distinct digest) from curves group by seed").fetchall():
        print(f"seed {seed}: {n} of {designs} designs")
    last = "select design, n_params, avg(top1), count(*) from curves join designs using (digest) where epoch = 4"
    for text, n_params, top1, n in table.execute(f"{last} group by digest order by 3 desc limit 10"):
        print(f"{100 * top1:5.1f} %  {n_params:7,}  {n} seeds  {text}")


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=TABLE)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--worker", type=int, default=None, help=argparse.SUPPRESS)
    parser.add_argument("--show", action="store_true")
    asked = parser.parse_args()
    if asked.show:
        show(asked.out)
        return
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    if asked.workers == 1 or asked.worker is not None:
        make(asked.out, asked.seeds, asked.worker or 0, asked.workers)
        return
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, __file__, "--out", str(asked.out), "--seeds", str(asked.seeds)]
    command += ["--workers", str(asked.workers), "--worker"]
    processes = [subprocess.Popen([*command, str(i)], env=environment) for i in range(asked.workers)]
    raise SystemExit(max(process.wait() for process in processes))


if __name__ == "__main__":
    main()
