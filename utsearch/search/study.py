"""A stored study: what made it, its trials as records, and the weights it kept."""

import os
import platform
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import optuna
from optuna.exceptions import DuplicatedStudyError
from optuna.study import StudyDirection

from utsearch.pareto import Scale
from utsearch.search.damage import check_scale, check_settings
from utsearch.search.patient import OnBeat
from utsearch.search.record import Record, record_of
from utsearch.search.storage import (
    SUFFIX,
    StudyError,
    check_name,
    connect,
    database_errors,
    quiet,
    shown,
    url_of,
)
from utsearch.space import Space

FORMAT = 1
MOST_BLOCKS = 1000
SESSION = "session/"
REFERENCE = "reference"  # attribute of a study that is there to be looked at
DIRECTIONS = (StudyDirection.MINIMIZE, StudyDirection.MAXIMIZE)  # tuner parameters, validation top-1
FREE = ("versions", "machine")  # recorded, but another machine or library version may go on


@dataclass(frozen=True)
class Study:
    """One stored study; `optuna` is Optuna's own, for whatever Optuna can do with it."""

    name: str
    url: str
    studies_dir: Path
    optuna: optuna.Study

    @property
    def settings(self) -> dict[str, Any]:
        """What made it: data, backbone, recipe, space and seed, with fingerprints."""
        return check_settings(self._attribute("settings"))

    @property
    def scale(self) -> Scale:
        """The constants of its hypervolume."""
        return check_scale(self._attribute("scale"))

    @property
    def sessions(self) -> list[dict[str, Any]]:
        """When, where and by which command it was searched, the earliest first."""
        kept = self.optuna.user_attrs
        return [check_settings(kept[key]) for key in sorted(kept) if key.startswith(SESSION)]

    @property
    def space_text(self) -> str:
        """The space's file, as it was when the study was made."""
        return str(self._attribute("space_text"))

    @property
    def depth(self) -> int | None:
        """Blocks of its backbone; None in a study that did not record them."""
        depth = self.optuna.user_attrs.get("depth")
        return depth if isinstance(depth, int) and 0 < depth < MOST_BLOCKS else None

    @property
    def is_reference(self) -> bool:
        """Whether it is there to be looked at only, and keeps no weights."""
        return REFERENCE in self.optuna.user_attrs

    def records(self) -> list[Record]:
        """All trials in their order."""
        with database_errors(self.url):
            return [record_of(trial) for trial in self.optuna.get_trials(deepcopy=False)]

    def weights(self, number: int) -> Path:
        """Where the weights of a trial are kept."""
        return self.studies_dir / self.name / f"trial-{number}.safetensors"

    def _attribute(self, key: str) -> Any:
        found = self.optuna.user_attrs.get(key)
        if found is None:
            raise StudyError(f"{shown(self.url)} holds {self.name!r}, but it is no study of utsearch: it has no {key}")
        return found


def start_or_resume(
    name: str,
    settings: Mapping[str, Any],
    space: Space,
    scale: Scale | None,
    *,
    storage_url: str | None,
    studies_dir: Path,
    on_beat: OnBeat,
) -> Study:
    """Create a study, or go on with it if the settings are the same.

    Args:
        name: of the study.
        settings: of the problem; compared with what the study recorded, apart from versions and machine.
        space: its fingerprint is compared too.
        scale: constants of the hypervolume for a new study; None where none is to be created.
        storage_url: a database, or None for the study's own SQLite file.
        studies_dir: where SQLite files and weights are.
        on_beat: looks after the trials of workers that are gone, every few seconds.

    Raises:
        StudyError: the settings differ (the differences are shown), or the database cannot be used.
    """
    url = url_of(check_name(name), storage_url, studies_dir)
    _make_folder(studies_dir)
    recorded = {**settings, "space": {"name": space.name, "fingerprint": space.fingerprint}}
    storage = connect(url, on_beat)
    with database_errors(url), quiet():
        try:
            created = optuna.create_study(study_name=name, storage=storage, directions=DIRECTIONS)
            created.set_user_attr("format", FORMAT)
        except DuplicatedStudyError:
            created = optuna.load_study(study_name=name, storage=storage)
        if "settings" not in created.user_attrs and scale is not None:  # also after a crash between these lines
            _describe(created, recorded, space, scale)
    study = Study(name, url, studies_dir, created)
    check_writable(study)
    if differences := compare(study.settings, recorded):
        raise StudyError(
            f"study {name!r} was made with other settings; use them, or another --study:\n" + "\n".join(differences)
        )
    return study


def check_writable(study: Study) -> None:
    """Refuse to add to a reference study.

    Raises:
        StudyError: it is one.
    """
    if study.is_reference:
        raise StudyError(
            f"{study.name!r} is a reference study, which is only looked at; search your own with: --study NAME"
        )


def unstored_study(settings: Mapping[str, Any], space: Space, scale: Scale) -> Study:
    """A study in memory, gone with the process."""
    with quiet():
        created = optuna.create_study(directions=DIRECTIONS)
    _describe(created, settings, space, scale)
    return Study("unstored", "memory", Path(), created)


def _describe(created: optuna.Study, settings: Mapping[str, Any], space: Space, scale: Scale) -> None:
    created.set_user_attr("space_text", space.text)
    created.set_user_attr("scale", scale.to_dict())
    created.set_user_attr("settings", settings)  # last: a study that has them is whole


def exists(name: str, storage_url: str | None, studies_dir: Path) -> bool:
    """Whether a study of this name has been started."""
    url = url_of(check_name(name), storage_url, studies_dir)
    if storage_url is None and not (studies_dir / (name + SUFFIX)).exists():
        return False
    with database_errors(url):
        names = optuna.get_all_study_names(connect(url))
        return name in names and "settings" in optuna.load_study(study_name=name, storage=connect(url)).user_attrs


def open_study(name: str | None, storage_url: str | None = None, *, studies_dir: Path) -> Study:
    """Open a stored study for reading, by default the one written to last.

    Raises:
        StudyError: there is no such study; lists those there are.
    """
    if name is None:
        name = _latest(storage_url, studies_dir)
    url = url_of(check_name(name), storage_url, studies_dir)
    if storage_url is None and not (studies_dir / (name + SUFFIX)).exists():
        raise StudyError(f"no study {name!r} in {studies_dir}; {_list(_files(studies_dir))}")
    storage = connect(url)
    with database_errors(url):
        names = optuna.get_all_study_names(storage)
        if name not in names:
            raise StudyError(f"no study {name!r} in {shown(url)}; {_list(names)}")
        return Study(name, url, studies_dir, optuna.load_study(study_name=name, storage=storage))


def note_session(study: Study, **facts: Any) -> None:
    """Add a session to the study's history."""
    session = {
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": command_line(sys.argv),
        "host": platform.node(),
        **facts,
    }
    key = f"{SESSION}{session['started']} {platform.node()} {os.getpid()}"  # its own, since workers write at once
    with database_errors(study.url):
        study.optuna.set_user_attr(key, session)


def command_line(words: Sequence[str]) -> str:
    """A command as a study may keep it: no folder of the program, no password in a URL."""
    return " ".join([Path(words[0]).name, *(shown(word) if "://" in word else word for word in words[1:])])


def compare(old: Mapping[str, Any], new: Mapping[str, Any], prefix: str = "") -> list[str]:
    """One line for each setting that differs, `  key: old → new`; versions and machine may."""
    lines = []
    for key in [*old, *(k for k in new if k not in old)]:
        before, after = old.get(key), new.get(key)
        if before == after or (not prefix and key in FREE):
            continue
        if isinstance(before, Mapping) and isinstance(after, Mapping):
            lines += compare(before, after, f"{prefix}{key}.")
        else:
            lines.append(f"  {prefix}{key}: {_short(before)} → {_short(after)}")
    return lines


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 60 else f"{text[:57]}…"


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StudyError(f"cannot make the folder {folder}: {error.strerror}") from error


def _files(studies_dir: Path) -> list[str]:
    newest_first = sorted(studies_dir.glob(f"*{SUFFIX}"), key=lambda path: -path.stat().st_mtime)
    return [path.stem for path in newest_first]


def _latest(storage_url: str | None, studies_dir: Path) -> str:
    if storage_url is None:
        names = _files(studies_dir)
    else:
        with database_errors(storage_url):
            names = optuna.get_all_study_names(connect(storage_url))[::-1]
    if not names:
        where = studies_dir if storage_url is None else shown(storage_url)
        raise StudyError(f"no studies in {where}; make one with: python cli.py search --budget 5m")
    return names[0]


def _list(names: list[str]) -> str:
    return f"there are {', '.join(sorted(names))}" if names else "there are none; make one with: python cli.py search"
