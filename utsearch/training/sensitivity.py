"""Sensitivity: how much the first step of each tuner could lower the loss, from a few backward passes.

SPT (He et al. 2023, arXiv 2303.08566) ranks the backbone's weights by a first-order Taylor expansion of the loss over
one step of gradient descent, Σ g². Here the tuners' own gradients at their initial values are taken, and the step is
that of Adam, whose first one is η·sign(g) whatever the gradient's size: the loss falls by η·Σ|g|. docs/priors.md
compares both with accuracy after training.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from torch import Tensor

from utsearch.errors import UserError
from utsearch.training.placed import placed
from utsearch.training.problem import Problem
from utsearch.training.source import Source
from utsearch.training.stepper import Stepper, precision_of
from utsearch.training.train import clone_head, epoch_order, own_randomness
from utsearch.tuning import Cell, Resolved
from utsearch.tuning.cells import Spec, regroup, spec_of

IMAGES = 256
Measure = Callable[[Iterable[Tensor]], float]


def first_step(gradients: Iterable[Tensor]) -> float:
    """Σ|g|: what the loss falls by in Adam's first step, for a learning rate of 1."""
    return float(sum(gradient.abs().sum() for gradient in gradients))


def squared(gradients: Iterable[Tensor]) -> float:
    """Σ g²: the same for a step of gradient descent, as in SPT."""
    return float(sum(gradient.square().sum() for gradient in gradients))


@dataclass(frozen=True)
class SensitivityPrior:
    """Scores designs by the sum of their tuners' sensitivities.

    Attributes:
        problem: only its training images are read.
        images: from which the gradient is taken.
        seed: of initial values and of the choice of images.
        measure: of a tuner's gradients.
    """

    problem: Problem
    images: int = IMAGES
    seed: int = 0
    measure: Measure = first_step

    def scores(
        self, designs: Sequence[Resolved], on_progress: Callable[[float], None] = lambda share: None
    ) -> list[float]:
        """One score for each design; only their order means anything.

        Raises:
            UserError: the head starts from zeros, through which no gradient comes.
        """
        if self.problem.recipe.head_init == "zero":
            raise UserError("--prior sensitivity needs a head that lets gradients through: recipe head_init=ridge")
        known = self.cells({cell for design in designs for cell in design.cells}, on_progress)
        return [sum(known[cell] for cell in design.cells) for design in designs]

    def cells(
        self, cells: Iterable[Cell], on_progress: Callable[[float], None] = lambda share: None
    ) -> dict[Cell, float]:
        """The sensitivity of each cell beside others of its kind: those of one site, form, rank and options."""
        kinds: dict[tuple[str, Spec], list[Cell]] = {}
        for cell in sorted(cells, key=lambda cell: (cell.site, spec_of(cell), cell.block or 0)):
            kinds.setdefault((cell.site, spec_of(cell)), []).append(cell)
        found: dict[Cell, float] = {}
        for number, kind in enumerate(kinds.values(), start=1):
            found |= self._kind(tuple(kind))
            on_progress(number / len(kinds))
        return found

    def _kind(self, cells: tuple[Cell, ...]) -> dict[Cell, float]:
        problem, head = self.problem, clone_head(self.problem.first_head)
        precision = precision_of(problem.recipe, problem.device)
        with placed(problem, regroup(cells, problem.backbone), head, seed=self.seed) as (model, tuned, source):
            self._backward(Stepper(model, problem.recipe, self.images, precision), source)
            return {
                cell: self.measure([p.grad for p in tuner.parameters() if p.grad is not None])
                for _, _, cell, tuner in tuned.named_tuners()
            }

    def _backward(self, stepper: Stepper, source: Source) -> None:
        """Leave the gradient of the mean loss in the parameters."""
        labels = self.problem.material.labels
        chosen = epoch_order(len(labels), seed=self.seed, epoch=0)[: self.images].to(labels.device)
        stepper.model.train()
        with own_randomness(labels.device, self.seed, 0):
            for batch in chosen.split(self.problem.recipe.batch_size):
                loss = stepper.loss(source.batch(0, batch), labels[batch]) * (len(batch) / len(chosen))
                loss.backward()
