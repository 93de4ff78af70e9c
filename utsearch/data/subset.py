"""The part of a data set that a search trains on: some classes, some images of each, nested and fixed by a seed."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from utsearch.data.dataset import DataError


@dataclass(frozen=True)
class Subset:
    """Which classes and how many images of each; None leaves everything in.

    A larger subset of one seed contains the smaller ones: 16 shots the 8, 40 classes the 20, and the images chosen of a
    class do not depend on how many classes there are.

    Attributes:
        classes: number of classes, at least 2.
        shots: training images of each class; a smaller class keeps all.
        fraction: share of each class's training images instead of `shots`, rounded up.
        val_shots: validation images of each class.
        seed: of the choice.
    """

    classes: int | None = None
    shots: int | None = None
    fraction: float | None = None
    val_shots: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        """Raise DataError for numbers that select nothing."""
        if self.shots is not None and self.fraction is not None:
            raise DataError("a subset takes shots or a fraction, not both")
        if self.classes is not None and self.classes < 2:
            raise DataError(f"a subset needs at least 2 classes, got {self.classes}")
        for name, value in (("shots", self.shots), ("val_shots", self.val_shots)):
            if value is not None and value < 1:
                raise DataError(f"{name} must be at least 1, got {value}")
        if self.fraction is not None and not 0 < self.fraction <= 1:
            raise DataError(f"a fraction is above 0 and at most 1, got {self.fraction}")

    @property
    def whole(self) -> bool:
        """Whether nothing is left out."""
        return self.classes is self.shots is self.fraction is self.val_shots is None

    def choose_classes(self, labels: Sequence[int], n_classes: int) -> list[int]:
        """The chosen classes in ascending order, of those that have training labels."""
        if self.classes is None:
            return list(range(n_classes))
        present = set(labels)
        order = [c for c in np.random.default_rng([self.seed, 0]).permutation(n_classes).tolist() if c in present]
        if self.classes > len(order):
            raise DataError(f"a subset of {self.classes} classes was asked for; the set has {len(order)}")
        return sorted(order[: self.classes])

    def choose(self, labels: Sequence[int], classes: Sequence[int], part: str) -> list[int]:
        """Indices of the chosen images of a split, ascending; of test every image of the classes."""
        members: dict[int, list[int]] = {c: [] for c in classes}
        for i, label in enumerate(labels):
            if label in members:
                members[label].append(i)
        chosen = []
        for label, found in members.items():
            stream = np.random.default_rng([self.seed, 1 if part == "train" else 2, label])
            chosen += stream.permutation(np.array(found, dtype=np.int64))[: self._limit(len(found), part)].tolist()
        return sorted(chosen)

    def _limit(self, n: int, part: str) -> int:
        """How many of the n images of a class stay."""
        if part == "val" and self.val_shots is not None:
            return self.val_shots
        if part == "train" and self.fraction is not None:
            return math.ceil(self.fraction * n - 1e-9)
        return self.shots if part == "train" and self.shots is not None else n

    def describe(self) -> dict[str, int | float]:
        """What was asked for, for the records; empty for the whole set."""
        if self.whole:
            return {}
        asked = {name: getattr(self, name) for name in ("classes", "shots", "fraction", "val_shots")}
        return {name: value for name, value in asked.items() if value is not None} | {"seed": self.seed}


WHOLE = Subset()
