"""Samplers and rules of early stopping on recorded curves: what chose the defaults of the search.

    python benchmarks/defaults.py samplers --out benchmarks/results/samplers.json
    python benchmarks/defaults.py stopping --out benchmarks/results/stopping.json
    python benchmarks/defaults.py promotion --out benchmarks/results/promotion.json
    python benchmarks/defaults.py start --out benchmarks/results/start.json
    python benchmarks/defaults.py show      # samplers, stopping and start as tables

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
from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any
from unittest.mock import patch

from stopping_rules import EpsilonNetRule, ExpectedGainRule, NonDominatedRule, OracleRule

from utsearch.files import write_atomic
from utsearch.search import SAMPLERS, Rule, ehvi, make_rule
from utsearch.search.observed import Observed
from utsearch.search.record import finished
from utsearch.search.stopping import DEFAULT_RULE, Brackets, Decision, ForecastRule, RegretRule
from utsearch.stats import interval
from utsearch.tabular import Replay, Table, open_table, simulate
from utsearch.tabular.orders import Outcome, judge
from utsearch.tabular.simulate import Progress, progress

RESULTS = Path(__file__).parent / "results"
EARLY = (24, 40, 60, 80, 120)  # epochs
RULES: dict[str, Rule] = {
    "forecast, margin 1": ForecastRule(),
    "forecast, margin 0.5": ForecastRule(margin=0.5),
    "regret, η=3": RegretRule(),
    "forecast, margin 2": ForecastRule(margin=2),
    "hyperband of forecast, margin 1": Brackets(),
    "regret, η=2": RegretRule(eta=2),
    "expected gain, 0.1 %": ExpectedGainRule(),
    "non-dominated sorting, η=3": NonDominatedRule(),
    "ε-net, η=3": EpsilonNetRule(),
    "who knows every end": OracleRule(),
}


def one_search(table: Table, sampler: str, rule: str, seed: int, baselines: bool, epochs: int) -> Progress:
    """Hypervolume over epochs of one simulated search."""
    replay = Replay(table, seed=seed, baselines=baselines)
    return progress(table, simulate(replay, table.space, epochs=epochs, sampler=sampler, rule=make_rule(rule)))


def samplers(table: Table, seeds: int, slow: int, epochs: int) -> Iterator[dict[str, Any]]:
    """Every sampler with and without early stopping, over seeds; "gp" over fewer, since it takes a minute a search."""
    goal = {s: one_search(table, "random", "none", s, False, epochs).hypervolume[-1] for s in range(seeds)}
    for sampler in sorted(SAMPLERS, key=("random", "ehvi", "tpe").__contains__, reverse=True):
        for rule in ("none", "forecast"):
            begun, n = time.perf_counter(), slow if sampler == "gp" else seeds
            runs = [one_search(table, sampler, rule, s, False, epochs) for s in range(n)]
            reached = [run.epochs_to(goal[s]) for s, run in enumerate(runs)]
            row = {"sampler": sampler, "rule": rule, "seeds": n, "budget": epochs}
            row |= {f"hv_{k}": interval([run.at(epochs * k // 4) for run in runs]) for k in (1, 2, 3)}
            row |= {"hv_end": interval([run.hypervolume[-1] for run in runs])}
            row |= {"trials": statistics.mean(len(run.epochs) for run in runs)}
            never = sum(r is None for r in reached)
            row |= {"to_random": statistics.median(epochs if r is None else r for r in reached), "never": never}
            row |= {"seconds": round((time.perf_counter() - begun) / n, 2)}
            yield row


def stopping(table: Table, orders: int, names: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Rules over bootstrapped orders of 150 designs, known designs first as in a search, and without them.

    Args:
        table: of recorded runs.
        orders: of the designs, the same for every rule.
        names: of the rules.
    """
    for baselines in (True, False):
        for name in names:
            options: dict[str, Any] = {"designs": 150, "rungs": (1, 2, 4), "baselines": baselines}
            options["foresight"] = isinstance(RULES[name], OracleRule)
            found = [judge(table, RULES[name], seed=s, **options) for s in range(orders)]
            yield {"baselines": baselines, "designs": 150, "rule": name, "orders": orders, **_intervals(found)}


def start(table: Table, seeds: int) -> Iterator[dict[str, Any]]:
    """Trials that the default sampler draws at random: early hypervolume, with the known designs first and without."""
    for baselines in (False, True):
        for grace in (2, 4, 6, 10):
            with patch.object(ehvi, "GRACE", grace):
                runs = [one_search(table, "ehvi", "forecast", s, baselines, max(EARLY)) for s in range(seeds)]
            row: dict[str, Any] = {"baselines": baselines, "grace": grace, "seeds": seeds}
            yield row | {f"hv_{epochs}": interval([run.at(epochs) for run in runs]) for epochs in EARLY}


class Final:
    """A rule whose decisions are final: a trial that it stopped it stops again, so that none is promoted."""

    def __init__(self, rule: Rule) -> None:
        self._rule = rule
        self._stopped: dict[tuple[int, int], Decision] = {}

    def decide(self, own: Observed, others: Sequence[Observed]) -> Decision:
        """As before, or as the rule says."""
        key = (own.number, len(own.curve))
        decision = self._stopped.get(key) or self._rule.decide(own, others)
        if not decision.go_on:
            self._stopped[key] = decision
        return decision


def promotion(table: Table, seeds: int, epochs: int) -> Iterator[dict[str, Any]]:
    """What it gains that stopped trials may go on: hypervolume with it, without it, and the paired difference."""
    for name in ("forecast", "regret"):
        pairs, promoted, to_the_end = [], 0, 0
        for seed in range(seeds):
            both = []
            rule = make_rule(name) or DEFAULT_RULE
            for used in (rule, Final(rule)):
                traces = simulate(Replay(table, seed=seed, baselines=False), table.space, epochs=epochs, rule=used)
                went_on = [trace.record for trace in traces if trace.record.resumes is not None]
                promoted, to_the_end = promoted + len(went_on), to_the_end + len(finished(went_on))
                both.append(progress(table, traces))
            pairs.append(both)
        row: dict[str, Any] = {"rule": name, "seeds": seeds, "budget": epochs}
        for k in (1, 2, 3, 4):
            values = [[run.at(epochs * k // 4) if k < 4 else run.hypervolume[-1] for run in both] for both in pairs]
            row[f"with_{k}"], row[f"without_{k}"] = (interval([v[i] for v in values]) for i in (0, 1))
            row[f"gain_{k}"] = interval([a - b for a, b in values])
        yield row | {"promoted": promoted / seeds, "to_the_end": to_the_end / seeds}


def _intervals(found: Sequence[Outcome]) -> dict[str, tuple[float, float]]:
    """Mean and half its 95% interval over orders; where half the front is empty an order says nothing of it."""
    columns = {f.name: [getattr(o, f.name) for o in found] for f in fields(Outcome)}
    told = {name: [v for v in column if not math.isnan(v)] for name, column in columns.items()}
    return {name: interval(column) for name, column in told.items() if len(column) > 1}


def show() -> None:
    """The committed results as Markdown."""
    rows = json.loads((RESULTS / "samplers.json").read_text())["rows"]
    budget = rows[0]["budget"]
    print(
        f"| sampler | early stopping | hypervolume after {budget // 4} epochs | {budget // 2} | {3 * budget // 4} "
        f"| {budget} | trials | epochs to random's end | seeds |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    for r in sorted(rows, key=lambda r: -r["hv_end"][0]):
        cells = [f"{100 * m:.2f} ± {100 * h:.2f}" for m, h in (r[k] for k in ("hv_1", "hv_2", "hv_3", "hv_end"))]
        reach = f"> {budget}" if 2 * r["never"] > r["seeds"] else f"{r['to_random']:.0f}"
        print(f"| {r['sampler']} | {r['rule']} | {' | '.join(cells)} | {r['trials']:.0f} | {reach} | {r['seeds']} |")
    rows = json.loads((RESULTS / "stopping.json").read_text())["rows"]
    print(
        "\n| known designs | rule | hypervolume lost | epochs saved | of new ones | front cut, small | large | orders |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for r in rows:
        first = "first" if r["baselines"] else "none"
        figures = [f"{100 * r[k][0]:.2f} ± {100 * r[k][1]:.2f} %" for k in ("lost", "saved", "saved_new")]
        figures += [f"{100 * r[k][0]:.0f} %" if k in r else "–" for k in ("cut_small", "cut_large")]
        print(f"| {first} | {r['rule']} | {' | '.join(figures)} | {r['orders']} |")
    rows = json.loads((RESULTS / "start.json").read_text())["rows"]
    print(f"\n| known designs | trials at random | {' | '.join(f'{epochs} epochs' for epochs in EARLY)} |")
    print("|---|---|" + "---|" * len(EARLY))
    for r in rows:
        cells = [f"{100 * m:.2f} ± {100 * h:.2f}" for m, h in (r[f"hv_{epochs}"] for epochs in EARLY)]
        print(f"| {'first' if r['baselines'] else 'none'} | {r['grace']} | {' | '.join(cells)} |")


def kept(path: Path | None, rules: Sequence[str]) -> list[dict[str, Any]]:
    """The rows of a file that are of other rules."""
    rows = json.loads(path.read_text())["rows"] if path and path.exists() else []
    return [row for row in rows if row["rule"] not in rules]


def _write(path: Path | None, rows: list[dict[str, Any]], table: Table) -> None:
    if path:
        made_by = {"command": " ".join([Path(sys.argv[0]).name, *sys.argv[1:]]), "table": table.about["settings"]}
        made_by["table"] = {key: made_by["table"][key] for key in ("dataset", "recipe")} | {"n": len(table.entries)}
        text = json.dumps({"made_by": made_by, "rows": rows}, indent=1)
        write_atomic(path, text + "\n")


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("samplers", "stopping", "promotion", "start", "show"))
    parser.add_argument("--seeds", type=int, default=30, help="searches of each kind")
    parser.add_argument("--slow", type=int, default=5, help="searches with gp")
    parser.add_argument("--epochs", type=int, default=120, help="budget of a simulated search")
    parser.add_argument("--orders", type=int, default=1000, help="orders of each rule")
    parser.add_argument("--rules", nargs="+", choices=RULES, default=list(RULES), help="rules of early stopping")
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    table = open_table()
    tasks: dict[str, Callable[[], Iterator[dict[str, Any]]]] = {
        "samplers": lambda: samplers(table, asked.seeds, asked.slow, asked.epochs),
        "stopping": lambda: stopping(table, asked.orders, asked.rules),
        "promotion": lambda: promotion(table, asked.seeds, asked.epochs),
        "start": lambda: start(table, asked.seeds),
    }
    if asked.what == "show":
        show()
        return
    rows = kept(asked.out, asked.rules) if asked.what == "stopping" else []
    for row in tasks[asked.what]():
        rows.append(row)
        print(json.dumps(row), flush=True)
        _write(asked.out, rows, table)  # what there is so far, should it be stopped


if __name__ == "__main__":
    main()
