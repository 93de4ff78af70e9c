"""Several designs trained in one process, step by step in turn, over the same batches of the same views.

For a GPU that one small trial cannot fill: kernels of the next design are queued while those of the last still run.
"""

from collections.abc import Iterator, Sequence
from copy import copy, deepcopy
from typing import Any

from utsearch.backbones import Backbone
from utsearch.errors import TrainingFailed
from utsearch.training.train import Run, Rung


class Pack:
    """Runs in lock-step; each gives what it would give alone, and ends without the others.

    Args:
        runs: on a backbone each, see `twin`.
    """

    def __init__(self, runs: Sequence[Run]) -> None:
        self._ticks = {number: run.ticks() for number, run in enumerate(runs)}

    def rungs(self) -> Iterator[tuple[int, Rung | TrainingFailed]]:
        """Number of a run and its next rung, or why it ended early; closing the generator ends all of them."""
        try:
            while self._ticks:
                yield from self._round()
        finally:
            for number in [*self._ticks]:
                self.stop(number)

    def stop(self, number: int) -> None:
        """End one run; what it learnt up to its last rung is kept."""
        ticks: Any = self._ticks.pop(number, None)
        if ticks is not None:
            ticks.close()

    def _round(self) -> Iterator[tuple[int, Rung | TrainingFailed]]:
        """One step, or one rung, of every run."""
        for number in [*self._ticks]:
            if number not in self._ticks:  # stopped by the caller just now
                continue
            try:
                rung = next(self._ticks[number])
            except StopIteration:
                del self._ticks[number]
            except TrainingFailed as error:
                del self._ticks[number]
                yield number, error
            else:
                if rung is not None:
                    yield number, rung


def twin(backbone: Backbone) -> Backbone:
    """A backbone with modules of its own, for tuners of its own, that shares the memory of the frozen tensors."""
    tensors = (*backbone.model.parameters(), *backbone.model.buffers())
    other = copy(backbone)
    other.model = deepcopy(backbone.model, {id(tensor): tensor for tensor in tensors})
    return other
