"""Which parameters of a space decide a result: PED-ANOVA over the trials of a study."""

import warnings
from collections.abc import Callable

import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances
from optuna.trial import FrozenTrial, TrialState, create_trial

from utsearch.search.record import not_resumed
from utsearch.search.storage import database_errors, quiet
from utsearch.search.study import DIRECTIONS, Study

FEWEST = 20  # sampled trials: the best tenth of fewer is a single trial
QUANTILE = 0.1
MOST = 2000  # trials; of more an even choice counts, so that a report of any study takes seconds

Target = Callable[[FrozenTrial], float] | None
GOALS: dict[str, Target] = {
    "reaching the front": None,
    "top-1": lambda trial: -trial.values[1],
    "few parameters": lambda trial: trial.values[0],
}


def importance(study: Study) -> dict[str, dict[str, float]]:
    """For each goal the share of every parameter, by PED-ANOVA; empty with fewer than `FEWEST` sampled trials.

    It asks in what the best tenth of the trials differs from all of them (Watanabe, Bansal and Hutter, IJCAI 2023,
    arXiv 2304.10255). Trained trials count whose design was sampled; early-stopped ones with the top-1 they had; of
    more than `MOST` every so many.
    """
    with database_errors(study.url):
        trials = not_resumed([trial for trial in study.optuna.get_trials(deepcopy=False) if _counts(trial)])
    names = set.intersection(*(set(trial.params) for trial in trials)) if trials else set()
    if len(trials) < FEWEST or not names:
        return {}
    trials = trials[:: -(-len(trials) // MOST)]
    with quiet():
        copy = optuna.create_study(directions=DIRECTIONS)
        copy.add_trials([_bare(trial) for trial in trials])
        return {goal: _shares(copy, sorted(names), target, len(trials)) for goal, target in GOALS.items()}


def _counts(trial: FrozenTrial) -> bool:
    trained = trial.user_attrs.get("status") in ("finished", "stopped")
    return trial.state is TrialState.COMPLETE and trained and bool(trial.params)


def _bare(trial: FrozenTrial) -> FrozenTrial:
    """What the evaluator reads; Optuna copies all of it, and our attributes are most of a trial."""
    return create_trial(params=trial.params, distributions=trial.distributions, values=trial.values)


def _shares(study: optuna.Study, names: list[str], target: Target, n_trials: int) -> dict[str, float]:
    evaluator = PedAnovaImportanceEvaluator(target_quantile=max(QUANTILE, 5 / n_trials))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        # it warns that lower is better, as it is for all targets here
        warnings.filterwarnings("ignore", "PedAnovaImportanceEvaluator computes", UserWarning)
        found = get_param_importances(study, evaluator=evaluator, params=names, target=target)
    return {name: float(share) for name, share in found.items()}
