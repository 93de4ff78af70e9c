"""Priors: a quick score ranks many designs, and the best ones of every size are queued as real trials."""

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from utsearch.design import Design, DesignError
from utsearch.search.features import features_of
from utsearch.search.protocol import ProblemLike, ResolvedLike
from utsearch.search.queue import PRIOR
from utsearch.search.storage import database_errors, quiet
from utsearch.search.study import Study
from utsearch.search.surrogate import Row, fit
from utsearch.space import Space

MISSES = 1000  # draws in a row that give nothing new, after which a space is taken to have no more


class PriorLike(Protocol):
    """What ranks designs without training them: see `utsearch.training.sensitivity` and `.supernet`."""

    def scores(self, designs: Sequence[Any], on_progress: Callable[[float], None]) -> Sequence[float]: ...


@dataclass(frozen=True)
class Plan:
    """How a prior is used.

    Attributes:
        candidates: designs of the space that are ranked, drawn at random.
        scored: how many of them, drawn at random, the prior scores itself; a Gaussian process over what the designs are
            made of ranks the others by these scores.
        bands: so many bands of equally many candidates, from small to large.
        each: designs that are queued from each band.
    """

    candidates: int = 3000
    scored: int = 300
    bands: int = 6
    each: int = 1


@dataclass(frozen=True)
class Candidate:
    """A design of a space, and the choices that make it."""

    choices: Mapping[str, Any]
    resolved: ResolvedLike


def draw(
    problem: ProblemLike, space: Space, n: int, *, seed: int = 0, max_params: int | None = None
) -> list[Candidate]:
    """So many different designs of a space with at least one tuner, or fewer if it has no more, the smallest first."""
    rng, found, seen = random.Random(seed), dict[str, Candidate](), set[Design]()
    parameters, misses = space.parameters, 0
    while len(found) < n and misses < MISSES:
        choices, before = {name: rng.choice(values) for name, values in parameters.items()}, len(found)
        design = space.design(choices, problem.depth)
        if design not in seen:
            seen.add(design)
            resolved = _fitting(problem, design)
            if resolved is not None and 0 < resolved.n_params <= (max_params or resolved.n_params):
                found.setdefault(resolved.digest, Candidate(choices, resolved))
        misses = 0 if len(found) > before else misses + 1
    return sorted(found.values(), key=lambda one: (one.resolved.n_params, one.resolved.digest))


def _fitting(problem: ProblemLike, design: Design) -> ResolvedLike | None:
    """A design on the backbone, or None where two of its slots do not go together."""
    try:
        return problem.resolve(design)
    except DesignError:
        return None


def best_of_bands(sizes: Sequence[int], scores: Sequence[float], *, bands: int, each: int) -> Iterator[int]:
    """Numbers of the best designs of each band of equally many designs, from small to large.

    >>> list(best_of_bands([1, 2, 3, 40, 50, 60], [0.1, 0.3, 0.2, 0.9, 0.8, 0.7], bands=2, each=1))
    [1, 3]
    """
    order = sorted(range(len(sizes)), key=lambda i: sizes[i])
    for band in np.array_split(np.array(order, dtype=int), bands):
        yield from sorted(map(int, band), key=lambda i: -scores[i])[:each]


def spread_scores(
    prior: PriorLike,
    designs: Sequence[ResolvedLike],
    depth: int,
    scored: int,
    seed: int = 0,
    on_progress: Callable[[float], None] = lambda share: None,
) -> Sequence[float]:
    """Scores of all designs, of which the prior gives so many and a surrogate the rest."""
    if len(designs) <= scored:
        return prior.scores(designs, on_progress)
    asked = random.Random(seed).sample(range(len(designs)), scored)
    told = prior.scores([designs[i] for i in asked], on_progress)
    rows = [Row(features_of(one.design, depth)) for one in designs]
    means, _ = fit([rows[i] for i in asked], told).predict(rows)
    return [float(mean) for mean in means]


def enqueue_prior(
    study: Study,
    problem: ProblemLike,
    space: Space,
    name: str,
    prior: PriorLike,
    *,
    plan: Plan | None = None,
    seed: int = 0,
    max_params: int | None = None,
    on_progress: Callable[[float], None] = lambda share: None,
) -> int:
    """Queue the designs of a space that a prior finds best for their size, after what waits already.

    A study that has designs of this prior gets no more of them: going on with it repeats no ranking.

    Args:
        study: from `prepare`.
        problem: what it trains on.
        space: of the study.
        name: of the prior, kept with its trials.
        prior: scores designs; larger is better.
        plan: how many are ranked and queued.
        seed: of the draw.
        max_params: larger designs are not drawn.
        on_progress: is told the share of the ranking that is done, 0…1.

    Returns:
        How many were queued.
    """
    plan = plan or Plan()
    with database_errors(study.url):
        trials = study.optuna.get_trials(deepcopy=False)
    if any(trial.user_attrs.get(PRIOR) == name for trial in trials):
        return 0
    known = {trial.user_attrs.get("digest") for trial in trials}
    known |= {problem.resolve(design).digest for design in problem.known.values()}
    drawn = draw(problem, space, plan.candidates, seed=seed, max_params=max_params)
    new = [one for one in drawn if one.resolved.digest not in known]
    if not new:
        return 0
    scores = spread_scores(prior, [one.resolved for one in new], problem.depth, plan.scored, seed, on_progress)
    chosen = list(best_of_bands([o.resolved.n_params for o in new], scores, bands=plan.bands, each=plan.each))
    with database_errors(study.url), quiet():
        for i in chosen:
            study.optuna.enqueue_trial(dict(new[i].choices), user_attrs={PRIOR: name, "prior_score": scores[i]})
    return len(chosen)
