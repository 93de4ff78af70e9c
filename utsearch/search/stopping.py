"""Early stopping that knows the front: plain data in, a decision out; any two-objective search can use it."""

from collections.abc import Sequence
from dataclasses import dataclass

Point = tuple[float, float]  # parameters, top-1 at this rung


@dataclass(frozen=True)
class Decision:
    """What to do with a trial at a rung, and why."""

    go_on: bool
    regret: float
    reason: str


@dataclass(frozen=True)
class RegretRule:
    """Stop a trial that is far below the best of the trials with no more parameters at the same rung.

    Parameters are known before training, so a rung asks one thing only: the regret, best top-1 among trials of at most
    this size, minus its own. A regret within the standard error of validation goes on; of the others the smallest
    1/η do, among the trials that reached the rung.

    Attributes:
        eta: of the trials with a regret, one in eta goes on.
        grace: the first trials at a rung go on, since there is nothing to compare them with.
    """

    eta: float = 3.0
    grace: int = 5

    def decide(self, own: Point, standard_error: float, others: Sequence[Point]) -> Decision:
        """Whether a trial goes on.

        Args:
            own: its parameters and top-1 at this rung.
            standard_error: of its top-1.
            others: the other trials at the same rung, stopped ones too.
        """
        gap = regret(own, others)
        if len(others) < self.grace:
            return Decision(True, gap, "among the first at this rung")
        if gap <= standard_error:
            return Decision(True, gap, "on the front, or within the noise of it")
        everyone = [*others, own]
        better = sum(regret(point, everyone) < gap for point in others)
        kept = len(everyone) / self.eta
        if better < kept:
            return Decision(True, gap, f"among the best 1/{self.eta:g} by regret")
        return Decision(False, gap, f"{100 * gap:.1f} points below a design of at most its size")


def regret(own: Point, others: Sequence[Point]) -> float:
    """How far a point is below the best of those with no more parameters; 0 on the front."""
    rivals = [top1 for n_params, top1 in others if n_params <= own[0]]
    return max(0.0, max(rivals, default=own[1]) - own[1])
