"""A stranger's study: one cell of its database is bent, and everything that reads a study reads it."""

import json
import random
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fake_problem import FakeProblem, run_fake
from optuna.storages._rdb.storage import _VersionManager

from utsearch.errors import UserError
from utsearch.report.report import report
from utsearch.report.telling import story_of
from utsearch.search import front_records, open_study, pick_record
from utsearch.search.doctor import check_study
from utsearch.search.evaluation import choose, evaluate, results
from utsearch.search.shelf import contrast
from utsearch.search.storage import connect

NAME = "fuzzed"
PAGES = 0.05  # of the inputs that are read are drawn as a page too: 5 MB each
CELLS: dict[str, Sequence[str]] = {
    "trial_user_attributes": ("value_json", "value_json", "value_json", "key"),
    "study_user_attributes": ("value_json", "value_json", "key"),
    "trial_system_attributes": ("value_json", "key"),
    "trial_params": ("distribution_json", "param_value", "param_name"),
    "trial_values": ("value", "value_type", "objective"),
    "trials": ("state", "number", "datetime_start", "datetime_complete"),
    "study_directions": ("direction",),
}
WEIGHTS = (8, 4, 1, 2, 1, 1, 0.2)
SCRIPT = "</script><script>alert(1)</script><img src=x onerror=alert(1)>"
ODD: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 3, 10**14, 10**30, -(10**30), 0.5, -0.0, 1e308, float("nan"), float("inf")),
    *("", " ", SCRIPT, "\ud800", "\0", "\x1b]0;x\x07", "a\nb", "٣", "a" * 30_000, "../../x", "linear", "ffn:lora(4)"),
    *([], {}, [[]], [None], {"": None}, [1] * 2000, {"name": SCRIPT}, [{"index": 0, "epoch": 1, "top1": 0.5}]),
)
TEXTS = ("", "null", "[" * 3000, '{"a":' * 3000, "9" * 5000, "1e999", "-1e999", "NaN", '"\\ud800"', "{", "0x1", "'a'")


def bent_json(value: Any, rng: random.Random) -> Any:
    """A part of it replaced, removed or doubled."""
    if isinstance(value, dict) and value and rng.random() < 0.8:
        key = rng.choice(sorted(value))
        if rng.random() < 0.1:
            return {k: v for k, v in value.items() if k != key}
        if rng.random() < 0.1:
            return {(str(rng.choice(ODD)) if k == key else k): v for k, v in value.items()}
        return {**value, key: bent_json(value[key], rng)}
    if isinstance(value, list) and value and rng.random() < 0.8:
        at = rng.randrange(len(value))
        if rng.random() < 0.2:
            return value[:at] + value[at:] * rng.choice((0, 2, 50))
        return [*value[:at], bent_json(value[at], rng), *value[at + 1 :]]
    return rng.choice(ODD)


class StudyTarget:
    """A finished search of formulas, some runs of its final evaluation beside it."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._path = folder, folder / f"{NAME}.db"
        problem = FakeProblem()
        study = run_fake(problem, folder, "14", NAME, sampler="random")
        evaluate(study, choose(study.records(), top=2, baselines=False), [1, 2], lambda seed: problem)
        self._whole = self._path.read_bytes()
        head = connect(study.url).tables._version_manager.get_head_version()  # 0.1 s each time, and always the same
        _VersionManager.get_head_version = lambda manager: head

    def __call__(self, rng: random.Random) -> None:
        self._path.write_bytes(self._whole)
        self.bend(rng)
        said = ""
        try:
            self.read(draw=rng.random() < PAGES)
        except UserError as error:
            said = str(error)
        assert not any(ord(c) < 32 for c in said), "an error of a stored study is one line, and a terminal obeys none"
        if said:
            raise UserError(said)

    def bend(self, rng: random.Random) -> None:
        """One cell or one row, now and then several."""
        connection = sqlite3.connect(self._path)
        connection.execute("PRAGMA synchronous = OFF")
        with connection:
            for _ in range(rng.choice((1, 1, 1, 2, 4))):
                (table,) = rng.choices(tuple(CELLS), WEIGHTS)
                column = rng.choice(CELLS[table])
                rows = connection.execute(f"SELECT rowid, {column} FROM {table}").fetchall()
                row, value = rng.choice(rows)
                try:
                    if rng.random() < 0.05:
                        connection.execute(f"DELETE FROM {table} WHERE rowid = ?", (row,))
                    else:
                        cell = self.cell(column, value, rng)
                        connection.execute(f"UPDATE {table} SET {column} = ? WHERE rowid = ?", (cell, row))
                except (sqlite3.IntegrityError, OverflowError, UnicodeEncodeError):
                    continue  # what the database itself refuses
        connection.close()

    def cell(self, column: str, value: Any, rng: random.Random) -> Any:
        """What a cell is replaced by."""
        if column.endswith("json") and rng.random() < 0.85:
            return json.dumps(bent_json(json.loads(value), rng))
        if column.endswith("json"):
            return rng.choice(TEXTS)
        chosen = rng.choice(ODD)
        return chosen if isinstance(chosen, int | float | str | None) else json.dumps(chosen)

    def read(self, draw: bool) -> None:
        """Whatever a user may do with a study that trains nothing."""
        study = open_study(NAME, studies_dir=self._folder)
        records = study.records()
        front_records(records)
        results(study)
        list(check_study(study))
        contrast(study, study)
        if any(record.status == "finished" for record in records):
            pick_record(records, "knee")
        if draw:
            page = report([story_of(study)])
            assert SCRIPT not in page
