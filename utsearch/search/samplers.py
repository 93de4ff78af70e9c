"""Samplers by name, told the space's parameters beforehand."""

import copy
import difflib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from optuna import Study
from optuna.distributions import BaseDistribution, CategoricalDistribution, IntDistribution
from optuna.samplers import BaseSampler, GPSampler, NSGAIIISampler, NSGAIISampler, QMCSampler, RandomSampler, TPESampler
from optuna.trial import FrozenTrial, TrialState

from utsearch.errors import UserError
from utsearch.search.ehvi import FrontSampler
from utsearch.search.latency import LatencyLimit
from utsearch.search.protocol import ProblemLike
from utsearch.search.storage import experiments_allowed
from utsearch.space import Space

OUTSIDE = "outside"  # user attribute of a trial whose design the space cannot express

OWN = "ehvi"
_OPTUNAS: dict[str, Callable[[int], BaseSampler]] = {  # by seed
    "tpe": lambda seed: TPESampler(seed=seed, multivariate=True),
    "nsga2": lambda seed: NSGAIISampler(seed=seed, population_size=20),
    "nsga3": lambda seed: NSGAIIISampler(seed=seed, population_size=20),
    "gp": lambda seed: GPSampler(seed=seed),
    "random": lambda seed: RandomSampler(seed=seed),
    "qmc": lambda seed: QMCSampler(seed=seed, scramble=True),
}
NAMES = (OWN, *_OPTUNAS)
AUTO = OWN  # the best on the recorded benchmark, at every budget: docs/search-defaults.md


def check_sampler(name: str) -> str:
    """The sampler that a name means: "auto" is the one that was best on the recorded benchmark.

    Raises:
        UserError: no such sampler.
    """
    if name == "auto":
        return AUTO
    if name not in NAMES:
        close = difflib.get_close_matches(name, NAMES, n=1)
        hint = f"did you mean {close[0]}?" if close else f"there are auto, {', '.join(NAMES)}"
        raise UserError(f"no sampler {name!r}; {hint}")
    return name


def make_sampler(
    name: str,
    problem: ProblemLike,
    space: Space,
    seed: int,
    max_params: int | None = None,
    max_latency: LatencyLimit | None = None,
) -> BaseSampler:
    """A sampler over the parameters of a space.

    Args:
        name: one of `NAMES`, or "auto".
        problem: tells what designs cost; only "ehvi" asks.
        space: what there is to choose from.
        seed: of the sampler.
        max_params: larger designs need not be proposed.
        max_latency: slower designs need not be proposed.

    Raises:
        UserError: no such sampler.
    """
    chosen, drawn = check_sampler(name), seed % 2**32  # what numpy takes
    inner: BaseSampler
    if chosen == OWN:
        inner = FrontSampler(problem, space, drawn, max_params, max_latency)
    else:
        with experiments_allowed():
            inner = _OPTUNAS[chosen](drawn)
    return FlatSampler(inner, {key: _distribution(choices) for key, choices in space.parameters.items()})


class FlatSampler(BaseSampler):
    """Another sampler, over parameters that are known from the start and not inferred from the trials.

    Inference takes the parameters that all trials share: a single baseline from outside the space, which has none,
    would leave nothing to model. Such trials are kept from the sampler here; GPSampler fails on one.
    """

    def __init__(self, inner: BaseSampler, space: Mapping[str, BaseDistribution]) -> None:
        self._inner, self._space = inner, dict(space)

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """All parameters, or none for a trial from outside."""
        return {} if OUTSIDE in trial.user_attrs else self._space

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Ask the inner sampler, unless the trial is from outside."""
        if not search_space:
            return {}
        own = isinstance(self._inner, FrontSampler)  # reads designs, and so learns from any
        return self._inner.sample_relative(study if own else _inside(study), trial, search_space)

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """What the inner sampler left open, as the random start of TPE."""
        return self._inner.sample_independent(_inside(study), trial, param_name, param_distribution)

    def reseed_rng(self) -> None:
        """Pass on."""
        self._inner.reseed_rng()

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        """Pass on."""
        self._inner.before_trial(study, trial)

    def after_trial(self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None) -> None:
        """Pass on."""
        self._inner.after_trial(study, trial, state, values)


def _inside(study: Study) -> Study:
    """The study as it would be without the trials from outside the space."""
    view = copy.copy(study)

    def get(*args: Any, **options: Any) -> list[FrozenTrial]:
        return [t for t in study._get_trials(*args, **options) if OUTSIDE not in t.user_attrs]

    view._get_trials = view.get_trials = get  # type: ignore[method-assign]  # samplers read through the former
    return view


def _distribution(choices: tuple[Any, ...]) -> BaseDistribution:
    if choices == tuple(range(len(choices))):
        return IntDistribution(0, len(choices) - 1)
    return CategoricalDistribution(choices)
