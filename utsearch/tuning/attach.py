"""Put a design's tuners on a frozen backbone, and take them off without a trace."""

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from utsearch.backbones import Backbone, BackboneError, Operation, Tuner
from utsearch.design import Design
from utsearch.forms import catalogue
from utsearch.tuning.cells import Cell, spec_of
from utsearch.tuning.compose import Stack
from utsearch.tuning.exchange import exchange, give_back
from utsearch.tuning.resolve import Resolved, full_options, resolve, sharing


@dataclass
class _Before:
    """What attaching changes of a network, to give it back exactly."""

    requires_grad: dict[nn.Parameter, bool]
    training: dict[nn.Module, bool]
    exchanged: list[nn.Module] = field(default_factory=list)

    @classmethod
    def of(cls, model: nn.Module) -> "_Before":
        return cls(
            {parameter: parameter.requires_grad for parameter in model.parameters()},
            {module: module.training for module in model.modules()},
        )

    def restore(self) -> None:
        while self.exchanged:
            give_back(self.exchanged.pop())
        for parameter, learns in self.requires_grad.items():
            parameter.requires_grad_(learns)
        for module, mode in self.training.items():
            module.training = mode


class Tuned:
    """The tuners on a backbone. The network itself is `backbone.model`, frozen and in eval mode, tuners and all.

    Names are those of the network without the child that holds the tuners: `blocks.3.attn.lora.up`.
    """

    def __init__(self, backbone: Backbone, resolved: Resolved, stacks: dict[str, Stack], before: _Before) -> None:
        self.backbone, self.resolved = backbone, resolved
        self._stacks, self._before = stacks, before

    @property
    def design(self) -> Design:
        """The design in canonical form."""
        return self.resolved.design

    @property
    def n_params(self) -> int:
        """Learnt values, as built; the head is not counted."""
        return sum(parameter.numel() for parameter in self.parameters())

    def named_tuners(self) -> Iterator[tuple[str, Operation, Cell, Tuner]]:
        """Name, operation, cell and tuner of every cell, in canonical order."""
        for op, name, cell in _named(self.resolved, self.backbone):
            tuner = getattr(self._stacks[op.path], name)
            yield f"{op.path}.{name}", op, cell, tuner

    def named_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        """The tuners' parameters by name."""
        for path, stack in self._stacks.items():
            yield from stack.named_parameters(prefix=path)

    def parameters(self) -> Iterator[nn.Parameter]:
        """The tuners' parameters."""
        return (parameter for _, parameter in self.named_parameters())

    def by_rate(self) -> dict[float, list[nn.Parameter]]:
        """The tuners' parameters by the learning rate of their form, relative to the recipe's."""
        found: dict[float, dict[nn.Parameter, None]] = {}
        for stack in self._stacks.values():
            for tuner in stack.children():
                if isinstance(tuner, Tuner):
                    found.setdefault(tuner.rate, {}).update(dict.fromkeys(tuner.parameters()))
        return {rate: list(parameters) for rate, parameters in found.items()}

    def state_dict(self) -> dict[str, Tensor]:
        """The tuners' tensors by name, detached but not copied."""
        return {k: v for path, stack in self._stacks.items() for k, v in stack.state_dict(prefix=f"{path}.").items()}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Copy values into the tuners.

        Raises:
            ValueError: tensors are missing, unknown or of another shape; nothing is copied then.
        """
        own = self.state_dict()
        if missing := sorted(own.keys() - state.keys()):
            raise ValueError(f"missing tuner tensors: {_few(missing)}")
        if unknown := sorted(state.keys() - own.keys()):
            raise ValueError(f"{_few(unknown)}: no such tuner tensors in {self.design}")
        for name, value in own.items():
            if value.shape != state[name].shape:
                raise ValueError(f"{name} has shape {tuple(value.shape)}, got {tuple(state[name].shape)}")
        with torch.no_grad():
            for name, value in own.items():
                value.copy_(state[name])

    def train(self, mode: bool = True) -> "Tuned":
        """Put the tuners in training mode; the frozen network stays in eval mode."""
        for stack in self._stacks.values():
            stack.train(mode)
        return self

    def eval(self) -> "Tuned":
        """Put the tuners in eval mode."""
        return self.train(False)

    def detach(self) -> None:
        """Give the network back: classes, children, requires_grad and modes as they were. Twice does nothing more."""
        self._before.restore()
        self._before = _Before({}, {})

    def __repr__(self) -> str:
        """Design, backbone and size."""
        return f"Tuned({str(self.design)!r} on {self.backbone.name}, n_params={self.n_params})"


def attach(backbone: Backbone, design: Design | str, *, seed: int = 0, drop_path: float = 0.0) -> Tuned:
    """Build x' = OP(x) + tuner(x) at every cell of a design, in place.

    Args:
        backbone: frozen by this, until `detach`.
        design: a design or its text; `linear` attaches nothing.
        seed: decides, with each tuner's own place, its initial values; global generators stay as they are.
        drop_path: share of images for which a tuner's term is left out in a training step.

    Raises:
        DesignError: the design does not fit.
        BackboneError: the backbone carries tuners already.
    """
    resolved, model = resolve(design, backbone), backbone.model
    if any(isinstance(module, Stack) for module in model.modules()):
        raise BackboneError(f"{backbone.name} has tuners already: detach them first")
    before = _Before.of(model)
    try:
        model.requires_grad_(False).eval()
        stacks = _stacks(resolved, backbone, seed, drop_path)
        for path, stack in stacks.items():
            operation = model.get_submodule(path)
            exchange(operation, stack.eval())
            before.exchanged.append(operation)
    except BaseException:
        before.restore()
        raise
    return Tuned(backbone, resolved, stacks, before)


@contextmanager
def attached(backbone: Backbone, design: Design | str, *, seed: int = 0, drop_path: float = 0.0) -> Iterator[Tuned]:
    """`attach` for the length of a with block; the network comes back bit for bit, also after a failure."""
    tuned = attach(backbone, design, seed=seed, drop_path=drop_path)
    try:
        yield tuned
    finally:
        tuned.detach()


def _stacks(resolved: Resolved, backbone: Backbone, seed: int, drop_path: float) -> dict[str, Stack]:
    """The tuners by path of their operation, and an empty stack at norms whose input is read."""
    tuners: dict[str, dict[str, Tuner]] = {}
    places: dict[str, dict[str, Operation]] = {}
    built = _tuners(resolved, backbone, seed)
    for op, name, cell in _named(resolved, backbone):
        tuners.setdefault(op.path, {})[name] = built[cell]
        places.setdefault(op.path, {})[name] = op
    first = {path: next(iter(at.values())) for path, at in places.items()}
    read = {first[path].norm for path, at in tuners.items() if any(tuner.reads_pre for tuner in at.values())}
    stacks = {path: Stack({}, keeps_input=True) for path in read if path is not None}
    for path, at in tuners.items():
        norm = first[path].norm
        stacks[path] = Stack(
            at,
            layout=first[path].layout,
            stride=first[path].stride,
            norm=None if norm is None else backbone.model.get_submodule(norm),
            keeps_input=path in read,
            drop_path=drop_path,
            spans={name: op.span for name, op in places[path].items() if op.span is not None},
        )
    return stacks


def _named(resolved: Resolved, backbone: Backbone) -> Iterator[tuple[Operation, str, Cell]]:
    """Operation, name and cell of every tuner: `adapter`, from the second on `adapter2`, and `q_lora` on a span."""
    taken: Counter[tuple[str, str]] = Counter()
    for cell in resolved.cells:
        op = backbone.operations[cell.site, cell.block]
        name = cell.form if op.span is None else f"{cell.site}_{cell.form}"
        taken[op.path, name] += 1
        number = taken[op.path, name]
        yield op, name if number == 1 else f"{name}{number}", cell


def _tuners(resolved: Resolved, backbone: Backbone, seed: int) -> dict[Cell, Tuner]:
    """A tuner for each cell; initial values depend on the seed and its own cell only, on any device.

    What tuners share depends on the seed and on what they have in common, and the first of them keeps it.
    """
    forms, like = catalogue(), next(backbone.model.parameters())
    tuners: dict[Cell, Tuner] = {}
    for group in sharing(resolved.cells, backbone, forms):
        form, rank, options = forms[group[0].form], group[0].rank, full_options(group[0], forms)
        ops = [backbone.operations[cell.site, cell.block] for cell in group]
        for cell, op in zip(group, ops, strict=True):
            with _drawing(f"{seed}/{cell.key}", like):
                tuner = form.build(op, rank, options)
            tuners[cell] = tuner.to(like.device, like.dtype)
            tuners[cell].start(backbone.model.get_submodule(op.path))
        with _drawing(f"{seed}/{spec_of(group[0])}/{form.family(ops[0])}", like):
            common = form.build_shared(ops, rank, options)
        if common is not None:
            common.to(like.device, like.dtype)
            for cell in group:
                tuners[cell].join(common, keep=cell is group[0])
    return tuners


@contextmanager
def _drawing(key: str, like: Tensor) -> Iterator[None]:
    """Random numbers of a key, drawn on the CPU for every device; global generators stay as they are."""
    digest = hashlib.sha256(key.encode()).digest()
    with torch.random.fork_rng(devices=[]), torch.device("meta" if like.is_meta else "cpu"):
        torch.default_generator.manual_seed(int.from_bytes(digest[:7]))
        yield


def _few(names: list[str]) -> str:
    """The first names of a list, and how many more there are."""
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
