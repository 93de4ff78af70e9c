"""A sampler that uses what a search of tuners knows before it trains: a design's size, and what it is made of.

Optuna's samplers model both objectives from the parameters of the space. Here one objective is known exactly, so the
expected hypervolume improvement has a closed form: over the steps of the front to the right of the design's size, the
sum of each step's width times the usual expected improvement over its height.
"""

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from optuna import Study
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial, TrialState
from scipy.special import ndtr

from utsearch.design import Design, Slot
from utsearch.errors import UserError
from utsearch.pareto import Point, Scale, front
from utsearch.search.features import features_of
from utsearch.search.latency import LatencyLimit
from utsearch.search.observed import Observed, observed
from utsearch.search.protocol import ProblemLike
from utsearch.search.record import latest, record_of
from utsearch.search.surrogate import Array, Surrogate, fit
from utsearch.space import Space

GRACE = 4  # trials trained to the end before the surrogate is asked; see docs/search-defaults.md
CANDIDATES = 256  # designs among which the best is taken, half at random and half near the front
MOST = 400  # trials the surrogate learns from, the latest and the front's


def expected_improvement(mean: Array, spread: Array, heights: Array) -> Array:
    """Expected amount by which normal values exceed each height: (n), (n), (m) → (n, m)."""
    gap = mean[:, None] - heights[None]
    z = gap / spread[:, None]
    density = np.exp(-(z**2) / 2) / math.sqrt(2 * math.pi)
    out: Array = gap * ndtr(z) + spread[:, None] * density
    return out


def expected_hypervolume_improvement(
    sizes: Sequence[float], mean: Array, spread: Array, known: Sequence[Point], scale: Scale
) -> Array:
    """Of points of known size and normally distributed value, (n), over the front of `known`; exact.

    Args:
        sizes: parameters.
        mean: of the values, 0…1, (n).
        spread: standard deviations, (n).
        known: points that there are already.
        scale: of the hypervolume.
    """
    steps = [scale.normalise(known[i]) for i in front(known)]
    steps = [step for step in steps if step[0] < 1]
    lefts = np.array([0.0, *(size for size, _ in steps), 1.0])
    heights = np.array([0.0, *(gain for _, gain in steps)])
    own = np.array([scale.normalise((size, 0.0))[0] for size in sizes])
    widths = np.maximum(0.0, lefts[1:][None] - np.maximum(lefts[:-1][None], own[:, None]))
    gain, gain_spread = (mean - scale.floor) / (1 - scale.floor), spread / (1 - scale.floor)
    out: Array = (widths * expected_improvement(gain, gain_spread, heights)).sum(axis=1)
    return out


class FrontSampler(BaseSampler):
    """Proposes the design of largest expected hypervolume improvement among many; random until some have finished.

    Trials in training count as if they had come to their forecast, so that several workers propose different designs
    (kriging believer, Ginsbourger et al. 2010); stopped ones count as uncertain as their forecast is.
    """

    def __init__(
        self,
        problem: ProblemLike,
        space: Space,
        seed: int,
        max_params: int | None = None,
        max_latency: LatencyLimit | None = None,
    ) -> None:
        self._problem, self._space, self._rng = problem, space, random.Random(seed)
        self._most, self._slowest = math.inf if max_params is None else max_params, max_latency
        self._slots: dict[Slot, float] = {}

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """Nothing: `FlatSampler` knows the space."""
        return {}

    def sample_independent(self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: Any) -> Any:
        """A uniform choice."""
        return self._rng.choice(self._space.parameters[param_name])

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """The choices of the best candidate, or none while too few trials have finished."""
        states = (TrialState.COMPLETE, TrialState.RUNNING, TrialState.PRUNED)
        trials = [t for t in study.get_trials(deepcopy=False, states=states) if t.number != trial.number]
        seen = _Seen.of(trials, self._problem.depth, set(search_space))
        if len(seen.ended) < GRACE:
            return {}
        candidates = self._candidates(seen)
        designs = [self._space.design(chosen, self._problem.depth) for chosen in candidates]
        order = self._order(designs, seen, Scale.from_dict(study.user_attrs["scale"]))
        return next((candidates[i] for i in order if self._is_new(designs[i], seen)), {})

    def _order(self, designs: Sequence[Design], seen: "_Seen", scale: Scale) -> list[int]:
        """The designs that fit, by falling score."""
        sizes = [self._size(design) for design in designs]
        fit_ones = [i for i, size in enumerate(sizes) if math.isfinite(size) and size <= self._most]
        if not fit_ones:
            return []
        surrogate = seen.surrogate()
        asked = [Observed(sizes[i], (), features=features_of(designs[i], self._problem.depth)) for i in fit_ones]
        mean, spread = surrogate.predict([o.row(0) for o in asked])
        here, _ = surrogate.predict([o.row(0) for o in seen.ended])  # its own noise would raise the front
        known = list(zip([o.size for o in seen.ended], here.tolist(), strict=True))
        scores = expected_hypervolume_improvement([o.size for o in asked], mean, spread, known, scale)
        scores *= self._fast_enough(asked, seen)
        return [fit_ones[k] for k in np.argsort(-scores, kind="stable")]

    def _fast_enough(self, asked: Sequence[Observed], seen: "_Seen") -> Array:
        """The probability that each design keeps to the limit of latency (constrained EI, Gardner et al. 2014)."""
        if self._slowest is None or not seen.timed:
            return np.ones(len(asked))
        shares = [self._slowest.share(cost) for _, cost in seen.timed]
        surrogate = fit([o.row(0) for o, _ in seen.timed], shares)
        mean, spread = surrogate.predict([o.row(0) for o in asked])
        return np.asarray(ndtr((1 - mean) / np.hypot(spread, surrogate.error)))

    def _candidates(self, seen: "_Seen") -> list[dict[str, Any]]:
        """Choices at random, and neighbours of the front's designs that the space can express."""
        parameters = self._space.parameters
        found = []
        for i in range(CANDIDATES):
            chosen = {name: self._rng.choice(choices) for name, choices in parameters.items()}
            if seen.parents and i % 2:
                parent = self._rng.choice(seen.parents)
                changed = self._rng.sample(list(parameters), min(len(parameters), self._rng.randint(1, 3)))
                chosen = {name: choice if name in changed else parent[name] for name, choice in chosen.items()}
            found.append(chosen)
        return found

    def _is_new(self, design: Design, seen: "_Seen") -> bool:
        try:
            resolved = self._problem.resolve(design)
        except UserError:  # slots that fit alone and not together
            return False
        return resolved.digest not in seen.digests and resolved.n_params <= self._most

    def _size(self, design: Design) -> float:
        """Parameters, slot by slot, since slots repeat and designs do not; infinite where one does not fit."""
        for slot in design.slots:
            if slot not in self._slots:
                try:
                    self._slots[slot] = self._problem.resolve(Design((slot,))).n_params
                except UserError:
                    self._slots[slot] = math.inf
        return sum(self._slots[slot] for slot in design.slots)


@dataclass(frozen=True)
class _Seen:
    """The trials that a proposal learns from.

    Attributes:
        ended: trained to the end, the latest `MOST`.
        others: stopped, and in training, with whether they are in training.
        timed: the latest whose latency was measured, too slow ones among them, with their costs.
        digests: of all of them.
        parents: the choices of the front's designs.
    """

    ended: list[Observed]
    others: list[tuple[Observed, bool]]
    timed: list[tuple[Observed, Mapping[str, float]]]
    digests: set[str]
    parents: list[dict[str, Any]]

    @classmethod
    def of(cls, trials: Sequence[FrozenTrial], depth: int, parameters: set[str]) -> "_Seen":
        """Sort the trials of a study; `parameters` are those of the space."""
        params_of = {t.number: t.params for t in trials}
        records = latest([record_of(t) for t in trials])
        tried = [r for r in records if r.digest and r.status != "duplicate"]
        kept = [(r, params_of[r.number]) for r in tried if r.status != "infeasible"]
        ended = [(r, params) for r, params in kept if r.status == "finished"]
        best = [ended[i] for i in front([(r.n_params, r.top1 or 0.0) for r, _ in ended])]
        return cls(
            ended=[observed(r, depth) for r, _ in ended][-MOST:],
            others=[(observed(r, depth), r.status == "running") for r, _ in kept if r.status != "finished"][-MOST:],
            timed=[(observed(r, depth), r.cost) for r in tried if "latency" in r.cost][-MOST:],
            digests={r.digest for r in tried},
            parents=[params for _, params in best if set(params) == parameters],
        )

    def surrogate(self) -> Surrogate:
        """Fit the finished trials, and the others at what their first rungs forecast."""
        rows, values = [o.row(0) for o in self.ended], [o.final or 0.0 for o in self.ended]
        errors = [0.0] * len(rows)
        for rungs in sorted({len(o.curve) for o, _ in self.others}):
            here = [(o, running) for o, running in self.others if len(o.curve) == rungs]
            base = [o for o in self.ended if len(o.curve) >= rungs]
            begun = fit([o.row(rungs) for o in base], [o.final or 0.0 for o in base])
            mean, spread = begun.predict([o.row(rungs) for o, _ in here])
            rows += [o.row(0) for o, _ in here]
            values += mean.tolist()
            errors += [0.0 if running else float(s) for (_, running), s in zip(here, spread, strict=True)]
        return fit(rows, values, errors)
