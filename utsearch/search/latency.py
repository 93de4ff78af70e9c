"""How slow a design may be: a limit on its latency, in milliseconds or in times the bare network's."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from utsearch.errors import UserError


@dataclass(frozen=True)
class LatencyLimit:
    """The most that a design may take; `text` is what was asked for."""

    text: str
    seconds: float | None = None
    times: float | None = None

    @classmethod
    def parse(cls, text: str) -> "LatencyLimit":
        """Read `12ms` or `1.2x`.

        >>> LatencyLimit.parse("1.2x").times
        1.2

        Raises:
            UserError: neither a time nor a factor, or nothing of it.
        """
        found = re.fullmatch(r"(\d{1,9}(?:\.\d{1,9})?)(ms|x)", text.strip().lower(), re.ASCII)
        if not found or float(found[1]) == 0:
            raise UserError(
                f"--max-latency {text!r} is neither a time of an image (12ms) nor in times of the bare network (1.2x)"
            )
        number = float(found[1])
        return cls(text.strip(), times=number) if found[2] == "x" else cls(text.strip(), seconds=number / 1000)

    def share(self, cost: Mapping[str, float]) -> float:
        """Of what is allowed, how much a trial's measured `latency` is; above 1 it is too slow."""
        if self.seconds is not None:
            return cost["latency"] / self.seconds
        return cost["latency_times"] / (self.times or 1.0)


def measured(bare: float, own: float) -> dict[str, float]:
    """What a trial's cost keeps: seconds of one image, and how many times the bare network's that is."""
    return {"latency": own, "latency_times": own / bare}
