"""What a search needs of training: structural types, so that it knows neither torch nor a trainer."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from utsearch.design import Design


class RungLike(Protocol):
    """A rung's result: see `utsearch.training.Rung`."""

    @property
    def index(self) -> int: ...
    @property
    def epoch(self) -> int: ...
    @property
    def top1(self) -> float: ...
    @property
    def standard_error(self) -> float: ...
    @property
    def loss(self) -> float: ...
    @property
    def balanced(self) -> float: ...
    @property
    def ece(self) -> float: ...
    @property
    def images_per_second(self) -> float: ...
    @property
    def seconds(self) -> float: ...
    @property
    def last(self) -> bool: ...


class RunLike(Protocol):
    """One design in training: see `utsearch.training.Run`."""

    @property
    def cost(self) -> Mapping[str, float]: ...
    @property
    def notice(self) -> str: ...
    def rungs(self) -> Iterator[RungLike]: ...
    def save(self, path: Path) -> None: ...


class ResolvedLike(Protocol):
    """A checked design: see `utsearch.tuning.Resolved`."""

    @property
    def design(self) -> Design: ...
    @property
    def digest(self) -> str: ...
    @property
    def n_params(self) -> int: ...


class ProblemLike(Protocol):
    """A backbone, a data set and a recipe: see `utsearch.training.Problem`."""

    @property
    def settings(self) -> Mapping[str, Any]: ...
    @property
    def depth(self) -> int: ...
    @property
    def n_head(self) -> int: ...
    @property
    def floor(self) -> float: ...
    @property
    def known(self) -> Mapping[str, Design]: ...

    def resolve(self, design: Design) -> ResolvedLike: ...
    def start(self, design: Design, seed: int = 0, *, resume: Path | None = None) -> RunLike: ...
    def latencies(self, design: Design) -> tuple[float, float]: ...


class SteppedLike(RunLike, Protocol):
    """A run that can take turns with others."""

    def ticks(self) -> Iterator[RungLike | None]:
        """`rungs` that also yields None after every step."""
        ...


@runtime_checkable
class BesideLike(Protocol):
    """A problem that can train several designs in turn in one process."""

    def start_beside(self, design: Design, seed: int = 0, *, resume: Path | None = None) -> SteppedLike:
        """`start`, for a run that others may train beside."""
        ...
