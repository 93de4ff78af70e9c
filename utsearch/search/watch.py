"""What other processes do in a study, as the events of a search."""

import time
from collections.abc import Callable
from types import SimpleNamespace

from utsearch.search.record import Event, Record, RungReached, TrialEnded, TrialStarted
from utsearch.search.study import Study

OPEN = ("running", "waiting")


def watch(
    study: Study,
    on_event: Callable[[Event], None],
    alive: Callable[[], bool],
    *,
    pause: float = 1.0,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Read the study again and again and tell what changed, as long as somebody works on it.

    Args:
        study: that others write to.
        on_event: is told starts, rungs and ends; not the end of the search.
        alive: whether to go on.
        pause: seconds between two looks.
        sleep: of the waiting.
    """
    seen = {record.number: record for record in study.records()}
    while True:
        last = not alive()  # one look after the end, or the last trials would be missing
        for record in study.records():
            _tell(seen.get(record.number), record, on_event)
            seen[record.number] = record
        if last:
            return
        sleep(pause)


def _tell(before: Record | None, now: Record, on_event: Callable[[Event], None]) -> None:
    if before is not None and before.status not in OPEN:
        return
    began = before is not None and before.status == "running" and bool(before.design)
    if now.design and now.status != "waiting" and not began:
        on_event(TrialStarted(now))
    fresh = now.rungs[len(before.rungs) if before is not None else 0 :]
    for rung in (rung for rung in fresh if "trial" not in rung):  # those of the trial that it goes on with were told
        on_event(RungReached(now.number, SimpleNamespace(**rung, last=False)))
    if now.status not in OPEN:
        on_event(TrialEnded(now))
