"""Kill a real search at random moments, go on each time, and count what was lost, doubled or left running.

    python benchmarks/kill.py --kills 20 --folder /tmp/kills

The search is the command line's own (`cli.py search`) on a small folder of rendered birds, so that a trial takes
seconds. Prints one line per kill and ends with exit code 1 if a finished trial was lost, changed or trained twice.
"""

import argparse
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

from optuna.trial import TrialState
from torchvision.transforms.v2 import functional as TF

from utsearch.data import open_dataset
from utsearch.search import Record, open_study
from utsearch.search.storage import StudyError

CLI = Path(__file__).parents[1] / "cli.py"
CLASSES, IMAGES = 4, 12
STUDY = "killed"


def write_birds(folder: Path) -> None:
    """A folder CLASS/IMAGE.png of the first classes of mini-birds."""
    split = open_dataset("mini-birds", img_size=64).train
    for label in range(CLASSES):
        (folder / str(label)).mkdir(parents=True, exist_ok=True)
        for i, pixels in enumerate(split.pixels[split.labels == label][:IMAGES]):
            TF.to_pil_image(pixels).save(folder / str(label) / f"{i}.png")


def start(data: Path, studies: Path, budget: str) -> "subprocess.Popen[bytes]":
    """The search as a user starts it."""
    command = [sys.executable, str(CLI), "search", "--dataset", str(data), "--studies", str(studies)]
    return subprocess.Popen([*command, "--study", STUDY, "--budget", budget], stdout=subprocess.DEVNULL)


def ended(studies: Path) -> dict[int, Record]:
    """Trials that count, by number."""
    try:
        records = open_study(STUDY, studies_dir=studies).records()
    except StudyError:  # the first kill may come before the study is there
        return {}
    return {record.number: record for record in records if record.status in ("finished", "stopped")}


def problems(before: dict[int, Record], after: dict[int, Record], studies: Path) -> list[str]:
    """What a kill broke."""
    found = [f"trial {n} was lost" for n in before.keys() - after.keys()]
    found += [f"trial {n} changed" for n, record in before.items() if n in after and after[n] != record]
    twice = Counter(record.digest for record in after.values())
    found += [f"{digest} was trained {times} times" for digest, times in twice.items() if times > 1]
    weights = studies / STUDY
    found += [f"trial {n} has no weights" for n in after if not (weights / f"trial-{n}.safetensors").is_file()]
    return found


def main() -> None:
    """Parse the command line, kill and count."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--folder", type=Path, required=True, help="scratch; data and the study are kept there")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    data, studies = arguments.folder / "birds", arguments.folder / "studies"
    rng = random.Random(arguments.seed)
    write_birds(data)
    before, broken = ended(studies), []
    for kill in range(arguments.kills):
        search = start(data, studies, "999")
        deadline = time.monotonic() + 300
        while len(ended(studies)) <= len(before) and search.poll() is None and time.monotonic() < deadline:
            time.sleep(0.2)  # so that each kill meets a search at work; the moment after that is random
        time.sleep(rng.uniform(0, 4))
        if search.poll() is not None:
            raise SystemExit(f"the search ended by itself with exit code {search.returncode}")
        search.send_signal(signal.SIGKILL)
        search.wait()
        after = ended(studies)
        broken += problems(before, after, studies)
        print(
            f"kill {kill + 1}: {len(after)} trials, {len(after) - len(before)} new, {len(broken)} problems", flush=True
        )
        before = after
    start(data, studies, "2").wait()
    after = ended(studies)
    broken += problems(before, after, studies)
    running = open_study(STUDY, studies_dir=studies).optuna.get_trials(states=(TrialState.RUNNING,))
    broken += [f"trial {trial.number} is still running" for trial in running]
    print(
        "\n".join(broken) or f"{len(after)} trials after {arguments.kills} kills: none lost, changed, doubled or stuck"
    )
    raise SystemExit(bool(broken))


if __name__ == "__main__":
    main()
