"""A study's storage of any kind, which outlasts outages, writes a trial's facts together, and shows signs of life."""

import threading
import time
from collections.abc import Callable, Container, Sequence
from typing import Any, TypeVar

import optuna
from optuna.distributions import BaseDistribution
from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages import BaseStorage
from optuna.storages._heartbeat import BaseHeartbeat
from optuna.study import StudyDirection
from optuna.study._frozen import FrozenStudy
from optuna.trial import FrozenTrial, TrialState

from utsearch.search.damage import check_trial, readable
from utsearch.search.outage import Patience, is_outage
from utsearch.search.pulse import BEAT_SECONDS, Pulse
from utsearch.search.relational import Facts, Relational

BEAT = "utsearch:beat"  # system attribute of a running trial: when its worker showed itself, in seconds since 1970
OnBeat = Callable[[optuna.Study], object]
Writer = Callable[[int, Facts], None]
T = TypeVar("T")


class Storage(BaseStorage, BaseHeartbeat):
    """Wraps one of Optuna's storages.

    What is written to a trial waits until something is read or a trial's state changes; then all of it is written at
    once. Others see it a moment later, in the same order with the states; whoever reads has written before.

    Args:
        inner: the storage.
        writer: writes facts of one trial together.
        patience: with outages.
        on_beat: is called with every sign of life, from a thread of its own, to look after the others' trials.
    """

    def __init__(self, inner: BaseStorage, writer: Writer, patience: Patience, on_beat: OnBeat | None = None) -> None:
        self.inner, self._writer, self._patience, self._on_beat = inner, writer, patience, on_beat
        self.tables: Relational | None = None  # where it is a database
        self._pending: dict[int, Facts] = {}
        self._lock = threading.RLock()
        self._study_id: int | None = None  # the one that is worked on
        self._shown: int | None = None  # the trial that runs here
        self._checked: set[int] = set()  # trials that have ended and are whole
        self._pulse = Pulse()

    def flush(self) -> None:
        """Write what waits.

        Raises:
            UpdateFinishedTrialError: a trial was ended by another process; what was to be written to it is dropped.
        """
        with self._lock:
            for trial_id, facts in list(self._pending.items()):
                try:
                    self._patience.call(lambda again, t=trial_id, f=facts: self._writer(t, f))  # type: ignore[misc]
                except (UpdateFinishedTrialError, KeyError):
                    del self._pending[trial_id]
                    raise
                del self._pending[trial_id]

    def silent(self, running: Sequence[FrozenTrial]) -> set[int]:
        """Numbers of the running trials whose workers have shown no sign of life for too long."""
        with self._lock:
            return self._pulse.silent({t.number: (t._trial_id, t.system_attrs.get(BEAT)) for t in running})

    def _read(self, call: Callable[[], T]) -> T:
        self.flush()
        return self._patience.call(lambda again: call())

    def _look(self, what: str, call: Callable[[], T]) -> T:
        """Read what a stranger may have written."""
        self.flush()
        with readable(what):
            return self._patience.call(lambda again: call())

    def _facts(self, trial_id: int) -> Facts:
        return self._pending.setdefault(trial_id, Facts())

    # Optuna's interface: what is written to trials

    def set_trial_param(
        self, trial_id: int, param_name: str, param_value_internal: float, distribution: BaseDistribution
    ) -> None:
        """Waits."""
        with self._lock:
            self._facts(trial_id).params[param_name] = (param_value_internal, distribution)

    def set_trial_user_attr(self, trial_id: int, key: str, value: Any) -> None:
        """Waits."""
        with self._lock:
            self._facts(trial_id).user[key] = value

    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> None:
        """Waits."""
        with self._lock:
            self._facts(trial_id).system[key] = value

    def set_trial_intermediate_value(self, trial_id: int, step: int, intermediate_value: float) -> None:
        """At once; searches of two objectives have none."""
        self._read(lambda: self.inner.set_trial_intermediate_value(trial_id, step, intermediate_value))

    def set_trial_state_values(self, trial_id: int, state: TrialState, values: Sequence[float] | None = None) -> bool:
        """At once; where an outage swallowed the answer, the state itself tells whether it was set."""

        def attempt(again: bool) -> bool:
            try:
                return self.inner.set_trial_state_values(trial_id, state, values)
            except UpdateFinishedTrialError:
                if again and self.inner.get_trial(trial_id).state is state:
                    return True
                raise

        self.flush()
        return self._patience.call(attempt)

    def create_new_trial(self, study_id: int, template_trial: FrozenTrial | None = None) -> int:
        """At once; one that an outage left behind unsigned is found by `recover`."""
        return self._read(lambda: self.inner.create_new_trial(study_id, template_trial))

    # Optuna's interface: signs of life

    def record_heartbeat(self, trial_id: int) -> None:
        """A sign of life, and a look at the others'; where the database is away the next one will do."""
        if trial_id != self._shown:  # a new trial needs no sign yet
            self._shown = trial_id
            return
        try:
            self.inner.set_trial_system_attr(trial_id, BEAT, round(time.time(), 1))
            if self._on_beat is not None and self._study_id is not None:
                name = self.inner.get_study_name_from_id(self._study_id)
                self._on_beat(optuna.load_study(study_name=name, storage=self))
        except UpdateFinishedTrialError:
            return
        except Exception as error:
            if not is_outage(error):
                raise

    def get_heartbeat_interval(self) -> int | None:
        """Seconds; None for one that only reads."""
        return BEAT_SECONDS if self._on_beat is not None else None

    def get_heartbeat_stale_trial_callback(self) -> None:
        """None: `recover` looks after silent trials, for storages without heartbeats too."""

    def _get_stale_trial_ids(self, study_id: int) -> list[int]:
        return []

    # Optuna's interface: passed on

    def create_new_study(self, directions: Sequence[StudyDirection], study_name: str | None = None) -> int:
        """Passed on."""
        return self._read(lambda: self.inner.create_new_study(directions, study_name))

    def delete_study(self, study_id: int) -> None:
        """Passed on."""
        self._read(lambda: self.inner.delete_study(study_id))

    def set_study_user_attr(self, study_id: int, key: str, value: Any) -> None:
        """Passed on."""
        self._read(lambda: self.inner.set_study_user_attr(study_id, key, value))

    def set_study_system_attr(self, study_id: int, key: str, value: Any) -> None:
        """Passed on."""
        self._read(lambda: self.inner.set_study_system_attr(study_id, key, value))

    def get_study_id_from_name(self, study_name: str) -> int:
        """Passed on."""
        return self._read(lambda: self.inner.get_study_id_from_name(study_name))

    def get_study_name_from_id(self, study_id: int) -> str:
        """Passed on."""
        return self._read(lambda: self.inner.get_study_name_from_id(study_id))

    def get_study_directions(self, study_id: int) -> list[StudyDirection]:
        """Passed on."""
        return self._look("the study's directions", lambda: self.inner.get_study_directions(study_id))

    def get_study_user_attrs(self, study_id: int) -> dict[str, Any]:
        """Passed on."""
        found = self._look("the study's attributes", lambda: self.inner.get_study_user_attrs(study_id))
        return {key: value for key, value in found.items() if isinstance(key, str)}  # SQL has NULL

    def get_study_system_attrs(self, study_id: int) -> dict[str, Any]:
        """Passed on."""
        return self._read(lambda: self.inner.get_study_system_attrs(study_id))

    def get_all_studies(self) -> list[FrozenStudy]:
        """Passed on."""
        return self._look("a study's attributes", self.inner.get_all_studies)

    def get_trial_id_from_study_id_trial_number(self, study_id: int, trial_number: int) -> int:
        """Passed on."""
        return self._read(lambda: self.inner.get_trial_id_from_study_id_trial_number(study_id, trial_number))

    def get_trial(self, trial_id: int) -> FrozenTrial:
        """Passed on."""
        return self._read(lambda: self.inner.get_trial(trial_id))

    def get_all_trials(
        self, study_id: int, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> list[FrozenTrial]:
        """Passed on; those that are damaged, or were never ours, are refused by their number."""
        self._study_id = study_id
        found = self._look("the study's trials", lambda: self.inner.get_all_trials(study_id, deepcopy, states))
        for trial in found:
            if trial._trial_id not in self._checked:
                check_trial(trial)
                if trial.state.is_finished():  # it does not change any more
                    self._checked.add(trial._trial_id)
        return found

    def get_best_trial(self, study_id: int) -> FrozenTrial:
        """Passed on."""
        return self._read(lambda: self.inner.get_best_trial(study_id))

    def remove_session(self) -> None:
        """Passed on; Optuna asks for it after every trial."""
        self.flush()
        self.inner.remove_session()


def one_by_one(inner: BaseStorage) -> Writer:
    """Facts written as Optuna writes them, for storages that cannot take many at once."""

    def write(trial_id: int, facts: Facts) -> None:
        for name, (value, distribution) in facts.params.items():
            inner.set_trial_param(trial_id, name, value, distribution)
        for key, value in facts.user.items():
            inner.set_trial_user_attr(trial_id, key, value)
        for key, value in facts.system.items():
            inner.set_trial_system_attr(trial_id, key, value)

    return write
