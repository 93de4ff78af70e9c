"""The base class reads a form's options from its constructor."""

from typing import Literal

import pytest
from torch import nn

from utsearch.backbones import Operation, Stage, Tuner
from utsearch.design import OptionInfo

OP = Operation("ffn", 0, "blocks.0.mlp", "Mlp", 8, 8)


class Offset(Tuner):
    name = "offset"
    summary = "OP(x) + b"
    source = "here"
    sites = ("ffn",)

    def __init__(
        self,
        op: Operation,
        *,
        scale: float = 0.5,
        turns: int = 3,
        kind: Literal["a", "b"] = "b",
        flag: bool = False,
        insert: Literal["parallel", "sequential"] = "sequential",
    ) -> None:
        super().__init__(insert=insert)


def test_options_come_from_the_signature() -> None:
    info = Offset.info()
    assert (info.name, info.sites, info.rank) == ("offset", ("ffn",), False)
    assert dict(info.options) == {
        "scale": OptionInfo(float, 0.5),
        "turns": OptionInfo(int, 3),
        "kind": OptionInfo(str, "b", ("a", "b")),
        "flag": OptionInfo(bool, False),
        "insert": OptionInfo(str, "sequential", ("parallel", "sequential")),
        "gate": OptionInfo(str, "none", ("none", "sigmoid", "scalar")),
    }


def test_the_option_insert_decides_the_stage() -> None:
    assert Offset(OP).stage is Stage.SEQUENTIAL
    assert Offset.build(OP, None, {"insert": "parallel"}).stage is Stage.PARALLEL
    assert Offset.stage_of({}) is Stage.PARALLEL  # of the class


def test_a_rank_is_a_parameter_named_rank() -> None:
    class Ranked(Offset):
        name = "ranked"

        def __init__(self, op: Operation, rank: int) -> None:
            nn.Module.__init__(self)
            self.rank = rank

    assert Ranked.info().rank
    assert Ranked.build(OP, 4, {}).rank == 4


def test_an_option_needs_a_default_and_a_plain_type() -> None:
    class Bare(Offset):
        def __init__(self, op: Operation, *, scale: float) -> None: ...

    class Odd(Offset):
        def __init__(self, op: Operation, *, scale: list[int] = []) -> None: ...  # noqa: B006

    with pytest.raises(TypeError, match="default"):
        Bare.info()
    with pytest.raises(TypeError, match="an option is"):
        Odd.info()


@pytest.mark.parametrize("method", ["prepare", "forward", "delta", "finish"])
def test_a_stage_without_its_method_is_an_error(method: str) -> None:
    tuner = Offset(OP)
    with pytest.raises(NotImplementedError):
        getattr(tuner, method)(*[None] * (2 if method in ("prepare", "forward") else 1))
