"""A design on a problem's backbone for a while, and what to call it with: for priors, which train no trial."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn

from utsearch.design import Design
from utsearch.training.problem import Problem
from utsearch.training.source import Source, source_of
from utsearch.tuning import Classifier, Tuned, attached


@contextmanager
def placed(
    problem: Problem, design: Design, head: nn.Linear, *, seed: int = 0, drop_path: float = 0.0
) -> Iterator[tuple[Classifier, Tuned, Source]]:
    """Tuners attached and blocks before the first tuned one replayed, as in a trial; all comes back afterwards.

    Args:
        problem: its prefix cache is used where it has one.
        design: to attach.
        head: used as it is, not copied.
        seed: of the tuners' initial values.
        drop_path: share of images for which a tuner's term is left out in a training step.
    """
    prefix = None if problem.prefixes is None else problem.prefixes.of(problem.resolve(design))
    with (
        attached(problem.backbone, design, seed=seed, drop_path=drop_path) as tuned,
        source_of(problem.backbone, problem.material, prefix) as source,
    ):
        yield Classifier(problem.backbone, head, tuned), tuned, source
