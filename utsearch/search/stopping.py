"""Early stopping that knows the front: plain data in, a decision out; any two-objective search can use it."""

import difflib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Protocol

from utsearch.errors import UserError
from utsearch.search.observed import Observed
from utsearch.search.surrogate import Surrogate, fit

MOST = 400  # trials a forecast is learnt from, the latest: its cost grows with their third power
Point = tuple[float, float]  # size, value at a rung


@dataclass(frozen=True)
class Decision:
    """What to do with a trial at a rung, by how much it falls short, and why."""

    go_on: bool
    regret: float
    reason: str


class Rule(Protocol):
    """Decides at every rung but the last."""

    def decide(self, own: Observed, others: Sequence[Observed]) -> Decision:
        """Whether a trial goes on, given the other trials of the study, whatever rungs they have reached."""


@dataclass(frozen=True)
class ForecastRule:
    """Stop a trial whose forecast end is below the front of the trials that were trained to the end.

    What a trial will reach is forecast from what it is, its size and its figures up to this rung, by a Gaussian process
    over the finished trials. It stops when the forecast with `margin` of its standard deviations on top is below the
    best finished trial of at most its size. Unlike a comparison at the rung, this does not punish designs that start
    slowly: with a high learning rate large tuners first fall below the linear probe and win in the end
    (docs/search-defaults.md has the figures).

    Attributes:
        margin: in standard deviations of the forecast.
        grace: so many trials must have finished before any is stopped.
    """

    margin: float = 1.0
    grace: int = 10

    def decide(self, own: Observed, others: Sequence[Observed]) -> Decision:
        """Whether a trial goes on; `others` are those of the study."""
        rungs = len(own.curve)
        known = [(o, o.final) for o in others if o.final is not None and len(o.curve) >= rungs]
        if len(known) < self.grace:
            return Decision(True, 0.0, f"fewer than {self.grace} trials have finished")
        best = max((final for o, final in known if o.size <= own.size), default=None)
        if best is None:
            return Decision(True, 0.0, "the smallest so far")
        surrogate = _forecaster(tuple(o for o, _ in known[-MOST:]), rungs)
        (forecast,), (spread,) = surrogate.predict([own.row(rungs)])
        error = math.hypot(spread, surrogate.error)
        short = float(best - forecast - self.margin * error)
        if short <= 0:
            return Decision(True, 0.0, f"may end at {100 * forecast:.1f} % ± {100 * error:.1f}, near the front")
        end = f"would end near {100 * forecast:.1f} % ± {100 * error:.1f}"
        return Decision(False, short, f"{end}; a design of at most its size has {100 * best:.1f} %")


@lru_cache(maxsize=8)
def _forecaster(finished: tuple[Observed, ...], rungs: int) -> Surrogate:
    """Fitted to the finished trials; the same for every trial that is judged until the next one has finished."""
    return fit([o.row(rungs) for o in finished], [o.final or 0.0 for o in finished])


@dataclass(frozen=True)
class RegretRule:
    """Stop a trial that is far below the best of the trials with no more parameters at the same rung.

    The regret is the best value among trials of at most this size, minus its own. A regret within the standard error
    goes on; of the others the smallest 1/η do, among the trials that reached the rung.

    Attributes:
        eta: of the trials with a regret, one in eta goes on.
        grace: the first trials at a rung go on, since there is nothing to compare them with.
    """

    eta: float = 3.0
    grace: int = 5

    def decide(self, own: Observed, others: Sequence[Observed]) -> Decision:
        """Whether a trial goes on, compared with the others at its rung, stopped ones too."""
        rung = len(own.curve) - 1
        points = [(o.size, o.curve[rung][0]) for o in others if len(o.curve) > rung]
        gap = regret((own.size, own.value), points)
        if len(points) < self.grace:
            return Decision(True, gap, "among the first at this rung")
        if gap <= own.error:
            return Decision(True, gap, "on the front, or within the noise of it")
        everyone = [*points, (own.size, own.value)]
        better = sum(other < gap for other in regrets(everyone)[:-1])
        if better < len(everyone) / self.eta:
            return Decision(True, gap, f"among the best 1/{self.eta:g} by regret")
        return Decision(False, gap, f"{100 * gap:.1f} points below a design of at most its size")


@dataclass(frozen=True)
class Brackets:
    """Hyperband's hedge: of every `count` trials one is judged from the first rung on, one from the second, and so on.

    Source: Li et al. 2018; where the early rungs mislead, the later brackets are not misled.

    Attributes:
        count: of brackets; the last one is judged at no earlier rung than the `count`-th.
        rule: what judges.
    """

    count: int = 3
    rule: Rule = field(default_factory=ForecastRule)

    def decide(self, own: Observed, others: Sequence[Observed]) -> Decision:
        """Whether a trial goes on; its number decides its bracket."""
        bracket = own.number % self.count
        if len(own.curve) <= bracket:
            return Decision(True, 0.0, f"bracket {bracket + 1} of {self.count} is judged later")
        return self.rule.decide(own, others)


_RULES: dict[str, Callable[[], Rule | None]] = {
    "forecast": ForecastRule,
    "regret": RegretRule,
    "hyperband": Brackets,
    "none": lambda: None,
}
RULES = tuple(_RULES)
DEFAULT_RULE = ForecastRule()


def make_rule(name: str) -> Rule | None:
    """A rule by name; None for "none".

    Raises:
        UserError: no such rule.
    """
    if name not in _RULES:
        close = difflib.get_close_matches(name, RULES, n=1)
        hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(RULES)}"
        raise UserError(f"no rule of early stopping {name!r}; {hint}")
    return _RULES[name]()


def name_of(rule: Rule | None) -> str:
    """The name by which a study remembers a rule: that of its kind, or its class."""
    return next((name for name, make in _RULES.items() if type(make()) is type(rule)), type(rule).__name__)


def regrets(points: Sequence[Point]) -> list[float]:
    """The regret of each among all; sorted once, for a study may have thousands."""
    best, found = -math.inf, [0.0] * len(points)
    order = sorted(range(len(points)), key=lambda i: (points[i][0], -points[i][1]))
    for i in order:
        best = max(best, points[i][1])
        found[i] = best - points[i][1]
    return found


def regret(own: Point, others: Sequence[Point]) -> float:
    """How far a point is below the best of those with no more parameters; 0 on the front."""
    rivals = [value for size, value in others if size <= own[0]]
    return max(0.0, max(rivals, default=own[1]) - own[1])
