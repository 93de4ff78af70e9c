"""utsearch as a library: search, look, confirm what was found, take it away, without the command line."""

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from utsearch.search import (
    Budget,
    Event,
    LatencyLimit,
    Record,
    front_records,
    make_rule,
    parse_bytes,
    parse_size,
    pick_record,
    prepare,
)
from utsearch.search import Study as Stored
from utsearch.search import open_study as open_stored
from utsearch.search import search as run_search

if TYPE_CHECKING:
    from utsearch.export import Loaded

Folder = str | os.PathLike[str]


@dataclass(frozen=True, repr=False)
class Study:
    """A stored study to look at; `stored.optuna` is Optuna's own study."""

    stored: Stored

    @property
    def name(self) -> str:
        """The study's name."""
        return self.stored.name

    def __repr__(self) -> str:
        """Without the folders of the machine."""
        return f"Study({self.name!r})"

    def records(self) -> list[Record]:
        """All trials in their order."""
        return self.stored.records()

    def front(self) -> list[Record]:
        """The Pareto front of tuner parameters and validation top-1, from small to large."""
        return front_records(self.records())

    def best(self, pick: str = "best") -> Record:
        """One trial: `best`, `knee`, `under=50k` (the best of at most so many parameters) or `trial=7`.

        Raises:
            UserError: there is no such trial.
        """
        return pick_record(self.records(), pick)

    def figure(self) -> Any:
        """The front as a `plotly.graph_objects.Figure`."""
        from utsearch.report.figure import pareto_figure

        return pareto_figure(self.records())

    def report(self, path: Folder = "report.html") -> Path:
        """Write the whole study as one page that needs no network."""
        from utsearch.report.report import write_report
        from utsearch.report.telling import story_of

        return write_report([story_of(self.stored)], Path(path))

    def export(self, folder: Folder, pick: str = "best") -> "Loaded":
        """Write a trial's tuner as a folder, and load it.

        Raises:
            UserError: there is no such trial, its weights are gone, or the folder holds something else.
        """
        from utsearch.export import load, write_export
        from utsearch.report.picture import front_picture
        from utsearch.search.card import card_of

        record = self.best(pick)
        weights, picture = self.stored.weights(record.number), front_picture(self.records(), record.number)
        write_export(Path(folder), card_of(self.stored, record), weights, picture)
        return load(folder)

    def _repr_png_(self) -> bytes | None:
        """The front, as a notebook shows it."""
        from utsearch.report.picture import front_picture

        return front_picture(self.records()) if self.front() else None


def open_study(name: str | None = None, *, studies: Folder = "studies", storage: str | None = None) -> Study:
    """Open a stored study, by default the one written to last.

    Args:
        name: of the study.
        studies: folder of its SQLite file and weights.
        storage: a database's SQLAlchemy URL, where it is kept in one.

    Raises:
        UserError: there is no such study; lists those there are.
    """
    return Study(open_stored(name, storage, studies_dir=Path(studies)))


def search(
    dataset: str = "mini-birds",
    backbone: str = "vit_mini",
    *,
    space: str = "mini",
    budget: str = "5m",
    study: str | None = None,
    studies: Folder = "studies",
    storage: str | None = None,
    sampler: str = "auto",
    pruner: str = "forecast",
    seed: int = 0,
    device: str = "auto",
    max_params: str | None = None,
    max_latency: str | None = None,
    recipe: str = "",
    classes: int | None = None,
    shots: int | None = None,
    cache: str = "1g",
    on_event: Callable[[Event], None] = lambda event: None,
) -> Study:
    """Search tuner designs, or go on with a study of the same settings; the known methods are trained first.

    Args:
        dataset: a synthetic set, `NAME:ROOT` of an official layout, or a folder of images.
        backbone: `vit_mini`, or a timm model with blocks.
        space: a file of search_spaces/ by name, or a path.
        budget: trials (`40`) or time (`30m`), added to what is there.
        study: its name; by default from data, backbone and space.
        studies: folder of the SQLite file and the weights.
        storage: a database's SQLAlchemy URL instead of a file.
        sampler: one of `utsearch.search.SAMPLERS`, or `auto`.
        pruner: the rule of early stopping, or `none`.
        seed: of views, initial values, order and sampler.
        device: `auto`, `cpu`, `cuda`, …
        max_params: the largest tuner to train, such as `50k`.
        max_latency: the slowest design to train, such as `12ms` an image or `1.2x` the bare network's time.
        recipe: changes of the training recipe, such as `epochs=20, batch_size=64`.
        classes: search on so many classes of the set.
        shots: search on so many training images of each class.
        cache: memory for activations before the first tuned block.
        on_event: is told what happens.

    Raises:
        UserError: what was given cannot be used, or the study was made with other settings.
    """
    import re

    from utsearch.backbones import GROUPS
    from utsearch.data import Subset
    from utsearch.forms import info
    from utsearch.search.cuts import useful_cuts
    from utsearch.space import load_space
    from utsearch.training import Recipe, open_problem

    limit, largest = Budget.parse(budget), None if max_params is None else parse_size(max_params)
    slowest, rule = None if max_latency is None else LatencyLimit.parse(max_latency), make_rule(pruner)
    load_space(space, info())  # a wrong space is found before the data are read
    subset = Subset(classes, shots)
    problem = open_problem(dataset, backbone, recipe=Recipe.parse(recipe), device=device, seed=seed, subset=subset)
    drawn = load_space(space, info(), {*problem.backbone.sites, *GROUPS})
    cuts = useful_cuts(drawn, problem.depth, problem.first_tuned, list(problem.known.values()))
    problem = replace(problem, cache=parse_bytes(cache), cuts=cuts)
    name = study or re.sub("[/:]", "-", f"{Path(dataset).name}-{backbone}-{drawn.name}")
    stored = prepare(problem, drawn, name, storage_url=storage, studies_dir=Path(studies))
    limits: dict[str, Any] = {"max_params": largest, "max_latency": slowest}
    words: dict[str, Any] = {"sampler": sampler, "seed": seed, "rule": rule, **limits}
    run_search(problem, drawn, stored, limit, on_event=on_event, **words)
    return Study(stored)
