"""Kill -9 workers of one study at random moments, start new ones, and count what was lost, doubled or left running.

    python benchmarks/kill_workers.py --kills 100 --workers 4 --storage sqlite:////tmp/kills/x.db --folder /tmp/kills
    python benchmarks/kill_workers.py --kills 100 --workers 8 --storage postgresql+psycopg://me@localhost/studies

Training is simulated as in `benchmarks/load.py`; `benchmarks/kill.py` kills the real search. Each kill hits a worker
that has begun a trial, at a moment drawn at random. At the end fresh workers train a few more.
"""

import argparse
import json
import os
import random
import subprocess
import time
from pathlib import Path

from load import DATABASE, problems, simulated, start
from made_by import made_by

from utsearch.files import write_atomic
from utsearch.search import Record, Study, prepare
from utsearch.search.queue import SIGNED

ENDLESS = 10**9


def ended(study: Study) -> dict[int, Record]:
    """Trials that count, by number."""
    return {r.number: r for r in study.records() if r.status in ("finished", "stopped")}


def begun(study: Study) -> set[int]:
    """Processes that have taken a trial."""
    return {t.user_attrs["worker"]["pid"] for t in study.optuna.get_trials(deepcopy=False) if "worker" in t.user_attrs}


def kill(study: Study, arguments: argparse.Namespace, rng: random.Random) -> list[str]:
    """Kill, restart, compare; returns what was lost or changed."""
    before, found = ended(study), []
    workers = [start(arguments, study.name, ENDLESS, i + 1) for i in range(arguments.workers)]
    for number in range(arguments.kills):
        while not (ready := [w for w in workers if w.pid in begun(study)]):
            time.sleep(0.1)
        time.sleep(rng.uniform(0, arguments.between))
        victim = rng.choice(ready)
        victim.kill()
        victim.communicate()
        workers.remove(victim)
        workers.append(start(arguments, study.name, ENDLESS, arguments.workers + number + 1))
        after = ended(study)
        found += [f"trial {n} was lost or changed" for n, record in before.items() if after.get(n) != record]
        before = after
    for worker in workers:  # all but what the last ones trained is queued by who comes next
        worker.kill()
        worker.communicate()
    return found


def finish(study: Study, arguments: argparse.Namespace) -> int:
    """A few more trials by fresh workers; returns how many trials were asked for."""
    time.sleep(SIGNED)  # a trial taken and not signed yet is nobody's after this
    until = len(ended(study)) + 3 * arguments.workers
    last: list[subprocess.Popen[str]] = [
        start(arguments, study.name, until, ENDLESS + i) for i in range(arguments.workers)
    ]
    for worker in last:
        worker.communicate()
    return until


def main() -> None:
    """Parse the command line, kill and count."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--storage", default=os.environ.get("UTSEARCH_STORAGE"), required=False)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=0.5, help="a trial sleeps")
    parser.add_argument("--between", type=float, default=3.0, help="seconds between two kills at most")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, default=Path("studies"))
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    problem, space = simulated(arguments.seconds, arguments.folder)
    name = f"kills-{int(time.time())}"
    study = prepare(problem, space, name, storage_url=arguments.storage, studies_dir=arguments.folder)
    broken = kill(study, arguments, random.Random(arguments.seed))
    until = finish(study, arguments)
    broken += problems(study.records(), until, arguments.workers)
    died = sum("its worker" in str(record.reason) for record in study.records())
    told = {"kills": arguments.kills, "workers": arguments.workers, "finished": len(ended(study)), "died": died}
    print(json.dumps({**told, "problems": broken}))
    if arguments.out:
        about = {"made_by": made_by(DATABASE), "simulated": f"a trial sleeps {arguments.seconds} s"}
        about |= {**told, "problems": broken}
        write_atomic(arguments.out, json.dumps(about, indent=1) + "\n")
    raise SystemExit(bool(broken))


if __name__ == "__main__":
    main()
