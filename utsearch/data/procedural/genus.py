"""A genus: classes that share a shape and differ in their parts."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from utsearch.data.procedural.canvas import Draws

Traits = Mapping[str, Tensor]  # trait -> (images,) index of its value


@dataclass(frozen=True)
class Genus:
    """One synthetic set.

    Attributes:
        name: of the set.
        traits: each trait's readable values; a class is one combination.
        n_classes: how many of the combinations are classes.
        paint: draws a batch, (images,) trait indices and random numbers to uint8 (images, 3, 64, 64).
        noun: what the classes' names end in.
    """

    name: str
    traits: Mapping[str, tuple[str, ...]]
    n_classes: int
    paint: Callable[[Traits, Draws], Tensor]
    noun: str

    def classes(self) -> np.ndarray:
        """Trait indices (classes, traits): distinct combinations, each value of a trait about equally often.

        Drawn once and for all; two classes differ in at least two traits.
        """
        rng = np.random.default_rng(20230301)
        sizes = [len(values) for values in self.traits.values()]
        chosen: list[np.ndarray] = []
        while len(chosen) < self.n_classes:
            candidate = np.array([rng.integers(size) for size in sizes])
            if all((candidate != other).sum() >= 2 for other in chosen):
                chosen.append(candidate)
        return np.stack(chosen)

    def class_names(self) -> tuple[str, ...]:
        """Readable names such as `long-billed barred spotted crested bird 07`."""
        values = list(self.traits.values())
        return tuple(
            " ".join([*(word for options, i in zip(values, row, strict=True) if (word := options[i])), self.noun])
            for row in self.classes()
        )

    def traits_of(self, labels: Tensor) -> Traits:
        """The trait values of images with these labels."""
        table = torch.from_numpy(self.classes())[labels]
        return {name: table[:, i] for i, name in enumerate(self.traits)}


def pick(index: Tensor, values: tuple[float, ...]) -> Tensor:
    """(images,) the value of a trait for each image."""
    return torch.tensor(values)[index]
