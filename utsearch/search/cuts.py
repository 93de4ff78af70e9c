"""Where a space's designs begin, and so where it is worth to keep activations."""

from collections import Counter
from collections.abc import Callable, Sequence

import optuna

from utsearch.design import Design
from utsearch.errors import UserError
from utsearch.search.storage import quiet
from utsearch.space import Space

SAMPLES = 200


def useful_cuts(
    space: Space, depth: int, first_tuned: Callable[[Design], int], also: Sequence[Design] = ()
) -> tuple[int, ...]:
    """Cuts by how many blocks they save over designs drawn from a space, each given those before it.

    A cut that saves nothing more is left out.

    Args:
        space: what a search draws from.
        depth: blocks of the backbone.
        first_tuned: the first block that a design changes; may raise UserError for one that does not fit.
        also: designs that are trained in any case.
    """
    with quiet():
        study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
        drawn = [space.suggest(study.ask(), depth) for _ in range(SAMPLES)]
    firsts: Counter[int] = Counter()
    for design in (*drawn, *also):
        try:
            firsts[first_tuned(design)] += 1
        except UserError:  # the search will call it infeasible
            continue
    return best_cuts(firsts, depth)


def best_cuts(firsts: Counter[int], depth: int) -> tuple[int, ...]:
    """Cuts by how many blocks they save over designs whose first tuned blocks are counted in `firsts`."""
    chosen: list[int] = []
    while True:
        gains = {cut: _saved([*chosen, cut], firsts) - _saved(chosen, firsts) for cut in range(1, depth + 1)}
        best = max(gains, key=lambda cut: gains[cut])
        if gains[best] <= 0:
            return tuple(chosen)
        chosen.append(best)


def _saved(cuts: Sequence[int], firsts: Counter[int]) -> int:
    """Blocks that need not be computed, over all designs."""
    return sum(n * max((cut for cut in cuts if cut <= first), default=0) for first, n in firsts.items())
