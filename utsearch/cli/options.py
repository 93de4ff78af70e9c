"""Options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

from utsearch.cli.completing import STUDIES as STUDIES
from utsearch.cli.completing import complete_dataset, complete_space, complete_study

STORAGE_VARIABLE = "UTSEARCH_STORAGE"  # keeps a password out of the list of processes


StudyName = Annotated[
    str | None,
    typer.Option("--study", help="Name of the study; without it, the latest one.", autocompletion=complete_study),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]
Storage = Annotated[
    str | None,
    typer.Option(
        envvar=STORAGE_VARIABLE,
        show_envvar=True,
        help="postgresql+psycopg://user@host/db or another SQLAlchemy URL; journal:/shared/x.log on a network file "
        "system; grpc://host:port of `proxy`. [default: SQLite in --studies]",
    ),
]
Studies = Annotated[Path, typer.Option("--studies", help="Folder of SQLite studies and of trials' weights.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, …")]
BudgetText = Annotated[
    str,
    typer.Option(
        "--budget",
        help="Trials (40) or time (90s, 30m, 4h). Finished and early-stopped trials count; duplicates, infeasible and "
        "failed ones do not. Going on with a study adds to what is there. At a deadline the running trial ends at its "
        "next rung.",
    ),
]
SpaceName = Annotated[
    str,
    typer.Option(help="A file of search_spaces/, or the path of a TOML file.", autocompletion=complete_space),
]
DatasetName = Annotated[
    str,
    typer.Option(
        autocompletion=complete_dataset,
        help="mini-birds, mini-cars, mini-flowers; NAME:ROOT for an official layout, such as cub:/data/CUB_200_2011 "
        "(`data list` shows the names); or a folder CLASS/IMAGE, or train/CLASS/IMAGE with val/ and test/ beside it.",
    ),
]
Classes = Annotated[int | None, typer.Option(min=2, help="Search on so many classes of the set.")]
Shots = Annotated[int | None, typer.Option(min=1, help="Search on so many training images of each class.")]
Fraction = Annotated[float | None, typer.Option(help="Or on this share of them, above 0 and at most 1.")]
ValShots = Annotated[int | None, typer.Option(min=1, help="Validate on so many images of each class. [default: all]")]
SubsetSeed = Annotated[int, typer.Option(help="Of the choice of classes and images; larger subsets contain smaller.")]
Protocol = Annotated[
    str | None,
    typer.Option(help="vpt (resize 256, crop 224) or timm (the backbone's own evaluation). [default: utsearch's own]"),
]
BackboneName = Annotated[str, typer.Option(help="vit_mini (embedded) or a timm model with blocks.")]
ImgSize = Annotated[int | None, typer.Option(min=8, help="Side of its input in pixels. [default: the backbone's own]")]
Pool = Annotated[
    str | None, typer.Option(help="Of its features: token (CLS), avg (without registers), max. [default: its own]")
]
NewStudyName = Annotated[str | None, typer.Option("--study", help="Its name. [default: dataset-backbone-space]")]
SamplerName = Annotated[
    str,
    typer.Option(
        help="auto, ehvi, tpe, nsga2, nsga3, gp, random or qmc. docs/search-defaults.md compares them, and says what "
        "auto takes."
    ),
]
PrunerName = Annotated[
    str,
    typer.Option(
        "--pruner",
        help="Early stopping: forecast, regret, hyperband or none. docs/early-stopping.md explains them.",
    ),
]
WarmStart = Annotated[
    str | None,
    typer.Option(
        "--warm-start",
        help="Another study in --studies or --storage: the designs of its front are queued, as far as they fit here.",
    ),
]
PriorName = Annotated[
    str,
    typer.Option(
        "--prior",
        help="none, sensitivity or supernet: what ranks designs beforehand, to queue the best of each size as trials. "
        "Its time counts. docs/priors.md compares them.",
    ),
]
Seed = Annotated[int, typer.Option(help="Of views, initial values, order and sampler.")]
MaxParams = Annotated[str | None, typer.Option(help="Largest tuner to train: 50000, 50k, 1.5M.")]
MaxLatency = Annotated[
    str | None,
    typer.Option(help="Slowest design to train, for one image on this machine: 12ms, or 1.2x the bare network's time."),
]
Cache = Annotated[
    str,
    typer.Option(
        "--cache",
        help="Memory for activations before the first tuned block, which all trials and workers share: 500m, 4g. "
        "Results do not depend on it.",
    ),
]
NoCache = Annotated[bool, typer.Option("--no-cache", help="Compute every block in every step, as a plain loop does.")]
CacheType = Annotated[
    str,
    typer.Option(
        "--cache-dtype",
        help="exact keeps the bits that the network gives; bfloat16 takes half the room and rounds: "
        "docs/prefix-cache.md.",
    ),
]
RecipeText = Annotated[
    str,
    typer.Option(
        "--recipe",
        help="Changes of the training recipe: 'epochs=20, batch_size=64, mixup=0.2'. Its fields and what stands behind "
        "their values: docs/recipe.md.",
    ),
]
Compile = Annotated[
    bool,
    typer.Option(
        "--compile",
        help="Compile every design's step with torch.compile: worth its half minute a trial where trials take many.",
    ),
]
Decoders = Annotated[
    int | None, typer.Option("--decoders", min=1, help="Images decoded at once. [default: one for each processor]")
]
Threads = Annotated[int | None, typer.Option(min=1, help="CPU threads of torch. [default: torch's own choice]")]
Pack = Annotated[
    int,
    typer.Option(
        "--pack",
        min=1,
        help="Trials in training at once in each process, for a GPU that one small trial cannot fill: "
        "docs/prefix-cache.md.",
    ),
]
