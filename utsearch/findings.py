"""What a check-up finds: plain data that every floor can make, and the repair that goes with it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

Severity = Literal["fine", "note", "problem"]


@dataclass(frozen=True)
class Repair:
    """What may be done about a finding, if the user agrees.

    Attributes:
        what: in the imperative: "remove 3 files".
        do: does it.
    """

    what: str
    do: Callable[[], object]


@dataclass(frozen=True)
class Finding:
    """One line of a check-up.

    Attributes:
        area: what was looked at: environment, devices, storage, caches, study NAME.
        what: was found.
        severity: problem where something is wrong; note where one should know.
        advice: what the user can do where there is no repair.
        repair: what may be done here.
    """

    area: str
    what: str
    severity: Severity = "fine"
    advice: str = ""
    repair: Repair | None = None
