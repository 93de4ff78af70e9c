"""Which running trials have fallen silent, by the clock of whoever looks."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

BEAT_SECONDS = 10  # between two signs of life of a trial, and two looks at those of the others
GRACE_SECONDS = 30  # a trial whose last sign has been the same for so long is dead: found within 50 s of its last one


@dataclass
class Pulse:
    """Remembers when each trial's sign of life was first seen as it is.

    No clock of another machine is read, and the time in which the database could not be reached does not count: after
    an outage every worker that is still there has the whole grace to show itself.
    """

    clock: Callable[[], float] = time.monotonic
    grace: float = GRACE_SECONDS
    _seen: dict[int, tuple[object, float]] = field(default_factory=dict)
    _looked: float | None = None

    def silent(self, beats: Mapping[int, object]) -> set[int]:
        """The trials that are dead, given the latest sign of each running one."""
        now = self.clock()
        cut_off = self._looked is not None and now - self._looked > 2 * BEAT_SECONDS
        before = {} if cut_off else self._seen
        self._looked = now
        self._seen = {
            trial: before[trial] if trial in before and before[trial][0] == beat else (beat, now)
            for trial, beat in beats.items()
        }
        return {trial for trial, (_, since) in self._seen.items() if now - since > self.grace}
