"""`search --prior`: which prior ranks designs before the first trial, with its progress."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from utsearch.search import Study
    from utsearch.search.prior import PriorLike
    from utsearch.space import Space
    from utsearch.training import Problem

PRIORS = ("none", "sensitivity", "supernet")


def check_prior(name: str) -> None:
    """Raise UserError if there is no such prior."""
    from utsearch.errors import UserError

    if name not in PRIORS:
        raise UserError(f"no prior {name!r}; there are {', '.join(PRIORS)}")


def queue_prior(name: str, study: "Study", problem: "Problem", space: "Space", max_params: int | None) -> None:
    """Rank designs of the space and queue the best ones of each size; its time counts as the search's."""
    from utsearch.report.progress import filling
    from utsearch.search.prior import enqueue_prior

    if name == "none":
        return
    n = enqueue_prior(
        study,
        problem,
        space,
        name,
        prior_of(name, problem),
        seed=problem.seed,
        max_params=max_params,
        on_progress=filling(f"ranking designs by {name}"),
    )
    print(f"{name} prior: {n} designs queued" if n else f"{name} prior: nothing to add to this study", flush=True)


def prior_of(name: str, problem: "Problem") -> "PriorLike":
    """The prior of a name on a problem."""
    from utsearch.training.sensitivity import SensitivityPrior
    from utsearch.training.supernet import SupernetPrior

    made: dict[str, type[SensitivityPrior | SupernetPrior]] = {
        "sensitivity": SensitivityPrior,
        "supernet": SupernetPrior,
    }
    return made[name](problem, seed=problem.seed)
