"""Optuna's database with one taker for every trial, and a trial's facts written and read many at a time."""

import json
import weakref
from collections import defaultdict
from collections.abc import Collection, Container, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from optuna.distributions import BaseDistribution, distribution_to_json, json_to_distribution
from optuna.storages import RDBStorage
from optuna.storages._rdb import models
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import Connection, Select, or_, select, update
from sqlalchemy.dialects import mysql, postgresql, sqlite

from utsearch.search.damage import readable

FINISHED = tuple(state for state in TrialState if state.is_finished())
MOST_NAMED = 500  # trials named one by one in a query; SQLite takes 999 variables in old versions


@dataclass
class Facts:
    """What a worker found out about a trial and has not written yet.

    Attributes:
        params: internal value and distribution by name.
        user: attributes; the last value of each counts.
        system: Optuna's and the samplers' attributes.
    """

    params: dict[str, tuple[float, BaseDistribution]] = field(default_factory=dict)
    user: dict[str, Any] = field(default_factory=dict)
    system: dict[str, Any] = field(default_factory=dict)


class Relational(RDBStorage):
    """Optuna's tables, used with fewer statements, and safely where SELECT … FOR UPDATE is ignored, as by SQLite.

    Optuna opens a transaction for every parameter and attribute, about 25 for a trial of ours, and builds each trial
    from objects of SQLAlchemy's; both decide how many workers one database serves (docs/scale.md).
    """

    def __init__(self, url: str, engine_kwargs: dict[str, Any]) -> None:
        super().__init__(url, engine_kwargs=engine_kwargs)
        weakref.finalize(self, self.engine.dispose)  # Optuna leaves its connections to the garbage collector

    def set_trial_state_values(self, trial_id: int, state: TrialState, values: Sequence[float] | None = None) -> bool:
        """Whether the state was set; False for a waiting trial that another worker took.

        Raises:
            UpdateFinishedTrialError: the trial has ended.
        """
        allowed = (TrialState.WAITING,) if state is TrialState.RUNNING else (TrialState.WAITING, TrialState.RUNNING)
        table = models.TrialModel
        changes: dict[str, Any] = {"state": state}
        if state is TrialState.RUNNING or state.is_finished():
            changes["datetime_start" if state is TrialState.RUNNING else "datetime_complete"] = _now()
        open_one = update(table.__table__).where(table.trial_id == trial_id, table.state.in_(allowed))
        with self.engine.begin() as connection:
            if not connection.execute(open_one.values(**changes)).rowcount:
                self.check_trial_is_updatable(trial_id, self._state(connection, trial_id))
                return False
            if values is not None:
                rows = [_value_row(trial_id, i, value) for i, value in enumerate(values)]
                self._upsert(connection, models.TrialValueModel, ("trial_id", "objective"), rows)
        return True

    def write(self, trial_id: int, facts: Facts) -> None:
        """All facts in one transaction; writing them again is safe.

        Parameters are not compared with those of earlier trials: a study's space has a fingerprint.

        Raises:
            UpdateFinishedTrialError: the trial has ended.
        """
        params = [
            {"param_name": name, "param_value": value, "distribution_json": distribution_to_json(distribution)}
            for name, (value, distribution) in facts.params.items()
        ]
        with self.engine.begin() as connection:
            self.check_trial_is_updatable(trial_id, self._state(connection, trial_id, lock=True))
            for model, rows in (
                (models.TrialParamModel, params),
                (models.TrialUserAttributeModel, _attributes(facts.user)),
                (models.TrialSystemAttributeModel, _attributes(facts.system)),
            ):
                key = "param_name" if model is models.TrialParamModel else "key"
                self._upsert(connection, model, ("trial_id", key), [{"trial_id": trial_id, **row} for row in rows])

    def _state(self, connection: Connection, trial_id: int, *, lock: bool = False) -> TrialState:
        asked = select(models.TrialModel.state).where(models.TrialModel.trial_id == trial_id)
        found = connection.execute(asked.with_for_update() if lock else asked).scalar_one_or_none()
        if found is None:
            raise KeyError(f"no trial with id {trial_id}")
        return found

    def _upsert(self, connection: Connection, model: Any, unique: tuple[str, str], rows: list[dict[str, Any]]) -> None:
        """Insert rows of equal keys; where one is there already, its other columns are replaced."""
        if not rows:
            return
        others = [name for name in rows[0] if name not in unique]
        if self.engine.dialect.name in ("mysql", "mariadb"):
            into = mysql.insert(model).values(rows)
            connection.execute(into.on_duplicate_key_update({name: into.inserted[name] for name in others}))
            return
        dialect: Any = sqlite if self.engine.dialect.name == "sqlite" else postgresql
        into = dialect.insert(model).values(rows)
        kept = {name: into.excluded[name] for name in others}
        connection.execute(into.on_conflict_do_update(index_elements=list(unique), set_=kept))

    def _get_trials(
        self,
        study_id: int,
        states: Container[TrialState] | None,
        included_trial_ids: set[int],
        trial_id_greater_than: int,
    ) -> list[FrozenTrial]:
        """What Optuna's cache reads: the trials after the last known one, and those that may have changed."""
        table = models.TrialModel
        asked = select(
            table.trial_id, table.number, table.state, table._datetime_start_utc, table._datetime_complete_utc
        ).where(table.study_id == study_id)
        if states is not None:
            asked = asked.where(table.state.in_([state for state in TrialState if state in states]))
        named = sorted(i for i in included_trial_ids if i <= trial_id_greater_than)
        later = table.trial_id > trial_id_greater_than
        with self.engine.connect() as connection:
            rows = list(connection.execute(asked.where(or_(later, table.trial_id.in_(named[:MOST_NAMED])))))
            for i in range(MOST_NAMED, len(named), MOST_NAMED):
                rows += connection.execute(asked.where(table.trial_id.in_(named[i : i + MOST_NAMED])))
            details = _Details.read(connection, study_id, [row.trial_id for row in rows])
        trials = []
        for row in rows:
            with readable(f"trial {row.number}"):
                trials.append(details.trial(*row))
        return sorted(trials, key=lambda trial: trial._trial_id)


@dataclass(frozen=True)
class _Details:
    """What is stored beside the trials' own rows, by trial."""

    params: Mapping[int, list[Any]]
    values: Mapping[int, list[Any]]
    user: Mapping[int, list[Any]]
    system: Mapping[int, list[Any]]
    intermediate: Mapping[int, list[Any]]

    @classmethod
    def read(cls, connection: Connection, study_id: int, ids: Collection[int]) -> "_Details":
        """Few trials are named; for many, all of the study are read at once."""
        p, v = models.TrialParamModel, models.TrialValueModel
        u, s, i = models.TrialUserAttributeModel, models.TrialSystemAttributeModel, models.TrialIntermediateValueModel

        def of(asked: Select[Any], model: Any) -> dict[int, list[Any]]:
            found: dict[int, list[Any]] = defaultdict(list)
            if not ids:
                return found
            if len(ids) <= MOST_NAMED:
                asked = asked.where(model.trial_id.in_(list(ids)))
            else:
                within = (models.TrialModel.study_id == study_id, models.TrialModel.trial_id >= min(ids))
                asked = asked.join(models.TrialModel, models.TrialModel.trial_id == model.trial_id).where(*within)
            for row in connection.execute(asked):
                found[row[0]].append(row)
            return found

        return cls(
            of(select(p.trial_id, p.param_name, p.param_value, p.distribution_json).order_by(p.param_id), p),
            of(select(v.trial_id, v.objective, v.value, v.value_type).order_by(v.objective), v),
            of(select(u.trial_id, u.key, u.value_json), u),
            of(select(s.trial_id, s.key, s.value_json), s),
            of(select(i.trial_id, i.step, i.intermediate_value, i.intermediate_value_type), i),
        )

    def trial(
        self, trial_id: int, number: int, state: TrialState, begun: datetime | None, ended: datetime | None
    ) -> FrozenTrial:
        """The trial as Optuna has it."""
        spaces = {row.param_name: _distribution(row.distribution_json) for row in self.params.get(trial_id, ())}
        to_value = models.TrialValueModel.stored_repr_to_value
        to_step = models.TrialIntermediateValueModel.stored_repr_to_intermediate_value
        stored = {row.param_name: row.param_value for row in self.params.get(trial_id, ())}
        values = [to_value(row.value, row.value_type) for row in self.values.get(trial_id, ())]
        steps = self.intermediate.get(trial_id, ())
        return FrozenTrial(
            number=number,
            state=state,
            value=None,
            values=values or None,
            datetime_start=_local(begun),
            datetime_complete=_local(ended),
            params={name: space.to_external_repr(stored[name]) for name, space in spaces.items()},
            distributions=spaces,
            user_attrs={row.key: json.loads(row.value_json) for row in self.user.get(trial_id, ())},
            system_attrs={row.key: json.loads(row.value_json) for row in self.system.get(trial_id, ())},
            intermediate_values={r.step: to_step(r.intermediate_value, r.intermediate_value_type) for r in steps},
            trial_id=trial_id,
        )


@lru_cache(maxsize=1024)
def _distribution(text: str) -> BaseDistribution:
    return json_to_distribution(text)


def _now() -> datetime:
    """As Optuna stores it."""
    return datetime.now(UTC).replace(tzinfo=None)


def _local(stored: datetime | None) -> datetime | None:
    """As Optuna shows it."""
    return None if stored is None else stored.replace(tzinfo=UTC).astimezone().replace(tzinfo=None)


def _attributes(found: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [{"key": key, "value_json": json.dumps(value)} for key, value in found.items()]


def _value_row(trial_id: int, objective: int, value: float) -> dict[str, Any]:
    stored, kind = models.TrialValueModel.value_to_stored_repr(value)
    return {"trial_id": trial_id, "objective": objective, "value": stored, "value_type": kind}
