"""How long to search: a number of trials or a time."""

import re
from dataclasses import dataclass

from utsearch.errors import UserError

_UNITS = {"s": 1, "m": 60, "h": 3600}


@dataclass(frozen=True)
class Budget:
    """Either trials or seconds.

    Finished and early-stopped trials count; duplicates, infeasible and failed ones do not. Going on with a study adds
    to what is there: 40 means 40 more. At a deadline the running trial ends at its next rung.
    """

    trials: int | None = None
    seconds: float | None = None

    @classmethod
    def parse(cls, text: str) -> "Budget":
        """Read `40`, `90s`, `30m` or `4h`.

        >>> Budget.parse("1.5m").seconds
        90.0

        Raises:
            UserError: neither a whole number of trials nor a time, or nothing of it.
        """
        found = re.fullmatch(r"(\d{1,9}(?:\.\d{1,9})?)([smh]?)", text.strip().lower(), re.ASCII)
        if found and not found[2] and found[1].isdigit() and int(found[1]) > 0:
            return cls(trials=int(found[1]))
        if found and found[2] and float(found[1]) > 0:
            return cls(seconds=float(found[1]) * _UNITS[found[2]])
        raise UserError(f"--budget {text!r} is neither a number of trials (40) nor a time (90s, 30m, 4h)")

    def used_up(self, trials: int, seconds: float) -> bool:
        """Whether so many counted trials or seconds of this session are enough."""
        return (self.trials is not None and trials >= self.trials) or self.late(seconds)

    def late(self, seconds: float) -> bool:
        """Whether the deadline has passed; a budget of trials has none."""
        return self.seconds is not None and seconds >= self.seconds
