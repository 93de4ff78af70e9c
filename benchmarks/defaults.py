"""Samplers and rules of early stopping on recorded curves: what chose the defaults of the search.

    python benchmarks/defaults.py samplers --out benchmarks/results/samplers.json
    python benchmarks/defaults.py stopping --out benchmarks/results/stopping.json
    python benchmarks/defaults.py show      # both as tables

Nothing is trained: every design's runs are in `utsearch.tabular`. Cost is in epochs, which do not depend on what else a
machine did when the table was made. A search's hypervolume is that of the designs it trained to the end, each at its
mean over the table's seeds, so that luck of one seed does not count.
"""

import argparse
import json
import math
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from references import EpsilonNetRule, NonDominatedRule

from utsearch.files import write_atomic
from utsearch.search import SAMPLERS, Rule, make_rule
from utsearch.search.stopping import Brackets, ForecastRule, RegretRule
from utsearch.stats import interval
from utsearch.tabular import Replay, Table, open_table, simulate
from utsearch.tabular.orders import Outcome, judge
from utsearch.tabular.simulate import Progress, progress

RESULTS = Path(__file__).parent / "results"
RULES: dict[str, Rule] = {
    "regret, η=3": RegretRule(),
    "regret, η=2": RegretRule(eta=2),
    "non-dominated sorting, η=3": NonDominatedRule(),
    "ε-net, η=3": EpsilonNetRule(),
    "forecast, margin 0": ForecastRule(margin=0),
    "forecast, margin 0.5": ForecastRule(margin=0.5),
    "forecast, margin 1": ForecastRule(margin=1),
    "forecast, margin 2": ForecastRule(margin=2),
    "hyperband of forecast, margin 1": Brackets(),
}


def one_search(table: Table, sampler: str, rule: str, seed: int, baselines: bool, epochs: int) -> Progress:
    """Hypervolume over epochs of one simulated search."""
    replay = Replay(table, seed=seed, baselines=baselines)
    return progress(table, simulate(replay, table.space, epochs=epochs, sampler=sampler, rule=make_rule(rule)))


def samplers(table: Table, seeds: int, slow: int, epochs: int) -> list[dict[str, Any]]:
    """Every sampler with and without early stopping, over seeds; "gp" over fewer, since it takes a minute a search."""
    rows = []
    goal = {s: one_search(table, "random", "none", s, False, epochs).hypervolume[-1] for s in range(seeds)}
    for sampler in sorted(SAMPLERS, key=("random", "ehvi", "tpe").__contains__, reverse=True):
        for rule in ("none", "forecast"):
            begun, n = time.perf_counter(), slow if sampler == "gp" else seeds
            runs = [one_search(table, sampler, rule, s, False, epochs) for s in range(n)]
            reached = [run.epochs_to(goal[s]) for s, run in enumerate(runs)]
            row = {"sampler": sampler, "rule": rule, "seeds": n, "budget": epochs}
            row |= {f"hv_{k}": interval([run.at(epochs * k // 4) for run in runs]) for k in (1, 2, 3)}
            row |= {"hv_end": interval([run.hypervolume[-1] for run in runs])}
            row |= {"designs": statistics.mean(len(run.epochs) for run in runs)}
            never = sum(r is None for r in reached)
            row |= {"to_random": statistics.median(epochs if r is None else r for r in reached), "never": never}
            row |= {"seconds": round((time.perf_counter() - begun) / n, 2)}
            rows.append(row)
            print(json.dumps(row), flush=True)
    return rows


def stopping(table: Table, orders: int) -> list[dict[str, Any]]:
    """Every rule over bootstrapped orders of designs, with baselines first and without."""
    rows = []
    for baselines in (True, False):
        for designs in (60, 150, 500):
            for name, rule in RULES.items():
                found = [
                    judge(table, rule, seed=s, designs=designs, rungs=(1, 2, 4), baselines=baselines)
                    for s in range(orders)
                ]
                row = {"baselines": baselines, "designs": designs, "rule": name, "orders": orders, **_means(found)}
                rows.append(row)
                print(json.dumps(row), flush=True)
    return rows


def _means(found: Sequence[Outcome]) -> dict[str, float]:
    columns = {f.name: [asdict(o)[f.name] for o in found] for f in fields(Outcome)}
    told = {name: [v for v in column if not math.isnan(v)] for name, column in columns.items()}
    return {name: statistics.mean(column) if column else math.nan for name, column in told.items()}


def show() -> None:
    """The committed results as Markdown."""
    rows = json.loads((RESULTS / "samplers.json").read_text())["rows"]
    budget = rows[0]["budget"]
    print(
        f"| sampler | early stopping | hypervolume after {budget // 4} epochs | {budget // 2} | {3 * budget // 4} "
        f"| {budget} | designs | epochs to random's end | seeds |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    for r in sorted(rows, key=lambda r: -r["hv_end"][0]):
        cells = [f"{100 * m:.2f} ± {100 * h:.2f}" for m, h in (r[k] for k in ("hv_1", "hv_2", "hv_3", "hv_end"))]
        reach = f"> {budget}" if 2 * r["never"] > r["seeds"] else f"{r['to_random']:.0f}"
        print(f"| {r['sampler']} | {r['rule']} | {' | '.join(cells)} | {r['designs']:.0f} | {reach} | {r['seeds']} |")
    rows = json.loads((RESULTS / "stopping.json").read_text())["rows"]
    print("\n| baselines | designs | rule | hypervolume lost | epochs saved | front stopped, small | large |")
    print("|---|---|---|---|---|---|---|")
    for r in rows:
        first = "first" if r["baselines"] else "none"
        figures = [f"{100 * r[k]:.1f} %" for k in ("lost", "saved", "cut_small", "cut_large")]
        print(f"| {first} | {r['designs']} | {r['rule']} | {' | '.join(figures)} |")


def _write(path: Path | None, rows: list[dict[str, Any]], table: Table) -> None:
    if path:
        made_by = {"command": " ".join([Path(sys.argv[0]).name, *sys.argv[1:]]), "table": table.about["settings"]}
        made_by["table"] = {key: made_by["table"][key] for key in ("dataset", "recipe")} | {"n": len(table.entries)}
        text = json.dumps({"made_by": made_by, "rows": rows}, indent=1)
        write_atomic(path, text + "\n")


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("samplers", "stopping", "show"))
    parser.add_argument("--seeds", type=int, default=30, help="searches of each kind")
    parser.add_argument("--slow", type=int, default=5, help="searches with gp")
    parser.add_argument("--epochs", type=int, default=120, help="budget of a simulated search")
    parser.add_argument("--orders", type=int, default=1000, help="orders of each kind")
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    table = open_table()
    tasks: dict[str, Callable[[], list[dict[str, Any]]]] = {
        "samplers": lambda: samplers(table, asked.seeds, asked.slow, asked.epochs),
        "stopping": lambda: stopping(table, asked.orders),
    }
    if asked.what == "show":
        show()
    else:
        _write(asked.out, tasks[asked.what](), table)


if __name__ == "__main__":
    main()
