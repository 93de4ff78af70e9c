"""How long utsearch takes to the front that plain Optuna around a plain training loop ends with.

    python benchmarks/race.py ratios                            # what trials cost without cached prefixes
    python benchmarks/race.py simulate --trials 120             # 30 seeds of every lane, over recorded runs
    python benchmarks/race.py run --seeds 1 --lane plain        # trains; may be stopped, and goes on
    python benchmarks/race.py run --seeds 1                     # all other lanes, each until it is there
    python benchmarks/race.py show --html race.html --json race.json

All lanes have the same space, data, views, schedule, first head, order and seeds, and start without queued designs. A
lane's time is that of its process on one thread: choosing designs, filling caches and fitting the linear probe are part
of it, reading the data is not. docs/race.md has the lanes and what came of it.
"""

import argparse
import json
import math
import platform
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import optuna
from racing.page import page
from racing.recorded import Costs, Lane, Trial, play, play_oracle, play_plain, timed
from racing.trace import TOLERANCE, End, Median, Ratio, Steps, median, ratio, steps

from utsearch.files import write_atomic
from utsearch.pareto import Scale, hypervolume
from utsearch.search import ehvi
from utsearch.tabular import open_table

RESULTS = Path(__file__).parent / "results"
RATIOS = RESULTS / "race-ratios.json"
LONGEST, ORACLE = 4, "oracle"
LANES: dict[str, Lane] = {
    "plain": Lane("tpe", kind="plain", repeats=True),
    "plain-random": Lane("random", kind="plain", repeats=True),
    "utsearch": Lane("ehvi", "forecast"),
    "prior-sensitivity": Lane("ehvi", "forecast", prior=True),
    "no-cache": Lane("ehvi", "forecast", kind="uncached"),
    "no-stopping": Lane("ehvi"),
    "sampler-tpe": Lane("tpe", "forecast"),
    "sampler-tpe-repeats": Lane("tpe", "forecast", repeats=True),
    "sampler-random": Lane("random", "forecast"),
    "known-first": Lane("ehvi", "forecast", baselines=True),
    ORACLE: Lane(ORACLE),
}


def simulate(asked: argparse.Namespace) -> None:
    """All lanes over recorded runs; results are of what the search saw, and of means over the table's seeds."""
    table = open_table()
    costs, worth = Costs.read(table, asked.ratios), {digest: table.mean(digest) for digest in table.entries}
    rows: dict[str, list[dict[str, Any]]] = {}
    grown: dict[str, dict[int, Steps]] = {}
    spent: list[dict[str, float]] = []
    for seed in range(asked.seeds):
        first = played("plain", seed, asked, costs, worth)
        plain = timed(first, LANES["plain"], costs)
        for name in asked.lane or LANES:
            ends = timed(played(name, seed, asked, costs, worth), LANES[name], costs)
            rows.setdefault(name, []).append(compare(plain, ends, table.scale, worth))
            grown.setdefault(name, {})[seed] = steps(ends, table.scale)
        own = played("utsearch", seed, asked, costs, worth)
        told = where_time_goes(own, first, costs, steps(plain, table.scale).final, plain[-1].seconds)
        spent += [told] if told else []
        print(f"seed {seed}: { ({name: row[-1]['seen']['to_reached'] for name, row in rows.items()}) }", flush=True)
    result = {"made_by": provenance(asked), "trials": asked.trials}
    result |= {"lanes": {name: summary(found) for name, found in rows.items()}, "seeds": rows}
    if spent:
        result["utsearch_up_to_the_goal"] = {key: median([row[key] for row in spent]).value for key in spent[0]}
    if asked.json:
        write_atomic(asked.json, json.dumps(finite(result), indent=1) + "\n")
    if asked.html:
        page(grown, asked.html)
    print(table_of(result))


def where_time_goes(
    trials: list[Trial], plain: list[Trial], costs: Costs, goal: float, whole: float
) -> dict[str, float] | None:
    """What the utsearch lane did up to the plain lane's hypervolume, as it was seen; None if it never came there."""
    ends = timed(trials, LANES["utsearch"], costs)
    at = steps(ends, costs.table.scale).reaches(goal)
    if math.isinf(at):
        return None
    n = sum(end.seconds <= at for end in ends)
    trained = sum(trial.epochs for trial in trials[:n] if trial.status in ("finished", "stopped"))
    start = ends[ehvi.GRACE - 1].seconds - costs.fill
    return {
        "trials": n,
        "finished": sum(trial.status == "finished" for trial in trials[:n]),
        "epochs_of_plains": trained / sum(trial.epochs for trial in plain),
        "start_of_time": start / at,
        "start_of_plains_time": start / whole,
        "fill_of_time": costs.fill / at,
        "choosing_of_time": trials[n - 1].chosen / at,
        "plains_repeats": len(plain) - len({trial.digest for trial in plain}),
    }


def played(name: str, seed: int, asked: argparse.Namespace, costs: Costs, worth: Mapping[str, float]) -> list[Trial]:
    """The trials of a lane's search, from its file where it has been played; lanes that only cost differently share."""
    lane, table = LANES[name], costs.table
    known = "known" if lane.baselines else "prior" if lane.prior else "bare"
    words = ["plain", lane.sampler] if lane.kind == "plain" else [lane.sampler, lane.rule, known]
    path = asked.out / f"{'-'.join(words)}-{asked.trials}-{seed}.json"
    if path.is_file():
        return [Trial(**trial) for trial in json.loads(path.read_text())]
    if lane.kind == "plain":
        found = play_plain(lane, table, seed, asked.trials)
    else:
        enough = there(played("plain", seed, asked, costs, worth), table.scale, worth)
        oracle = lane.sampler == ORACLE
        found = play_oracle(table, seed, enough) if oracle else play(lane, table, seed, enough, costs.prior[0])
    asked.out.mkdir(parents=True, exist_ok=True)
    write_atomic(path, json.dumps([asdict(trial) for trial in found]))
    return found


def there(plain: Sequence[Trial], scale: Scale, worth: Mapping[str, float]) -> Callable[[Sequence[Trial]], bool]:
    """Whether a search has come to the plain one's hypervolume, by what it saw and by means, or does not get there.

    That is when it has trained as many epochs, or drawn `LONGEST` times as many designs: repeats cost it nothing.
    """

    def grown(trials: Sequence[Trial], by: Mapping[str, float] | None) -> float:
        done = [t for t in trials if t.status == "finished"]
        return hypervolume([(t.n_params, t.top1 if by is None else by[t.digest]) for t in done], scale)

    goals, most = [(by, grown(plain, by)) for by in (None, worth)], sum(t.epochs for t in plain)

    def enough(trials: Sequence[Trial]) -> bool:
        trained = sum(t.epochs for t in trials if t.status in ("finished", "stopped"))
        return (
            trained >= most
            or len(trials) >= LONGEST * len(plain)
            or all(grown(trials, by) >= goal - TOLERANCE for by, goal in goals)
        )

    return enough


def never(ends: Sequence[End]) -> bool:
    """A lane that nothing ends."""
    return False


def reached(plain: Sequence[End], scale: Scale) -> Callable[[Sequence[End]], bool]:
    """Whether a lane has come to the final hypervolume of a plain one."""
    goal = steps(plain, scale).final
    return lambda ends: steps(ends, scale).final >= goal


def compare(plain: list[End], ends: list[End], scale: Scale, worth: Mapping[str, float] | None) -> dict[str, Any]:
    """A lane beside the plain one of its seed."""
    spent = plain[-1].seconds
    row: dict[str, Any] = {"seen": asdict(ratio(steps(plain, scale), spent, steps(ends, scale)))}
    if worth is not None:
        row["mean"] = asdict(ratio(steps(plain, scale, worth), spent, steps(ends, scale, worth)))
    states = [end.status for end in ends]
    row |= {"seconds": ends[-1].seconds, "trials": len(ends), "designs": len({end.digest for end in ends})}
    row |= {"finished": states.count("finished"), "stopped": states.count("stopped")}
    return row


def summary(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Medians over seeds, with intervals."""
    told: dict[str, Any] = {}
    for by in ("seen", "mean"):
        if by in rows[0]:
            told[by] = {key: asdict(median([row[by][key] for row in rows])) for key in Ratio.__annotations__}
            told[by]["never"] = sum(math.isinf(row[by]["to_reached"]) for row in rows)
    return told | {
        key: median([row[key] for row in rows]).value for key in ("seconds", "trials", "designs", "finished")
    }


def table_of(result: Mapping[str, Any]) -> str:
    """A result as Markdown."""
    lines = [
        "| lane | time over plain's to its last gain | over all of plain's time | by means: last gain | all | trials "
        "| seeds that never came there, seen and by means |"
    ]
    lines += ["|---|---|---|---|---|---|---|"]
    for name, row in result["lanes"].items():
        cells = [
            shown(Median(**row[by][key])) for by in ("seen", "mean") if by in row for key in ("to_reached", "to_spent")
        ]
        cells += ["–"] * (4 - len(cells))
        never = " and ".join(str(row[by]["never"]) for by in ("seen", "mean") if by in row)
        lines.append(f"| {name} | {' | '.join(cells)} | {row['trials']:.0f} | {never} |")
    return "\n".join(lines)


def shown(found: Median) -> str:
    """A median with its interval; what is beyond the plain lane's time is a dash."""
    low, value, high = (f"{v:.2f}" if math.isfinite(v) else "–" for v in (found.low, found.value, found.high))
    return f"{value} ({low} to {high})" if found.n > 5 else value


def run(asked: argparse.Namespace) -> None:
    """The race that trains; a lane that has ended is left as it is."""
    from racing.measured import Track, read_ends, scale_of
    from racing.measured import run as search

    track = Track(asked.space, asked.classes, asked.shots)
    for seed in range(asked.first_seed, asked.first_seed + asked.seeds):
        for name in asked.lane or [lane for lane in LANES if lane != ORACLE]:
            longest, enough = math.inf, never
            if name != "plain":
                plain = read_ends(asked.out / f"plain-{seed}.jsonl")
                if len(plain) < asked.trials:
                    raise SystemExit(
                        f"run the plain lane of seed {seed} first: it has {len(plain)} of {asked.trials} trials"
                    )
                scale = scale_of(asked.out, track, seed)
                if steps(plain, scale).final == 0:
                    raise SystemExit(
                        f"no plain trial of seed {seed} beats the linear probe ({scale.floor:.3f}): no goal"
                    )
                longest, enough = plain[-1].seconds, reached(plain, scale)
            search(LANES[name], name, track, seed, asked.out, asked.trials, longest, enough)


def show(asked: argparse.Namespace) -> None:
    """Table, JSON and page of what has been run."""
    from racing.measured import read_ends, saved_scale

    found: dict[str, dict[int, list[End]]] = {}
    for path in sorted(asked.out.glob("*.jsonl")):
        name, _, seed = path.stem.rpartition("-")
        found.setdefault(name, {})[int(seed)] = read_ends(path)
    if "plain" not in found:
        raise SystemExit(f"{asked.out} has no plain lane; make it with: python benchmarks/race.py run --lane plain")
    scale = saved_scale(asked.out)
    lanes = {name: found[name] for name in LANES if name in found}
    rows = {
        name: [compare(found["plain"][s], ends, scale, None) for s, ends in runs.items() if s in found["plain"]]
        for name, runs in lanes.items()
    }
    result = {"made_by": provenance(asked), "lanes": {name: summary(r) for name, r in rows.items()}, "seeds": rows}
    if asked.json:
        write_atomic(asked.json, json.dumps(finite(result), indent=1) + "\n")
    if asked.html:
        page({name: {s: steps(e, scale) for s, e in runs.items()} for name, runs in lanes.items()}, asked.html)
    print(table_of(result))


def ratios(asked: argparse.Namespace) -> None:
    """Trials of the table's designs with and without cached prefixes, in turn, and the cache's filling."""
    from racing.ratios import measure

    result = {"made_by": provenance(asked), **measure(open_table(), asked.designs, asked.classes)}
    write_atomic(asked.out or RATIOS, json.dumps(result, indent=1) + "\n")


def finite(value: Any) -> Any:
    """For JSON, which has no infinity: null, rounded otherwise."""
    if isinstance(value, Mapping):
        return {key: finite(part) for key, part in value.items()}
    if isinstance(value, list):
        return [finite(part) for part in value]
    if isinstance(value, float):
        return round(value, 4) if math.isfinite(value) else None
    return value


def provenance(asked: argparse.Namespace) -> dict[str, Any]:
    """What made a result."""
    packages = ("utsearch", "torch", "timm", "optuna", "peft")
    command = " ".join([Path(word).name for word in sys.argv])
    machine = f"{platform.machine()}, one thread, seconds of the process"
    return {"command": command, "machine": machine, "versions": {name: version(name) for name in packages}}


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="what", required=True)
    for name, action, seeds, trials in (("simulate", simulate, 30, 120), ("run", run, 1, 60)):
        command = commands.add_parser(name, help=action.__doc__)
        command.add_argument("--seeds", type=int, default=seeds)
        command.add_argument("--trials", type=int, default=trials, help="of the plain lanes")
        command.set_defaults(action=action)
    command = commands.choices["simulate"]
    command.add_argument("--lane", action="append", choices=tuple(LANES), help="may be given several times")
    command.add_argument(
        "--out",
        type=Path,
        default=Path("race-recorded"),
        help="folder of what has been played; another one after the search has changed",
    )
    command.add_argument("--json", type=Path)
    command.add_argument("--html", type=Path)
    command.add_argument("--ratios", type=Path, default=RATIOS)
    command = commands.choices["run"]
    command.add_argument("--lane", action="append", choices=tuple(LANES), help="may be given several times")
    command.add_argument("--first-seed", type=int, default=0)
    command.add_argument("--space", default="mini")
    command.add_argument("--classes", type=int, default=20)
    command.add_argument("--shots", type=int, help="training images of each class [default: all]")
    command.add_argument("--out", type=Path, default=Path("race"))
    command = commands.add_parser("show", help=show.__doc__)
    command.add_argument("--out", type=Path, default=Path("race"))
    command.add_argument("--json", type=Path)
    command.add_argument("--html", type=Path)
    command.set_defaults(action=show)
    command = commands.add_parser("ratios", help=ratios.__doc__)
    command.add_argument("--designs", type=int, default=3, help="of each first block")
    command.add_argument("--classes", type=int, default=20)
    command.add_argument("--out", type=Path)
    command.set_defaults(action=ratios)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    asked = parser.parse_args()
    asked.action(asked)


if __name__ == "__main__":
    main()
