"""Hand broken inputs to everything that reads what strangers made, under limits of memory and time.

    nice -n 10 python benchmarks/fuzz.py --inputs 100000 --out benchmarks/results/fuzz.json
    python benchmarks/fuzz.py --target flowers --first 4711 --inputs 1        # one seed again, with its traceback

An input fails where its reader raises anything but UserError, computes for longer than SECONDS, or takes more than a
gigabyte. Each target runs in a process of its own whose address space may grow by GIGABYTE and no more.
"""

import argparse
import json
import multiprocessing
import platform
import random
import resource
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from importlib.metadata import version
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "helpers"))

SECONDS = 5.0  # of computing, per input
WAITING = 120.0  # seconds by the clock: a reader that blocks computes nothing
GIGABYTE = 2**30


class Hang(BaseException):
    """An input took too long; no `except Exception` of a reader may swallow it."""


def alarm(number: int, frame: object) -> None:
    """The signal's handler."""
    raise Hang


def run(name: str, first: int, inputs: int) -> dict[str, Any]:
    """How many inputs were read, refused or failed, and which seeds failed."""
    from fuzz_targets import MAKERS

    from utsearch.errors import UserError

    counts: Counter[str] = Counter()
    failures: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        target = MAKERS[name].make(Path(folder))
        before = limit_memory()
        signal.signal(signal.SIGPROF, alarm)
        signal.signal(signal.SIGALRM, alarm)
        started = time.process_time()
        for seed in range(first, first + inputs):
            begin_watch()
            try:
                target(random.Random(seed))
                counts["read"] += 1
            except UserError:
                counts["refused"] += 1
            except BaseException as error:
                end_watch()
                if isinstance(error, KeyboardInterrupt):
                    raise
                counts["failed"] += 1
                if len(failures) < 20:
                    failures.append({"seed": seed, "error": repr(error)[:300], "trace": traceback.format_exc()})
            end_watch()
        seconds = time.process_time() - started
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - before
    counts.setdefault("failed", 0)
    return {**counts, "cpu_seconds": round(seconds), "grown_mb": round(grown / 1e6), "failures": failures}


def limit_memory() -> int:
    """Let the process grow by a gigabyte at most; returns the bytes it has now."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * resource.getpagesize() + GIGABYTE
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def begin_watch() -> None:
    """Start both clocks."""
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    signal.setitimer(signal.ITIMER_REAL, WAITING)


def end_watch() -> None:
    """Stop both clocks."""
    signal.setitimer(signal.ITIMER_PROF, 0)
    signal.setitimer(signal.ITIMER_REAL, 0)


def main() -> None:
    """Run the targets one after the other; exit code 1 if an input failed."""
    from fuzz_targets import MAKERS

    parser = argparse.ArgumentParser()
    parser.add_argument("--target", action="append", choices=MAKERS)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--inputs", type=int, default=1000, help="seeds per target")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    results: dict[str, Any] = json.loads(args.out.read_text())["targets"] if args.out and args.out.exists() else {}
    for name in args.target or MAKERS:
        with multiprocessing.get_context("spawn").Pool(1) as pool:  # a clean process: its memory is the target's
            results[name] = found = pool.apply(run, (name, args.first, args.inputs))
        for failure in found.pop("failures"):
            print(f"{name} seed {failure['seed']}: {failure['error']}\n{failure['trace']}", flush=True)
        results[name] |= {"inputs": args.inputs, "first": args.first}
        print(name, results[name], flush=True)
        if args.out:
            args.out.write_text(json.dumps(card(results), indent=2) + "\n")
    sys.exit(any(result["failed"] for result in results.values()))


def card(results: dict[str, Any]) -> dict[str, Any]:
    """The results with what they were measured with."""
    libraries = ("torch", "pydantic", "scipy", "pillow", "safetensors")
    return {
        "command": "python benchmarks/fuzz.py --inputs 100000 --out benchmarks/results/fuzz.json",
        "python": platform.python_version(),
        "versions": {name: version(name) for name in libraries},
        "limits": {"gigabytes": 1, "cpu_seconds_per_input": SECONDS},
        "targets": results,
    }


if __name__ == "__main__":
    main()
