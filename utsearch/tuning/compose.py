"""All tuners of one operation, in the order that the maths prescribes."""

from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from utsearch.backbones import BackboneError, Layout, Stage, Tuner


class Stack(nn.Module):
    """The tuners of one operation: x' = scale(OP'(input(x)) + Σ parallel(x) + Σ sequential(·)).

    Every parallel tuner reads the original x, every sequential one the same sum before it, so the order in which they
    were written cannot matter. A tuner of a span of the columns reads and changes those only. Rows that INPUT tuners
    add at the end are dropped after the operation. A gate multiplies what its tuner changes: a term, the step of a
    scale, or the difference that one input or weights tuner makes to the operation with all those that have no gate (at
    the price of calling the operation once more).
    """

    def __init__(
        self,
        tuners: Mapping[str, Tuner],
        *,
        layout: Layout = Layout.NLC,
        stride: int = 1,
        norm: nn.Module | None = None,
        keeps_input: bool = False,
        drop_path: float = 0.0,
        spans: Mapping[str, tuple[int, int]] | None = None,
    ) -> None:
        """Take the tuners of one operation.

        Args:
            tuners: by name, in canonical order.
            layout: where the operation has its channels.
            stride: parallel terms read every stride-th position, where the operation's output stands.
            norm: the norm that feeds the operation; held in a tuple, so that it is no child and no key changes.
            keeps_input: whether this is the stack of a norm whose input the next operation's tuner reads.
            drop_path: share of images for which a term is left out while training (Huang et al. 2016, 1603.09382).
            spans: first and last + 1 of the output columns that a tuner changes, where these are not all of them.
        """
        super().__init__()
        self.layout, self.stride, self.keeps_input, self.drop_path = layout, stride, keeps_input, drop_path
        self.feeding_norm: tuple[nn.Module, ...] = () if norm is None else (norm,)
        self.spans = dict(spans or {})
        self._span_of = {tuner: self.spans[name] for name, tuner in tuners.items() if name in self.spans}
        self._seen: Tensor | None = None
        for name, tuner in tuners.items():
            self.add_module(name, tuner)
        self._inputs, self._weights, self._parallel, self._sequential, self._scales = (
            tuple(tuner for tuner in tuners.values() if tuner.stage is stage) for stage in Stage
        )
        self.reads_pre = any(tuner.reads_pre for tuner in tuners.values())
        self.register_load_state_dict_pre_hook(_accept_bare)  # type: ignore[no-untyped-call]

    def only(self, names: Iterable[str]) -> "Stack":
        """The same stack with some of its tuners."""
        norm = self.feeding_norm[0] if self.feeding_norm else None
        left: dict[str, Any] = {name: getattr(self, name) for name in names}
        return Stack(
            left,
            layout=self.layout,
            stride=self.stride,
            norm=norm,
            keeps_input=self.keeps_input,
            drop_path=self.drop_path,
            spans={n: s for n, s in self.spans.items() if n in left},
        )

    def forward(self, op: nn.Module, x: Tensor | None = None, *args: Any, **kwargs: Any) -> Tensor:
        """The tuned operation; `op.untuned` is the frozen one.

        Raises:
            BackboneError: timm's gradient checkpointing called the children of a tuned trunk one by one.
        """
        if x is None:
            raise BackboneError("gradient checkpointing passes by a tuner of the trunk: switch it off for this design")
        if self.keeps_input:
            self._seen = x
        pre = self._before_norm() if self.reads_pre else x
        y = self._gated_core(op, x, *args, **kwargs)
        if not (self._parallel or self._sequential or self._scales):
            return y
        y, x = self.layout.channels_last(y), self.layout.channels_last(x)
        at, pre = self._strided(x), self._strided(self.layout.channels_last(pre))
        y = self._add(y, [(t, self._term(t, t.delta(pre if t.reads_pre else at), x)) for t in self._parallel])
        y = self._add(y, [(t, self._term(t, t.delta(self._columns(t, y)), x)) for t in self._sequential])
        for scale in self._scales:
            part = self._columns(scale, y)
            done = scale.finish(part)
            y = self._set(scale, y, done if scale.gate is None else part + scale.gate(x) * (done - part))
        return self.layout.restore(y)

    def _gated_core(self, op: Any, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """The operation with changed input or weights, and what each gated tuner alone would change of that."""
        free = [tuner for tuner in (*self._inputs, *self._weights) if tuner.gate is None]
        y = self._core(free, op, x, *args, **kwargs)
        differences = []
        for tuner in (*self._inputs, *self._weights):
            if tuner.gate is not None:
                with_it = [other for other in (*self._inputs, *self._weights) if other.gate is None or other is tuner]
                factor = tuner.gate(self.layout.channels_last(x))
                differences.append(factor * (self._core(with_it, op, x, *args, **kwargs) - y))
        return sum(differences, y)

    def _core(self, tuners: Iterable[Tuner], op: Any, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """The operation itself, with input or weights changed by these tuners."""
        x_in, compute, parts = x, op.untuned, []
        for tuner in tuners:
            if tuner.stage is Stage.INPUT:
                x_in = self.layout.restore(tuner.prepare(self.layout.channels_last(x_in), self._normed))
            elif tuner in self._span_of:
                parts.append(tuner)
            else:
                compute = partial(tuner, op)
        masked = any(value is not None and value is not False for value in (*args, *kwargs.values()))
        if masked and x_in.shape != x.shape:
            raise BackboneError("an operation with prompt rows takes no mask: there is none for the rows")
        y: Tensor = compute(x_in, *args, **kwargs)
        for tuner in parts:
            y = self._set(tuner, y, tuner(op, x_in, *args, **kwargs))
        return y if x_in.shape == x.shape else y[:, : x.shape[1]]

    def _term(self, tuner: Tuner, term: Tensor, x: Tensor) -> Tensor:
        """What a tuner adds: behind its gate, and in training not for all images."""
        return self._kept(term if tuner.gate is None else tuner.gate(x) * term)

    def _strided(self, x: Tensor) -> Tensor:
        """The input (batch, …, d_in), channels last, at the positions of the output; nobody asks where they differ."""
        return x if self.stride in (0, 1) else x[:, :: self.stride, :: self.stride]

    def _columns(self, tuner: Tuner, y: Tensor) -> Tensor:
        """What a tuner sees of the output: its own columns."""
        return y[..., slice(*self._span_of[tuner])] if tuner in self._span_of else y

    def _set(self, tuner: Tuner, y: Tensor, part: Tensor) -> Tensor:
        """The output with a tuner's columns replaced."""
        if tuner not in self._span_of:
            return part
        first, end = self._span_of[tuner]
        return torch.cat([y[..., :first], part, y[..., end:]], dim=-1)

    def _add(self, y: Tensor, terms: list[tuple[Tuner, Tensor]]) -> Tensor:
        """The output and each tuner's term, at its columns."""
        for tuner, term in terms:
            if tuner in self._span_of:
                first, end = self._span_of[tuner]
                term = F.pad(term, (first, y.shape[-1] - end))
            y = y + term
        return y

    def _kept(self, term: Tensor) -> Tensor:
        """A term, in training without some of the images."""
        if not (self.training and self.drop_path):
            return term
        kept = term.new_empty([term.shape[0]] + [1] * (term.ndim - 1)).bernoulli_(1 - self.drop_path)
        return term * kept / (1 - self.drop_path)

    def _normed(self, rows: Tensor) -> Tensor:
        """Rows of the trunk as the operation reads them."""
        if not self.feeding_norm:
            return rows
        normed: Tensor = self.feeding_norm[0](rows)
        if self.reads_pre:
            self._before_norm()  # they were seen, and nobody asks for them
        return normed

    def _before_norm(self) -> Tensor:
        """What the feeding norm read just now; taken once, so that nothing is kept alive."""
        feeder: Any = self.feeding_norm[0].tuners
        seen, feeder._seen = feeder._seen, None
        return seen


def _accept_bare(stack: nn.Module, state: dict[str, Any], prefix: str, *_: Any) -> None:
    """A checkpoint of the bare backbone holds nothing of the tuners: let them keep their values."""
    if not any(key.startswith(prefix) for key in state):
        state.update(stack.state_dict(prefix=prefix))
