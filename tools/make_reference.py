"""Make a reference study: a small SQLite file that keeps what a reader needs, without weights.

    python tools/make_reference.py birds                  # studies/birds.db → studies/reference-birds.db
    python tools/make_reference.py birds --out other.db

Trials, their rungs and settings, the space, sessions and every confirmed run stay; Optuna reads it as it is. What said
of each confirmed run where it was made is kept once for all that were made alike.
"""

import argparse
import json
import sqlite3
from datetime import datetime
from pathlib import Path

import optuna
from optuna.trial import FrozenTrial, TrialState

from utsearch.search.evaluation import PREFIX
from utsearch.search.storage import quiet
from utsearch.search.study import REFERENCE, open_study

MOST_BYTES = 1_000_000
DROPPED = ("worker", "claim")  # of a trial: which process trained it


def main() -> None:
    """Parse the command line and write the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study")
    parser.add_argument("--studies", type=Path, default=Path("studies"))
    parser.add_argument("--storage", default=None)
    parser.add_argument("--out", type=Path, default=None)
    asked = parser.parse_args()
    out = asked.out or asked.studies / f"reference-{asked.study}.db"
    size = make_reference(asked.study, asked.storage, asked.studies, out)
    print(f"wrote {out}: {size:,} bytes")


def make_reference(name: str, storage: str | None, studies: Path, out: Path) -> int:
    """Copy a study into a new file; returns its size in bytes."""
    source = open_study(name, storage, studies_dir=studies)
    trials = source.optuna.get_trials()
    fresh = out.with_suffix(".part")
    fresh.unlink(missing_ok=True)
    with quiet():
        copy = optuna.create_study(
            study_name=out.stem, storage=f"sqlite:///{fresh.absolute()}", directions=source.optuna.directions
        )
        for key, value in _attributes(source.optuna.user_attrs).items():
            copy.set_user_attr(key, value)
        copy.add_trials([_slim(trial) for trial in trials])
        copy.set_user_attr(REFERENCE, {"of": name})
    connection = sqlite3.connect(fresh, isolation_level=None)
    connection.execute("VACUUM")
    connection.close()
    size = fresh.stat().st_size
    if size > MOST_BYTES:
        fresh.unlink()
        raise SystemExit(f"error: {size:,} bytes; a reference study has at most {MOST_BYTES:,}")
    fresh.replace(out)
    return size


def _attributes(kept: dict[str, object]) -> dict[str, object]:
    """The study's attributes, `made_by` of confirmed runs only where it differs from the one before."""
    found: dict[str, object] = {}
    seen: set[str] = set()
    for key, value in kept.items():
        if PREFIX in key and isinstance(value, dict):
            made = {k: v for k, v in value.get("made_by", {}).items() if k != "at"}
            text = json.dumps(made, sort_keys=True)
            value = {
                **{k: v for k, v in value.items() if k != "made_by"},
                **({} if text in seen else {"made_by": made}),
            }
            seen.add(text)
        found[key] = value
    return found


def _slim(trial: FrozenTrial) -> FrozenTrial:
    """A trial without what only its worker needed; one that did not end keeps its number as failed."""
    trial.user_attrs = {key: value for key, value in trial.user_attrs.items() if key not in DROPPED}
    if not trial.state.is_finished():
        trial.user_attrs["reason"] = "had not ended when the reference was made"
        trial.state, trial.values = TrialState.FAIL, None
        trial.datetime_start = trial.datetime_start or datetime.now()
        trial.datetime_complete = trial.datetime_start
    return trial


if __name__ == "__main__":
    main()
