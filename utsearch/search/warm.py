"""A warm start: what another study found goes first in a new one."""

from typing import Any

from utsearch.design import Design
from utsearch.errors import UserError
from utsearch.search.protocol import ProblemLike
from utsearch.search.queue import GIVEN, PRIOR
from utsearch.search.record import front_records
from utsearch.search.samplers import OUTSIDE
from utsearch.search.storage import database_errors, quiet
from utsearch.search.study import Study
from utsearch.space import Space

WARM = "warm start"  # the prior's name of a trial that comes from another study


def enqueue_front(
    study: Study, problem: ProblemLike, space: Space, source: Study, max_params: int | None = None
) -> int:
    """Queue the designs of another study's front, the smallest first; returns how many.

    They are trained anew: accuracies of other data, another backbone or recipe are not comparable, designs are. What
    does not fit this backbone, is too large, or is known here already is left out; asking again queues nothing twice.

    Args:
        study: from `prepare`.
        problem: what it trains on.
        space: of the study; a design that it can express gets its parameters, so that samplers learn from it.
        source: another study.
        max_params: larger designs are left out.
    """
    with database_errors(study.url), quiet():
        trials = study.optuna.get_trials(deepcopy=False)
        known = {t.user_attrs.get("digest") for t in trials} | {t.user_attrs.get("queued_digest") for t in trials}
        known |= {problem.resolve(design).digest for design in problem.known.values()}
        queued = 0
        for record in front_records(source.records()):
            design = Design.parse(record.design)
            try:
                resolved = problem.resolve(design)
            except UserError:  # another backbone
                continue
            if resolved.digest in known or (max_params is not None and resolved.n_params > max_params):
                continue
            choices = space.choices_of(design, problem.depth)
            attributes: dict[str, Any] = {GIVEN: record.design, PRIOR: WARM, "queued_digest": resolved.digest}
            if choices is None:
                attributes[OUTSIDE] = True
            study.optuna.enqueue_trial(choices or {}, user_attrs=attributes)
            queued += 1
    return queued
