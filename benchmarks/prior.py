"""Priors against designs that are trained already: rank correlation within bands of equal size, and searches with them.

    python benchmarks/prior.py score       # every design of the tabular benchmark by every prior, and what that took
    python benchmarks/prior.py correlate   # with accuracy after training, from the scores kept
    python benchmarks/prior.py simulate    # searches with and without, from the scores kept
    python benchmarks/prior.py show        # all of it as tables

Results are kept in benchmarks/results/prior.json. What a prior costs is counted in epochs of ordinary training of a
middling design, timed before and after it on the same machine, so that its load cancels.
"""

import argparse
import json
import platform
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from scipy.stats import kendalltau, spearmanr
from tabular import problem_of_table

from utsearch.design import Design
from utsearch.files import write_atomic
from utsearch.search import DEFAULT_RULE, Study
from utsearch.search.prior import Plan, PriorLike, enqueue_prior
from utsearch.stats import interval
from utsearch.tabular import Entry, Replay, Table, open_table
from utsearch.tabular.simulate import Progress, progress, simulate
from utsearch.training import Problem
from utsearch.training.sensitivity import SensitivityPrior, squared
from utsearch.training.supernet import SupernetPrior

OUT = Path(__file__).parent / "results" / "prior.json"
BANDS = 5
EPOCHS = {False: (40, 60, 80), True: (40, 60, 80, 120)}  # known designs take the first 32 where they are queued
ARMS = (("sensitivity Σ|g|", 1), ("supernet, 12 epochs", 1))
BOOTSTRAPS = 300
Array = npt.NDArray[np.float64]
PRIORS: dict[str, Callable[[Problem], PriorLike]] = {
    "sensitivity Σ|g|": SensitivityPrior,
    "supernet, 12 epochs": SupernetPrior,
    "supernet, 4 epochs": partial(SupernetPrior, epochs=4),
    "sensitivity Σg² (SPT)": partial(SensitivityPrior, measure=squared),
    "sensitivity Σ|g|, other seed": partial(SensitivityPrior, seed=1),
}


def entries_of(table: Table) -> list[Entry]:
    """The designs of the space, without the linear probe."""
    return [entry for entry in table.entries.values() if entry.in_space and entry.n_params]


def epoch_seconds(problem: Problem, text: str) -> float:
    """Of ordinary training, validation included."""
    begun = time.perf_counter()
    next(problem.start(Design.parse(text)).rungs())
    return time.perf_counter() - begun


def score(table: Table, names: Sequence[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Of each prior the scores by digest, its seconds, and how many epochs of training these are."""
    torch.set_num_threads(1)
    problem, entries = problem_of_table(table.space), entries_of(table)
    designs = [problem.resolve(Design.parse(entry.design)) for entry in entries]
    middling = entries[len(entries) // 2].design
    epoch_seconds(problem, middling)  # fills the prefix cache, as the search would
    before = epoch_seconds(problem, middling)
    for name in names:
        begun = time.perf_counter()
        scores = PRIORS[name](problem).scores(designs, lambda share: None)
        seconds, after = time.perf_counter() - begun, epoch_seconds(problem, middling)
        rounded = {entry.digest: float(f"{one:.5g}") for entry, one in zip(entries, scores, strict=True)}
        epochs = round(2 * seconds / (before + after), 2)
        print(f"{name}: {seconds:.1f} s, {epochs} epochs", flush=True)
        yield name, {"seconds": round(seconds, 1), "epochs": epochs, "scores": rounded}
        before = after


@dataclass(frozen=True)
class Bands:
    """Accuracies of designs (designs, seeds) and the band of each."""

    accuracy: Array
    band: npt.NDArray[np.int64]

    @classmethod
    def of(cls, table: Table, entries: Sequence[Entry]) -> "Bands":
        """Bands of equally many designs; the entries are sorted by size."""
        rows = [[table.curves[e.digest, seed][-1].top1 for seed in table.seeds] for e in entries]
        parts = np.array_split(np.arange(len(entries)), BANDS)
        return cls(np.array(rows), np.concatenate([np.full(len(part), i) for i, part in enumerate(parts)]))

    def correlation(self, scores: Array, drawn: npt.NDArray[np.int64], of: Callable[..., Any]) -> list[float]:
        """Of scores with one seed's accuracy, mean over the seeds, in each band of the designs drawn."""
        seeds = range(self.accuracy.shape[1])
        inside = [drawn[self.band[drawn] == band] for band in range(BANDS)]
        return [float(np.mean([of(scores[i], self.accuracy[i, s]).statistic for s in seeds])) for i in inside]

    def ceiling(self, drawn: npt.NDArray[np.int64], of: Callable[..., Any]) -> list[float]:
        """Of one seed's accuracy with another's."""
        inside = [drawn[self.band[drawn] == band] for band in range(BANDS)]
        return [float(of(self.accuracy[i, 0], self.accuracy[i, 1]).statistic) for i in inside]


def correlate(table: Table, kept: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Every prior, log parameters, the number of tuned cells, and the first epoch of real training."""
    entries = entries_of(table)
    bands, rng = Bands.of(table, entries), np.random.default_rng(0)
    columns: dict[str, Array] = {
        "log parameters": np.log([float(e.n_params) for e in entries]),
        "number of tuners": np.array([sum(v for k, v in e.features.items() if " " not in k) for e in entries]),
        "one epoch of training": np.array([table.curves[e.digest, table.seeds[0]][0].top1 for e in entries]),
    }
    columns |= {name: np.array([made["scores"][e.digest] for e in entries]) for name, made in kept.items()}
    everyone = np.arange(len(entries))
    draws = [rng.integers(len(entries), size=len(entries)) for _ in range(BOOTSTRAPS)]
    tops = np.array([np.mean(bands.ceiling(drawn, spearmanr)) for drawn in draws])
    rows = [_row("seed against seed", lambda drawn, of: bands.ceiling(drawn, of), everyone, tops, tops)]
    for name, scores in columns.items():
        means = np.array([np.mean(bands.correlation(scores, drawn, spearmanr)) for drawn in draws])
        rows.append(_row(name, partial(bands.correlation, scores), everyone, means, tops, rows[0]["spearman"]))
        print(json.dumps(rows[-1], ensure_ascii=False), flush=True)
    return rows


def _row(
    name: str,
    found: Callable[[npt.NDArray[np.int64], Callable[..., Any]], list[float]],
    everyone: npt.NDArray[np.int64],
    means: Array,
    tops: Array,
    top: float | None = None,
) -> dict[str, Any]:
    each, shares = found(everyone, spearmanr), means / tops
    mean = float(np.mean(each))
    return {
        "name": name,
        "spearman": round(mean, 3),
        "spearman_95": [round(float(q), 3) for q in np.percentile(means, [2.5, 97.5])],
        "bands": [round(value, 3) for value in each],
        "kendall": round(float(np.mean(found(everyone, kendalltau))), 3),
        "of_ceiling": round(mean / (top or mean), 3),
        "of_ceiling_95": [round(float(q), 3) for q in np.percentile(shares, [2.5, 97.5])],
    }


@dataclass(frozen=True)
class Stored:
    """A prior whose scores are known."""

    known: Mapping[str, float]

    def scores(self, designs: Sequence[Any], on_progress: Callable[[float], None]) -> list[float]:
        """As they were."""
        return [self.known[design.digest] for design in designs]


def searches(table: Table, kept: Mapping[str, Any], seeds: int, baselines: bool) -> list[dict[str, Any]]:
    """Searches with each prior and without, at the same total number of epochs; the prior's own count."""
    epochs, everyone = EPOCHS[baselines], range(seeds)
    plain = [one_search(table, None, 0, seed, baselines, Plan(), max(epochs)) for seed in everyone]
    rows = [{"prior": "none", "baselines": baselines, "queued": 0, **_grown(plain, plain, epochs)}]
    for name, each in [arm for arm in ARMS if arm[0] in kept]:
        plan, cost = Plan(len(table.entries), len(table.entries), each=each), round(kept[name]["epochs"])
        prior = Stored(kept[name]["scores"])
        runs = [one_search(table, prior, cost, seed, baselines, plan, max(epochs)) for seed in everyone]
        row = {"prior": name, "baselines": baselines, "queued": plan.bands * each}
        rows.append({**row, **_grown(runs, plain, epochs)})
        print(json.dumps(rows[-1], ensure_ascii=False), flush=True)
    return rows


def one_search(
    table: Table, prior: Stored | None, cost: int, seed: int, baselines: bool, plan: Plan, epochs: int
) -> Progress:
    """Hypervolume over epochs of one simulated search with the default sampler and rule."""
    replay = Replay(table, seed=seed, baselines=baselines, epochs=cost)

    def queue(study: Study) -> None:
        if prior is not None:
            enqueue_prior(study, replay, table.space, "stored", prior, plan=plan, seed=seed)

    return progress(table, simulate(replay, table.space, epochs=epochs, rule=DEFAULT_RULE, queue=queue))


def _grown(runs: Sequence[Progress], plain: Sequence[Progress], epochs: Sequence[int]) -> dict[str, Any]:
    """Mean hypervolume, and the mean difference to the same seeds without a prior, each with half its interval."""
    row: dict[str, Any] = {}
    for at in epochs:
        own, other = [run.at(at) for run in runs], [run.at(at) for run in plain]
        row[f"hv_{at}"] = [round(x, 4) for x in interval(own)]
        row[f"gain_{at}"] = [round(x, 4) for x in interval([a - b for a, b in zip(own, other, strict=True)])]
    return row


def show(result: Mapping[str, Any]) -> None:
    """The results as Markdown."""
    print("| score | Spearman, mean of 5 bands | of the ceiling | Kendall | cost in epochs |\n|---|---|---|---|---|")
    for row in result["correlation"]:
        low, high = row["spearman_95"]
        least, most = row["of_ceiling_95"]
        cost = result["scores"].get(row["name"], {}).get("epochs", "–")
        figures = f"{row['spearman']:.2f} ({low:.2f}–{high:.2f}) | {row['of_ceiling']:.2f} ({least:.2f}–{most:.2f})"
        print(f"| {row['name']} | {figures} | {row['kendall']:.2f} | {cost} |")
    for baselines, budgets in EPOCHS.items():
        print(f"\nKnown designs {'first' if baselines else 'left out'}:\n")
        print("| prior | queued |" + "".join(f" {b} epochs |" for b in budgets))
        print("|---" * (2 + len(budgets)) + "|")
        for row in [row for row in result["searches"] if row["baselines"] is baselines]:
            key, sign = ("hv", "") if row["prior"] == "none" else ("gain", "+")
            cells = [f"{100 * m:{sign}.2f} ± {100 * h:.2f}" for m, h in (row[f"{key}_{b}"] for b in budgets)]
            print(f"| {row['prior']} | {row['queued']} | {' | '.join(cells)} |")


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("score", "correlate", "simulate", "show"))
    parser.add_argument("--only", nargs="+", choices=PRIORS, default=list(PRIORS), help="priors to score")
    parser.add_argument("--seeds", type=int, default=30, help="searches of each kind")
    parser.add_argument("--out", type=Path, default=OUT)
    asked = parser.parse_args()
    table, out = open_table(), asked.out
    result: dict[str, Any] = json.loads(out.read_text()) if out.exists() else {"scores": {}}
    if asked.what == "score":
        for name, scored in score(table, asked.only):
            result["scores"][name] = scored
            keep(out, result, table)
    elif asked.what == "correlate":
        result["correlation"] = correlate(table, result["scores"])
    elif asked.what == "simulate":
        for baselines in (False, True):
            others = [row for row in result.get("searches", []) if row["baselines"] is not baselines]
            result["searches"] = others + searches(table, result["scores"], asked.seeds, baselines)
            keep(out, result, table)
    if asked.what == "show":
        show(result)
    else:
        keep(out, result, table)


def keep(out: Path, result: Mapping[str, Any], table: Table) -> None:
    """Write the results with what made them."""
    made_by = {
        "command": "python benchmarks/prior.py score, correlate, simulate",
        "versions": {name: version(name) for name in ("utsearch", "torch", "optuna", "scipy")},
        "machine": f"{platform.machine()}, one thread",
        "table": {"designs": len(entries_of(table)), "seeds": list(table.seeds)},
    }
    text = json.dumps({"made_by": made_by, **{k: v for k, v in result.items() if k != "made_by"}}, ensure_ascii=False)
    write_atomic(out, text + "\n")


if __name__ == "__main__":
    main()
