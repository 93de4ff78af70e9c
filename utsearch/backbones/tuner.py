"""The base class of every tuner form: x' = OP(x) + tuner(x)."""

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import IntEnum
from functools import cache
from typing import Any, ClassVar, Literal, get_args, get_origin, get_type_hints

import torch
from torch import Tensor, nn

from utsearch.backbones import gate as gates
from utsearch.backbones.operation import Operation
from utsearch.design import FormInfo, OptionInfo


class Stage(IntEnum):
    """When a tuner acts; the order of the stages, not of the slots, decides the maths.

    INPUT changes what the operation reads, WEIGHTS replaces its computation, PARALLEL adds a term of its input,
    SEQUENTIAL a term of its output so far, SCALE transforms the result.
    """

    INPUT = 0
    WEIGHTS = 1
    PARALLEL = 2
    SEQUENTIAL = 3
    SCALE = 4


class Tuner(nn.Module):
    """A tuner form: overrides the one method of its stage, and says where it may stand and what it costs.

    The constructor takes the operation, the rank (if the form has one) and, keyword-only, the options. Their names,
    types, defaults and choices are read from its signature: `int`, `float`, `bool` or a `Literal` of words. An option
    named `insert` takes the name of a stage and so decides when the tuner acts. The option `gate` is every form's.

    Attributes:
        name: the form's name in a design.
        summary: its formula in a line.
        source: the paper.
        sites: where it may stand.
        elsewhere: why not at the other sites.
        merges: whether it can be folded into the frozen weights.
        stage: when it acts.
        identity: whether the network's output is unchanged until the tuner learns.
        bypass: whether it lets no gradient into the operation, so that nothing in there can learn beside it.
        reads_pre: whether `delta` reads the trunk before the norm that feeds the operation.
        gate: the factor on what it changes, or None.
        rate: its peak learning rate relative to the recipe's, as measured by benchmarks/rates.py (docs/recipe.md); see
            `rate_of`.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    source: ClassVar[str]
    sites: ClassVar[tuple[str, ...]]
    elsewhere: ClassVar[str] = ""
    merges: ClassVar[bool] = False
    bypass: ClassVar[bool] = False
    rate: float = 1.0
    stage: Stage = Stage.PARALLEL
    identity: bool = True
    reads_pre: bool = False

    def __init__(self, *, insert: str | None = None) -> None:
        super().__init__()
        self.stage = self.stage_of({} if insert is None else {"insert": insert})
        self.gate: gates.Gate | None = None
        self._common: tuple[nn.Module, ...] = ()

    @property
    def common(self) -> Any:
        """What it shares with the other tuners of its form, rank and options in the design, see `share`."""
        return self._common[0]

    def join(self, common: nn.Module, *, keep: bool) -> None:
        """Take part in what is shared; one of those who do keeps it as a child, so that it is saved and learnt once."""
        self._common = (common,)
        if keep:
            self.shared = common

    def start(self, module: nn.Module) -> None:
        """Take initial values from the frozen operation."""

    def prepare(self, x: Tensor, normed: Callable[[Tensor], Tensor]) -> Tensor:
        """INPUT: what the operation shall read instead of `x`; rows added at the end are dropped from its output.

        Args:
            x: (batch, …, d_in).
            normed: passes trunk rows (batch, rows, d_in) through the norm that feeds the operation.
        """
        raise NotImplementedError

    def forward(self, op: nn.Module, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """WEIGHTS: the operation's output, computed anew from its parts or by `op.untuned`."""
        raise NotImplementedError

    def delta(self, x: Tensor) -> Tensor:
        """PARALLEL or SEQUENTIAL: the term to add, (batch, …, d_out), from the operation's input or output."""
        raise NotImplementedError

    def finish(self, y: Tensor) -> Tensor:
        """SCALE: the final output (…, d_out) from the output so far."""
        raise NotImplementedError

    @classmethod
    def num_params(cls, op: Operation, rank: int = 0, **options: Any) -> int:
        """The closed formula of the number of learnt values."""
        raise NotImplementedError

    @classmethod
    def family(cls, op: Operation) -> Any:
        """Tuners of one form, rank and options share only with those whose operation gives the same here."""
        return None

    @classmethod
    def share(cls, ops: Sequence[Operation], rank: int = 0, **options: Any) -> nn.Module | None:
        """What the tuners at these operations have in common, learnt or frozen (buffers), or None."""
        return None

    @classmethod
    def shared_params(cls, ops: Sequence[Operation], rank: int = 0, **options: Any) -> int:
        """The closed formula of the learnt values in it; `num_params` does not count them."""
        return 0

    @classmethod
    def refuses(cls, op: Operation, **options: Any) -> str | None:
        """Why it may not stand at an operation of one of its sites, or None; a form with a rank gets it by name."""
        return None

    def fold(self, module: nn.Module) -> None:
        """Change the frozen module's own parameters in place, so that it computes what it computed with this tuner.

        Args:
            module: the operation of a copied network, without tuners; for an operation with a `span`, a Linear of these
                rows only. All tuners of earlier stages are folded into it already.
        """
        raise NotImplementedError

    @classmethod
    def folds(cls, op: Operation, **options: Any) -> str | None:
        """Why it cannot be folded at this operation, or None; for each form whose `merges` says that it can."""
        return None if cls.merges else f"{cls.name} is no change of weights"

    @classmethod
    def stage_of(cls, options: Mapping[str, Any]) -> Stage:
        """When a tuner with these options acts."""
        return Stage[options["insert"].upper()] if "insert" in options else cls.stage

    @classmethod
    def build(cls, op: Operation, rank: int | None, options: Mapping[str, Any]) -> "Tuner":
        """Call the constructor with the rank only if the form has one, and add the gate."""
        form: Any = cls  # every form has a constructor of its own
        kind, own = _split(options)
        tuner: Tuner = form(op, **own) if rank is None else form(op, rank, **own)
        tuner.gate = None if kind == gates.NONE else gates.Gate(kind, op)
        tuner.rate = cls.rate_of(own)
        return tuner

    @classmethod
    def rate_of(cls, options: Mapping[str, Any]) -> float:
        """`rate`, for forms whose rate depends on an option."""
        return cls.rate

    @classmethod
    def count(cls, op: Operation, rank: int | None, options: Mapping[str, Any]) -> int:
        """Learnt values of the tuner and its gate, by formula."""
        kind, own = _split(options)
        return cls.num_params(op, rank or 0, **own) + gates.gate_params(kind, op)

    @classmethod
    def build_shared(cls, ops: Sequence[Operation], rank: int | None, options: Mapping[str, Any]) -> nn.Module | None:
        """`share` with the options of a design."""
        return cls.share(ops, rank or 0, **_split(options)[1])

    @classmethod
    def count_shared(cls, ops: Sequence[Operation], rank: int | None, options: Mapping[str, Any]) -> int:
        """`shared_params` with the options of a design."""
        return cls.shared_params(ops, rank or 0, **_split(options)[1])

    @classmethod
    def refusal(cls, op: Operation, rank: int | None, options: Mapping[str, Any]) -> str | None:
        """Why it may not stand at an operation with this rank, these options and their gate, or None."""
        kind, own = _split(options)
        given = {} if rank is None else {"rank": rank}
        return cls.refuses(op, **given, **own) or gates.gate_refuses(kind, op)

    @classmethod
    def info(cls) -> FormInfo:
        """What the constructor's signature and the class attributes say, for floors without torch."""
        return _info(cls)  # type: ignore[arg-type]  # a class is hashable, nn.Module's annotation says otherwise


@torch.no_grad()
def states(trunk: Iterable[nn.Module], x: Tensor) -> list[Tensor]:
    """What the blocks of a trunk read and give, x_0 … x_L, each (batch, tokens, d) and without a gradient."""
    found = [x.detach()]
    for block in trunk:
        found.append(block(found[-1]))
    return found


def _split(options: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """The kind of gate, and the form's own options."""
    return options.get("gate", gates.NONE), {key: value for key, value in options.items() if key != "gate"}


@cache
def _info(form: type[Tuner]) -> FormInfo:
    parameters = inspect.signature(form.__init__).parameters
    hints = get_type_hints(form.__init__)
    options = {
        key: _option(hints[key], parameter.default)
        for key, parameter in parameters.items()
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY
    }
    options["gate"] = gates.OPTION
    return FormInfo(form.name, form.sites, "rank" in parameters, options, form.summary, form.source, form.elsewhere)


def _option(hint: Any, default: Any) -> OptionInfo:
    """An option's kind and choices from its annotation."""
    if default is inspect.Parameter.empty:
        raise TypeError("every option of a form has a default")
    if get_origin(hint) is Literal:
        return OptionInfo(type(default), default, get_args(hint))
    if hint not in (int, float, bool, str):
        raise TypeError(f"an option is an int, float, bool, str or a Literal, got {hint}")
    return OptionInfo(hint, default)
