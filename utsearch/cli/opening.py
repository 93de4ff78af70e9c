"""Open again what a study was made of."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from utsearch.data import Subset
    from utsearch.search import Study
    from utsearch.training import Problem


COMPILER = "inductor"  # torch.compile's own default


@dataclass(frozen=True)
class Chosen:
    """What the options of a command choose to train on."""

    dataset: str
    backbone: str
    recipe: str
    device: str
    seed: int
    subset: "Subset"
    protocol: str | None
    img_size: int | None
    pool: str | None
    compiled: bool = False
    decoders: int | None = None

    def open(self) -> "Problem":
        """Load it; a wrong recipe is found before the data are read."""
        from utsearch.cli.progress import bar
        from utsearch.training import Recipe, open_problem

        changed = Recipe.parse(self.recipe)
        print(f"reading {self.dataset} for {self.backbone} …", flush=True)
        with bar() as shown:
            return open_problem(
                self.dataset,
                self.backbone,
                recipe=changed,
                device=self.device,
                seed=self.seed,
                subset=self.subset,
                protocol=self.protocol,
                img_size=self.img_size,
                pool=self.pool,
                compiler=COMPILER if self.compiled else "",
                decoders=self.decoders,
                progress=shown,
            )


def problem_of(study: "Study", device: str, *, whole: bool = False) -> "Problem":
    """The problem that a study recorded; `whole` takes all of its data set where the study has a subset.

    Raises:
        StudyError: data, backbone or recipe are not the recorded ones any more; the differences are shown.
    """
    from utsearch.data import WHOLE, Subset
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
        subset=WHOLE if whole else Subset(**settings["dataset"].get("subset", {})),
        protocol=settings["preprocessing"].get("protocol"),
        img_size=settings["backbone"]["img_size"],
        pool=settings["backbone"].get("pool"),
        compiler=settings["machine"].get("compiler", ""),
    )
    others = ("dataset", "class_names") if whole else ()
    recorded = {key: value for key, value in settings.items() if key in problem.settings and key not in others}
    if differences := compare(recorded, {key: problem.settings[key] for key in recorded}):
        raise StudyError(f"study {study.name!r} was made with other settings:\n" + "\n".join(differences))
    return problem


def use_threads(threads: int | None) -> None:
    """Limit torch to so many CPU threads, if a number is given."""
    if threads is not None:
        import torch

        torch.set_num_threads(threads)


def check_pack(pack: int, compiled: bool) -> None:
    """Refuse what torch.compile cannot do: forgetting a design's graphs forgets those of all in training.

    Raises:
        UserError: several trials at once shall be compiled.
    """
    from utsearch.errors import UserError

    if pack > 1 and compiled:
        raise UserError("--pack and --compile exclude each other: a compiled trial has its process for itself")
