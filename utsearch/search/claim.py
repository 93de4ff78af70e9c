"""One design, one worker: no two train the same design at the same time."""

import time
from collections.abc import Callable

from optuna.trial import FrozenTrial, Trial, TrialState

CLAIM = "claim"  # user attribute: "asking" until the others have been looked at, then "training"
PATIENCE = 90.0  # seconds after which a silent asker is no rival: longer than a dead worker's heartbeat


def rival_of(
    trial: Trial,
    key: tuple[str, int],
    trials: Callable[[], list[FrozenTrial]],
    *,
    pause: float = 0.2,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> FrozenTrial | None:
    """Another running trial that has this design and seed, or None: then the design is this trial's.

    Lamport's bakery: everyone first writes what it wants and then looks. The later of two that see each other gives
    way; the earlier one waits until the later has looked, for it may have looked too early and be training already. A
    database's own locks would do as well, but SQLite, PostgreSQL and Optuna's other storages have none in common.

    Args:
        trial: has not claimed anything yet.
        key: digest of the design, and seed.
        trials: reads the running trials anew.
        pause: seconds between two looks.
        clock: of the waiting.
        sleep: between two looks.
    """
    trial.set_user_attr(CLAIM, {"key": list(key), "state": "asking"})
    begun = clock()
    while True:
        rivals = [other for other in trials() if other.number != trial.number and _wants(other, key)]
        taken = [other for other in rivals if other.number < trial.number or _is_training(other)]
        if taken:
            trial.set_user_attr(CLAIM, None)
            return taken[0]
        if not rivals or clock() - begun > PATIENCE:
            trial.set_user_attr(CLAIM, {"key": list(key), "state": "training"})
            return None
        sleep(pause)


def _wants(trial: FrozenTrial, key: tuple[str, int]) -> bool:
    claim = trial.user_attrs.get(CLAIM) or {}
    return trial.state is TrialState.RUNNING and tuple(claim.get("key", ())) == key


def _is_training(trial: FrozenTrial) -> bool:
    return bool(trial.user_attrs[CLAIM]["state"] == "training")
