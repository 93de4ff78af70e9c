"""Train one design by rungs: a generator that the caller may leave at any rung."""

import math
import time
from collections.abc import Generator, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import save
from torch import Tensor, nn

from utsearch.backbones import Backbone
from utsearch.data import Preprocessing, Split, centre_crop, normalise
from utsearch.design import Design
from utsearch.errors import TrainingFailed
from utsearch.files import write_atomic
from utsearch.training.checkpoint import Checkpoint, CheckpointError, beside, read_checkpoint, write_checkpoint
from utsearch.training.cost import cost_of
from utsearch.training.metrics import Metrics, measure
from utsearch.training.recipe import Recipe
from utsearch.training.replay import Prefix
from utsearch.training.source import Material, Source, source_of
from utsearch.training.stepper import Stepper, autocast, precision_of
from utsearch.tuning import Classifier, attached


@dataclass(frozen=True)
class Rung:
    """What validation said after some epochs.

    Attributes:
        index: number of the rung, from 0.
        epoch: epochs trained so far.
        top1: share of validation images classified right, 0…1.
        standard_error: of `top1` from the number of validation images, √(p(1-p)/n).
        loss: mean cross entropy on validation.
        balanced: mean top-1 of the classes.
        ece: expected calibration error, 0…1.
        images_per_second: training speed since the rung before, validation not included.
        seconds: since the trial started, evaluation included.
        last: whether training is complete.
    """

    index: int
    epoch: int
    top1: float
    standard_error: float
    loss: float
    balanced: float
    ece: float
    images_per_second: float
    seconds: float
    last: bool


class Run:
    """One design in training. Iterate `rungs()`; after it, or after leaving it early, `save` keeps what was learnt.

    With `resume`, where another run of the same design was saved that was left early, it goes on with that one: the
    first rung is the next one, and the results are those of a run that was never left. What cannot be gone on with is
    trained from the start, and `notice` says why.
    """

    def __init__(
        self,
        backbone: Backbone,
        design: Design,
        material: Material,
        head: nn.Linear,
        recipe: Recipe,
        seed: int,
        prefix: Prefix | None = None,
        compiler: str = "",
        resume: Path | None = None,
    ) -> None:
        self._backbone, self._design, self._material, self._head = backbone, design, material, head
        self._recipe, self._seed, self._prefix, self._compiler = recipe, seed, prefix, compiler
        self._precision = precision_of(recipe, material.device)
        self._resume, self.notice = resume, ""
        self._left: Checkpoint | None = None
        self._state: dict[str, Tensor] = {}
        self._micro = recipe.batch_size
        self._cost: Mapping[str, float] = {}
        self._correct = torch.zeros(0, dtype=torch.bool)

    def rungs(self) -> Iterator[Rung]:
        """Train, yielding at each rung of the recipe; closing the generator gives the backbone back untouched.

        Where the device has no memory left, the run starts once more with half the images on their way through the
        network at a time: the gradients of the two halves are added up, so the result is the same up to rounding.

        Raises:
            TrainingFailed: the loss is not finite, the memory does not suffice for half a batch either, or the network
                cannot be compiled.
        """
        with closing(self.ticks()) as ticks:
            yield from (rung for rung in ticks if rung is not None)

    def ticks(self) -> Generator[Rung | None]:
        """`rungs` that also yields None after every step, so that several runs can take turns."""
        batch, told = self._recipe.batch_size, -1
        for self._micro in (batch, math.ceil(batch / 2)):
            try:
                with closing(self._train()) as ticks:
                    for rung in ticks:
                        if rung is None or rung.index <= told:  # a second attempt comes by the first one's rungs again
                            yield None
                            continue
                        told = rung.index
                        yield rung
                return
            except (MemoryError, RuntimeError) as error:
                self._refuse(error)
            if self._material.device.type == "cuda":
                torch.cuda.empty_cache()  # of the failed attempt, in pieces that may not fit
        raise TrainingFailed(f"out of memory on {self._material.device}, also with half the micro-batch")

    def _refuse(self, error: MemoryError | RuntimeError) -> None:
        """Pass on what is not for want of memory."""
        if _is_compilers(error):
            why = str(error).strip().splitlines()[0]
            raise TrainingFailed(f"torch.compile cannot do this one ({why}): leave out --compile") from error
        if not _is_out_of_memory(error):
            raise error

    def state(self) -> dict[str, Tensor]:
        """Tuner (`tuner.…`) and head (`head.…`) at the last rung reached, on the CPU."""
        return dict(self._state)

    def save(self, path: Path) -> None:
        """Write `state()` as safetensors, atomically; after a rung that is not the last also what `resume` reads."""
        if self._left is not None:
            write_checkpoint(beside(path), self._left, self._about)
        write_atomic(path, save(self._state, metadata={"design": str(self._design), "seed": str(self._seed)}))

    @property
    def _about(self) -> dict[str, str]:
        """What decides a run's steps: the one that goes on must have the same."""
        return {
            "design": str(self._design),
            "seed": str(self._seed),
            "recipe": self._recipe.fingerprint,
            "backbone": self._backbone.fingerprint,
            "number of images": str(len(self._material.labels)),
            "precision": str(self._precision),
        }

    @property
    def correct(self) -> npt.NDArray[np.bool_]:
        """Which validation images were classified right at the last rung reached, (images,)."""
        return np.asarray(self._correct)

    @property
    def cost(self) -> Mapping[str, float]:
        """What the design costs; empty before it trains.

        `flops` of one image's forward, `memory` in bytes of a training step beyond the frozen network (see
        `training_bytes`), `mergeable` (1 or 0), on CUDA `peak_memory` in bytes of the allocator, and `micro_batch`
        images where a whole batch did not fit.
        """
        device = self._material.device
        peak = {"peak_memory": torch.cuda.max_memory_allocated(device)} if device.type == "cuda" else {}
        halved = {"micro_batch": self._micro} if self._micro < self._recipe.batch_size else {}
        return {**self._cost, **peak, **halved} if self._cost else {}

    def _train(self) -> Generator[Rung | None]:
        started, device = time.perf_counter(), self._material.device
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
        with self._model() as model:
            stepper = Stepper(model, self._recipe, len(self._material.labels), self._precision, self._micro)
            self._cost = self._measure(stepper)
            if self._compiler:
                torch.compiler.reset()  # the graphs of the last design would count against dynamo's limit
                model.compile(backend=self._compiler)
            yield from self._epochs(stepper, started, self._go_on(stepper))

    def _go_on(self, stepper: Stepper) -> int:
        """Epochs that another run has trained already, whose state the stepper now has."""
        if self._resume is None:
            return 0
        path = beside(self._resume)
        try:
            checkpoint = read_checkpoint(path, self._about)
            if checkpoint.epoch not in self._recipe.rungs[:-1]:
                raise CheckpointError(f"{path.name} is of epoch {checkpoint.epoch}, which is no rung to go on from")
            stepper.load_state(checkpoint.tensors)
        except CheckpointError as error:
            self.notice = f"trained from the start: {error}"
            return 0
        return checkpoint.epoch

    def _epochs(self, stepper: Stepper, started: float, done: int) -> Iterator[Rung | None]:
        recipe, seconds, images = self._recipe, 0.0, 0
        with source_of(self._backbone, self._material, self._prefix) as source:
            for epoch in range(done, recipe.epochs):
                begun = time.perf_counter()
                yield from self._epoch(stepper, source, epoch)
                seconds, images = seconds + time.perf_counter() - begun, images + len(self._material.labels)
                if epoch + 1 in recipe.rungs:
                    with stepper.averaged():
                        metrics = evaluate(stepper.model, source, self._material.val.labels, self._precision)
                        self._state, self._correct = stepper.model.learnt(), metrics.correct
                    last = epoch + 1 == recipe.epochs
                    self._left = None if last else Checkpoint(epoch + 1, stepper.state())
                    yield Rung(
                        index=recipe.rungs.index(epoch + 1),
                        epoch=epoch + 1,
                        top1=metrics.top1,
                        standard_error=metrics.standard_error,
                        loss=metrics.loss,
                        balanced=metrics.balanced,
                        ece=metrics.ece,
                        images_per_second=images / seconds,
                        seconds=time.perf_counter() - started,
                        last=last,
                    )
                    seconds, images = 0.0, 0

    @contextmanager
    def _model(self) -> Iterator[Classifier]:
        """What is trained, for as long as it is."""
        recipe = self._recipe
        with attached(self._backbone, self._design, seed=self._seed, drop_path=recipe.drop_path) as tuned:
            yield Classifier(self._backbone, clone_head(self._head), tuned)

    def _measure(self, stepper: Stepper) -> Mapping[str, float]:
        """From images, also where the trial runs on stored activations: what the design costs wherever it is used."""
        material = self._material
        batch = slice(self._recipe.batch_size)
        with own_randomness(material.device, self._seed, 0):
            pixels = material.bank[0, batch].to(material.device)
            images = normalise(pixels, self._backbone.mean, self._backbone.std)
            return cost_of(stepper, images, material.labels[batch])

    def _epoch(self, stepper: Stepper, source: Source, epoch: int) -> Iterator[None]:
        labels = self._material.labels
        order = epoch_order(len(labels), seed=self._seed, epoch=epoch)
        shuffled, read = labels[order.to(labels.device)], partial(source.batch, epoch)
        size, losses, draws = self._recipe.batch_size, [], Draws(labels.device, self._seed, epoch)
        for chosen, classes in zip(order.split(size), shuffled.split(size), strict=True):
            with draws.own():
                losses.append(stepper.step(read, chosen, classes))
            yield None
        if not bool(torch.stack(losses).isfinite().all()):  # once an epoch: reading a value waits for the device
            raise TrainingFailed(f"the loss is not a number in epoch {epoch + 1}")


class Draws:
    """A run's own stream of random numbers in an epoch, whatever else runs in the process, also between its steps."""

    def __init__(self, device: torch.device, seed: int, epoch: int) -> None:
        self._cuda = [device] if device.type == "cuda" else []
        with torch.random.fork_rng(devices=self._cuda, device_type="cuda"):
            torch.manual_seed(1_000_003 * seed + epoch)
            self._states = self._read()

    @contextmanager
    def own(self) -> Iterator[None]:
        """Dropout, drop path and mixup draw from it for the length of a with block."""
        with torch.random.fork_rng(devices=self._cuda, device_type="cuda"):
            torch.set_rng_state(self._states[0])
            for device, state in zip(self._cuda, self._states[1:], strict=True):
                torch.cuda.set_rng_state(state, device)
            yield
            self._states = self._read()

    def _read(self) -> list[Tensor]:
        return [torch.get_rng_state(), *(torch.cuda.get_rng_state(device) for device in self._cuda)]


@contextmanager
def own_randomness(device: torch.device, seed: int, epoch: int) -> Iterator[None]:
    """`Draws` of an epoch for one with block."""
    with Draws(device, seed, epoch).own():
        yield


def _is_out_of_memory(error: MemoryError | RuntimeError) -> bool:
    """The CPU's allocator raises a plain RuntimeError."""
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or "can't allocate memory" in str(error)


def _is_compilers(error: BaseException) -> bool:
    """Torch's compiler is loaded where it is used, and its errors with it."""
    return type(error).__module__.startswith(("torch._dynamo", "torch._inductor"))


def epoch_order(n: int, *, seed: int, epoch: int) -> Tensor:
    """The order of the images in an epoch: the same for every design of a seed."""
    return torch.randperm(n, generator=torch.Generator().manual_seed(1_000_003 * seed + epoch))


def clone_head(head: nn.Linear) -> nn.Linear:
    """A head that learns, starting from the values of another."""
    like = {"device": head.weight.device, "dtype": head.weight.dtype}
    copy = nn.utils.skip_init(nn.Linear, head.in_features, head.out_features, **like)
    copy.load_state_dict(head.state_dict())
    return copy


@torch.no_grad()
def evaluate(model: Classifier, source: Source, labels: Tensor, precision: torch.dtype = torch.float32) -> Metrics:
    """Metrics on the validation images of a source."""
    model.eval()
    with autocast(labels.device, precision):
        logits = [model(inputs) for inputs in source.val()]
    return measure(torch.cat(logits).float(), labels)


def centred(split: Split, preprocessing: Preprocessing, home: torch.device, device: torch.device) -> Split:
    """The centre crops of a split where images lie, their labels on the device."""
    pixels = centre_crop(split.pixels, preprocessing.crop).contiguous()
    return replace(split, pixels=pixels.to(home), labels=split.labels.to(device))
