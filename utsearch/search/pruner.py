"""Early stopping for any Optuna study with two objectives, where `Trial.report` and `should_prune` raise.

It needs nothing else of utsearch; docs/early-stopping.md has an example to run.
"""

from dataclasses import dataclass
from typing import Any

from optuna import Study
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, Trial, TrialState

from utsearch.search.observed import Observed
from utsearch.search.stopping import DEFAULT_RULE, Rule

CURVE, STOPPED = "front_pruner/curve", "front_pruner/stopped"


@dataclass(frozen=True)
class FrontPruner:
    """Ask it at every rung but the last; when it says stop, return the two values as they are.

    The trial then ends complete with a violated constraint "stopped", so that samplers learn from it and
    `study.best_trials` leaves it out. All state is in the trials' attributes: many workers may share a study.

    Attributes:
        rule: see `utsearch.search.stopping`.
        size: index of the objective that is known before training, such as parameters or latency; minimised.
        value: index of the one that is measured at rungs; maximised or minimised.
    """

    rule: Rule = DEFAULT_RULE
    size: int = 0
    value: int = 1

    def should_stop(
        self, trial: Trial, *, size: float, value: float, figures: tuple[float, ...] = (), error: float = 0.0
    ) -> bool:
        """Record a rung and say whether the trial should end here.

        Args:
            trial: in training.
            size: the objective that is known beforehand.
            value: the other one, at this rung.
            figures: what else may tell how the trial will end, such as its loss; equally many at every rung.
            error: standard error of `value`.

        Raises:
            ValueError: the study has not two objectives, or does not minimise size.
        """
        sign = self._sign(trial.study)
        curve = [*trial.user_attrs.get(CURVE, ()), [size, sign * value, *figures]]
        trial.set_user_attr(CURVE, curve)
        others = trial.study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.RUNNING))
        seen = [self._observed(o, o.user_attrs[CURVE], sign) for o in others if CURVE in o.user_attrs]
        own = Observed(size, _rungs(curve), error=error, number=trial.number)
        decision = self.rule.decide(own, [o for o in seen if o.number != trial.number])
        if not decision.go_on:
            trial.set_constraint("stopped", max(decision.regret, 1e-6))
            trial.set_user_attr(STOPPED, decision.reason)
        return not decision.go_on

    def _sign(self, study: Study) -> float:
        if len(study.directions) != 2 or study.directions[self.size] is not StudyDirection.MINIMIZE:
            raise ValueError(f"FrontPruner needs two objectives, and minimises number {self.size}: {study.directions}")
        return 1.0 if study.directions[self.value] is StudyDirection.MAXIMIZE else -1.0

    def _observed(self, trial: FrozenTrial, curve: list[list[Any]], sign: float) -> Observed:
        ended = trial.state is TrialState.COMPLETE and STOPPED not in trial.user_attrs
        final = sign * trial.values[self.value] if ended else None
        return Observed(curve[0][0], _rungs(curve), final, number=trial.number)


def _rungs(curve: list[list[Any]]) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(figures) for _, *figures in curve)
