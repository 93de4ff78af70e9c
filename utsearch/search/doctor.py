"""Check-up of storages and studies: what is wrong, and what may be done about it."""

import os
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import text

from utsearch.findings import Finding, Repair
from utsearch.search.patient import BEAT
from utsearch.search.queue import end_broken, is_dead, recover
from utsearch.search.record import Record, latest
from utsearch.search.shelf import names
from utsearch.search.storage import StudyError, connect, database_errors, shown
from utsearch.search.study import Study, open_study
from utsearch.search.worker import identity
from utsearch.tensors import HeaderError, read_header

ROUNDS = 5  # round trips whose fastest is told
SILENT_SECONDS = 60.0
SLOW_SECONDS = 0.1  # of a round trip: TPE asks for a dozen a trial
OLD_SECONDS = 3600.0  # a temporary file that nobody has written to for so long is left over
_WEIGHTS = re.compile(r"trial-(\d{1,9})(\.resume)?\.safetensors")


def check_storage(storage_url: str | None, studies_dir: Path) -> Iterator[Finding]:
    """Reachable, writable, of what kind, how fast."""
    try:
        if storage_url is None:
            yield from _folder(studies_dir)
        else:
            yield from _database(storage_url)
    except StudyError as error:
        yield Finding("storage", str(error), "problem", "start the database, or correct --storage")


def check_studies(study: str | None, storage_url: str | None, studies_dir: Path) -> Iterator[Finding]:
    """One study, or all of them."""
    try:
        found = names(storage_url, studies_dir) if study is None else [study]
    except StudyError:  # the storage's own check has said it
        return
    for name in found:
        try:
            opened = open_study(name, storage_url, studies_dir=studies_dir)
            yield from check_study(opened)
        except StudyError as error:
            advice = "" if study is None else "restore it from a copy; what Optuna can still read: cli.py studies"
            yield Finding(f"study {name}", str(error), "problem", advice)


def check_study(study: Study) -> Iterator[Finding]:
    """Settings, trials without a worker, weights without a trial and trials without weights, left-over files."""
    records = study.records()
    counts = Counter(record.status for record in records)
    said = ", ".join(f"{n} {status}" for status, n in counts.most_common()) or "no trials yet"
    yield Finding(f"study {study.name}", said)
    for check in (_settings, _unattended, _missing_weights, _stray_weights, _damaged_weights, _left_over, _doubles):
        yield from check(study, records)


def _folder(folder: Path) -> Iterator[Finding]:
    """SQLite files: the folder and each file can be written."""
    if not folder.exists():
        yield Finding("storage", f"{folder} is not there yet; the first search makes it")
        return
    found = sorted(folder.glob("*.db"))
    yield Finding("storage", f"{len(found)} SQLite files in {folder}: for workers of this machine")
    for path in (folder, *found):
        if not os.access(path, os.W_OK):
            yield Finding("storage", f"{path} cannot be written", "problem", f"chmod u+w {path}")


def _database(url: str) -> Iterator[Finding]:
    with database_errors(url):
        storage = connect(url)
        seconds = min(_timed(storage.get_all_studies) for _ in range(ROUNDS))
        slow = seconds > SLOW_SECONDS
        yield Finding(
            "storage",
            f"{shown(url)} answers in {1000 * seconds:.1f} ms",
            "note" if slow else "fine",
            "workers wait for it; bring them nearer to the database" if slow else "",
        )
        if storage.tables is not None:
            with storage.tables.engine.begin() as connection:  # changes no row, needs the right to
                connection.execute(text("UPDATE trials SET number = number WHERE trial_id = -1"))
            yield Finding("storage", "it can be written")


def _timed(ask: Callable[[], object]) -> float:
    begun = time.perf_counter()
    ask()
    return time.perf_counter() - begun


def _settings(study: Study, records: list[Record]) -> Iterator[Finding]:
    try:
        missing = [key for key in ("dataset", "backbone", "recipe", "space") if key not in study.settings]
        _ = study.scale, study.space_text
        wrong = f"its settings lack {', '.join(missing)}" if missing else ""
    except (StudyError, KeyError, TypeError, ValueError) as error:
        wrong = f"its settings cannot be read: {error}"
    if wrong:
        yield Finding(f"study {study.name}", wrong, "problem", "restore it from a copy; it cannot be gone on with")


def _unattended(study: Study, records: list[Record]) -> Iterator[Finding]:
    """Running trials whose worker is gone: of this machine by their process, of others by their heartbeat."""
    running = study.optuna.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
    dead = [trial for trial in running if is_dead(trial)]
    silent = _silent([trial for trial in running if trial not in dead])
    if dead:
        repair = Repair(f"give back {_numbers(dead)}", partial(recover, study.optuna))
        yield Finding(f"study {study.name}", f"{_numbers(dead)} in training by no process", "problem", repair=repair)
    if silent:
        repair = Repair(f"give back {_numbers(silent)}", partial(_fail_silent, study, silent))
        yield Finding(
            f"study {study.name}", f"{_numbers(silent)}: no heartbeat for more than a minute", "problem", repair=repair
        )


def _silent(running: list[FrozenTrial]) -> list[FrozenTrial]:
    """By the clocks of both machines, which is why the repair is asked for."""
    return [t for t in running if BEAT in t.system_attrs and time.time() - float(t.system_attrs[BEAT]) > SILENT_SECONDS]


def _fail_silent(study: Study, silent: list[FrozenTrial]) -> None:
    for trial in silent:
        end_broken(study.optuna, trial, "its worker fell silent")


def _numbers(trials: list[FrozenTrial]) -> str:
    return _listed([trial.number for trial in trials])


def _listed(numbers: list[int]) -> str:
    shortened = ", ".join(map(str, numbers[:10])) + (" …" if len(numbers) > 10 else "")
    return f"trial {shortened}" if len(numbers) == 1 else f"{len(numbers)} trials ({shortened})"


def _missing_weights(study: Study, records: list[Record]) -> Iterator[Finding]:
    """Ended trials have their weights where they were trained, so elsewhere they may be missing."""
    hosts = {t.number: t.user_attrs.get("worker", {}).get("host") for t in study.optuna.get_trials(deepcopy=False)}
    lost = [r.number for r in records if r.status in ("finished", "stopped") and not study.weights(r.number).exists()]
    here = [number for number in lost if hosts[number] == identity()["host"]]
    elsewhere = [number for number in lost if number not in here]
    folder = study.weights(0).parent
    if here:
        yield Finding(
            f"study {study.name}",
            f"{_listed(here)} trained here without weights in {folder}",
            "problem",
            "they cannot be exported: restore the folder, or train the design again with cli.py train",
        )
    if elsewhere:
        yield Finding(
            f"study {study.name}",
            f"{_listed(elsewhere)} trained elsewhere: weights are not in {folder}",
            "note",
            "export them on the machine that trained them, or share --studies",
        )


def _files(study: Study) -> list[Path]:
    folder = study.weights(0).parent
    return sorted(path for path in folder.iterdir() if path.is_file()) if folder.is_dir() else []


def _stray_weights(study: Study, records: list[Record]) -> Iterator[Finding]:
    """Weights of trials that are not there or failed: a worker was killed between saving and saying so."""
    keeping = {r.number for r in records if r.status in ("finished", "stopped", "running")}
    stray = [p for p in _files(study) if (m := _WEIGHTS.fullmatch(p.name)) and int(m[1]) not in keeping]
    if stray:
        yield _removal(study, stray, "weights that belong to no ended trial")


def _left_over(study: Study, records: list[Record]) -> Iterator[Finding]:
    """Temporary files of writers that were killed."""
    now = datetime.now(UTC).timestamp()
    old = [p for p in _files(study) if p.name.startswith(".trial-") and now - p.stat().st_mtime > OLD_SECONDS]
    if old:
        yield _removal(study, old, "temporary files of killed writers")


def _removal(study: Study, paths: list[Path], what: str) -> Finding:
    size = sum(path.stat().st_size for path in paths)
    files = "1 file" if len(paths) == 1 else f"{len(paths)} files"

    def remove() -> None:
        for path in paths:
            path.unlink(missing_ok=True)

    shown_names = ", ".join(path.name for path in paths[:3]) + (" …" if len(paths) > 3 else "")
    said = f"{files} ({size / 1e6:.1f} MB) of {what}: {shown_names}"
    return Finding(f"study {study.name}", said, "problem", repair=Repair(f"remove {files}", remove))


def _damaged_weights(study: Study, records: list[Record]) -> Iterator[Finding]:
    """Weights of ended trials whose header and length do not agree."""
    for record in records:
        path = study.weights(record.number)
        if record.status not in ("finished", "stopped") or not path.is_file():
            continue
        try:
            read_header(path)
        except (HeaderError, OSError) as error:
            yield Finding(f"study {study.name}", str(error), "problem", "restore it from a copy")


def _doubles(study: Study, records: list[Record]) -> Iterator[Finding]:
    """Designs trained twice with one seed: wasted time, and harmless."""
    ended = [r for r in latest(records) if r.status in ("finished", "stopped") and r.digest]
    trained = Counter((r.digest, r.seed) for r in ended)
    twice = [key for key, times in trained.items() if times > 1]
    if twice:
        numbers = [r.number for r in ended if (r.digest, r.seed) in twice]
        yield Finding(f"study {study.name}", f"{_listed(numbers)} of {len(twice)} designs trained twice", "note")
