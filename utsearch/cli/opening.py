"""Open again what a study was made of."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from utsearch.search import Study
    from utsearch.training import Problem


def problem_of(study: "Study", device: str) -> "Problem":
    """The problem that a study recorded.

    Raises:
        StudyError: data, backbone or recipe are not the recorded ones any more; the differences are shown.
    """
    from utsearch.data import Subset
    from utsearch.search.storage import StudyError
    from utsearch.search.study import compare
    from utsearch.training import Recipe, open_problem

    settings = study.settings
    recipe = Recipe.from_dict(settings["recipe"])
    dataset, backbone = settings["dataset"]["name"], settings["backbone"]["name"]
    problem = open_problem(
        dataset,
        backbone,
        recipe=recipe,
        device=device,
        seed=settings["seed"],
        subset=Subset(**settings["dataset"].get("subset", {})),
        protocol=settings["preprocessing"].get("protocol"),
    )
    recorded = {key: value for key, value in settings.items() if key in problem.settings}
    if differences := compare(recorded, problem.settings):
        raise StudyError(f"study {study.name!r} was made with other settings:\n" + "\n".join(differences))
    return problem


def use_threads(threads: int | None) -> None:
    """Limit torch to so many CPU threads, if a number is given."""
    if threads is not None:
        import torch

        torch.set_num_threads(threads)
