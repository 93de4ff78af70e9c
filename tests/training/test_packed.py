"""Designs trained together give what each gives alone."""

from collections import defaultdict
from dataclasses import replace

import pytest
import torch
from toy_problem import RECIPE, toy_problem

from utsearch.design import Design
from utsearch.errors import TrainingFailed
from utsearch.training import Problem
from utsearch.training.packed import Pack, twin
from utsearch.training.train import Run, Rung

SHORT = replace(RECIPE, epochs=2, rungs=(1, 2), drop_path=0.3)  # drop path draws in every step
DESIGNS = [Design.parse(text) for text in ("ffn:adapter(4)@3-5", "mha:prefix(2)@3 + block:ssf@5", "linear")]


@pytest.fixture(scope="module")
def problem() -> Problem:
    return replace(toy_problem(SHORT), cache=10**9, cuts=(3, 6))


def collected(pack: Pack) -> dict[int, list[Rung | TrainingFailed]]:
    found = defaultdict(list)
    for number, rung in pack.rungs():
        found[number].append(rung)
    return found


def same(one: Run, other: Run) -> bool:
    mine, theirs = one.state(), other.state()
    return mine.keys() == theirs.keys() and all(torch.equal(mine[name], theirs[name]) for name in mine)


def test_each_learns_the_same_bits_as_alone(problem: Problem) -> None:
    alone = [problem.start(design, 3) for design in DESIGNS]
    expected = [[(rung.top1, rung.loss) for rung in run.rungs()] for run in alone]
    pack, together = problem.start_together(DESIGNS, 3)
    found = collected(pack)
    assert [[(rung.top1, rung.loss) for rung in found[i]] for i in range(3)] == expected  # type: ignore[union-attr]
    assert all(same(one, other) for one, other in zip(alone, together, strict=True))
    assert expected[0] != expected[1]


def test_they_take_turns(problem: Problem) -> None:
    pack, _ = problem.start_together(DESIGNS[:2])
    assert [number for number, _ in pack.rungs()] == [0, 1, 0, 1]


def test_one_that_is_stopped_or_fails_leaves_the_others(problem: Problem) -> None:
    alone = problem.start(DESIGNS[0], 1)
    list(alone.rungs())
    _, (good, stopped) = problem.start_together(DESIGNS[:2], 1)
    failing = problem.start(DESIGNS[1], 1, rate=1e38)
    pack, ends = Pack([failing, good, stopped]), defaultdict(list)
    for number, rung in pack.rungs():
        ends[number].append(rung)
        if number == 2:
            pack.stop(2)
    assert isinstance(ends[0][-1], TrainingFailed)
    assert len(ends[1]) == 2
    assert len(ends[2]) == 1
    assert stopped.state()
    assert same(alone, good)


def test_twins_share_the_frozen_memory_and_nothing_else(problem: Problem) -> None:
    other = twin(problem.backbone)
    mine, theirs = dict(problem.backbone.model.named_parameters()), dict(other.model.named_parameters())
    assert mine.keys() == theirs.keys()
    assert all(mine[name].data_ptr() == theirs[name].data_ptr() for name in mine)
    assert not {*problem.backbone.model.modules()} & {*other.model.modules()}
