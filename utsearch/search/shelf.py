"""The studies of a folder or a database at a glance, and two of them compared."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import optuna

from utsearch import pareto
from utsearch.search.record import Record, finished, front_records
from utsearch.search.storage import SUFFIX, StudyError, connect, database_errors
from utsearch.search.study import Study, compare, open_study


@dataclass(frozen=True)
class Glance:
    """One study in a line.

    Attributes:
        name: of the study.
        trials: all of them.
        best: top-1 of its best finished design, None without one.
        front: designs on the front.
        size: bytes of its SQLite file, None in a shared database.
        touched: when its last trial started.
        dataset: its name; so are backbone and space.
        error: why it cannot be read; all else is empty then.
    """

    name: str
    trials: int = 0
    best: float | None = None
    front: int = 0
    size: int | None = None
    touched: datetime | None = None
    dataset: str = "?"
    backbone: str = "?"
    space: str = "?"
    error: str | None = None


@dataclass(frozen=True)
class Contrast:
    """Two studies: which settings differ, their hypervolumes in one box, and the designs that both trained.

    Attributes:
        settings: one line for each difference.
        scale: the box in which both are measured: from the smaller p0 to the larger p_max, above the lower floor.
        volumes: hypervolume of each.
        fronts: of each.
        shared: pairs of finished trials with the same design, by size.
    """

    settings: Sequence[str]
    scale: pareto.Scale
    volumes: tuple[float, float]
    fronts: tuple[Sequence[Record], Sequence[Record]]
    shared: Sequence[tuple[Record, Record]]


def names(storage_url: str | None, studies_dir: Path) -> list[str]:
    """All studies, of a folder the one written to last first."""
    if storage_url is None:
        files = sorted(studies_dir.glob(f"*{SUFFIX}"), key=lambda path: -path.stat().st_mtime)
        return [path.stem for path in files]
    with database_errors(storage_url):
        return optuna.get_all_study_names(connect(storage_url))


def glances(storage_url: str | None, studies_dir: Path) -> Iterator[Glance]:
    """Every study in a line; one that cannot be read says why, the others go on."""
    for name in names(storage_url, studies_dir):
        try:
            yield _glance(open_study(name, storage_url, studies_dir=studies_dir), storage_url is None)
        except StudyError as error:
            yield Glance(name, error=str(error).splitlines()[0])


def contrast(one: Study, other: Study) -> Contrast:
    """What differs and what is the same."""
    a, b = one.scale, other.scale
    scale = pareto.Scale(min(a.p0, b.p0), max(a.p_max, b.p_max), min(a.floor, b.floor))
    records = [study.records() for study in (one, other)]
    first, second = ({record.digest: record for record in finished(found)} for found in records)
    both = [(first[digest], second[digest]) for digest in first if digest in second]
    return Contrast(
        settings=[line.strip() for line in compare(one.settings, other.settings)],
        scale=scale,
        volumes=(_volume(records[0], scale), _volume(records[1], scale)),
        fronts=(front_records(records[0]), front_records(records[1])),
        shared=sorted(both, key=lambda pair: pair[0].n_params),
    )


def _volume(records: list[Record], scale: pareto.Scale) -> float:
    return pareto.hypervolume([(r.n_params, r.top1 or 0.0) for r in finished(records)], scale)


def _glance(study: Study, own_file: bool) -> Glance:
    records, settings = study.records(), study.settings
    words: dict[str, Any] = {
        key: str(settings.get(key, {}).get("name", "?")) for key in ("dataset", "backbone", "space")
    }
    return Glance(
        name=study.name,
        trials=len(records),
        best=max((record.top1 or 0.0 for record in finished(records)), default=None),
        front=len(front_records(records)),
        size=(study.studies_dir / (study.name + SUFFIX)).stat().st_size if own_file else None,
        touched=max((record.started for record in records if record.started), default=None),
        **words,
    )
