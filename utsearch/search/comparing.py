"""What the final evaluation shows: new designs against known ones, paired and corrected for their number."""

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from utsearch.search.evaluation import Result
from utsearch.stats import Paired, holm, paired, rank_correlation, rank_interval


@dataclass(frozen=True)
class Comparison:
    """A new design against a known one on the seeds they share; `p` is Holm's over all comparisons."""

    own: str
    other: str
    seeds: int
    paired: Paired
    p: float

    @property
    def verdict(self) -> str:
        """`better`, `worse` or `not distinguishable`, at 5%."""
        if self.p >= 0.05:
            return "not distinguishable"
        return "better" if self.paired.difference > 0 else "worse"


def agreement(found: Sequence[Result]) -> dict[str, float] | None:
    """How far validation on the subset orders the designs as test on the whole set does: Spearman's ρ.

    None under four designs, or where all are alike.
    """
    pairs = [(r.subject.val_top1, r.top1) for r in found if r.subject.val_top1 is not None]
    rho = rank_correlation([before for before, _ in pairs], [after for _, after in pairs])
    if len(pairs) < 4 or math.isnan(rho):
        return None
    low, high = rank_interval(rho, len(pairs))
    return {"designs": len(pairs), "rho": rho, "low": low, "high": high}


def comparisons(found: Sequence[Result]) -> list[Comparison]:
    """Every new design against each known form at the largest size within its own, paired over seeds and images.

    Smaller members of a family are no rivals: the largest was given as many parameters as the new design.
    """
    pairs = list(_pairs(found))
    adjusted = holm([outcome.p for _, _, _, outcome in pairs])
    return [
        Comparison(own.subject.name, other.subject.name, len(shared), outcome, p)
        for (own, other, shared, outcome), p in zip(pairs, adjusted, strict=True)
    ]


def _pairs(found: Sequence[Result]) -> Iterator[tuple[Result, Result, tuple[int, ...], Paired]]:
    for own in (result for result in found if not result.subject.known):
        for other in _rivals(own, found):
            shared = tuple(seed for seed in own.seeds if seed in other.seeds)
            if shared:
                yield own, other, shared, paired(own.hits(shared), other.hits(shared))


def _rivals(own: Result, found: Sequence[Result]) -> list[Result]:
    """Of each known family its largest member within the size of a new design."""
    fitting = [r for r in found if r.subject.known and r.subject.n_params <= own.subject.n_params]
    fitting.sort(key=lambda result: result.subject.n_params)
    return list({re.sub(r"-\d+$", "", result.subject.name): result for result in fitting}.values())
