"""Designs trained in turn in one process give what each gives alone."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch
from toy_problem import RECIPE, toy_problem

from utsearch.design import Design
from utsearch.errors import TrainingFailed
from utsearch.training import Problem
from utsearch.training.train import Run, Rung
from utsearch.training.twin import twin

SHORT = replace(RECIPE, epochs=2, rungs=(1, 2), drop_path=0.3)  # drop path draws in every step
DESIGNS = [Design.parse(text) for text in ("ffn:adapter(4)@3-5", "mha:prefix(2)@3 + block:ssf@5", "linear")]

Curve = list[tuple[float, float]]


@pytest.fixture(scope="module")
def problem() -> Problem:
    return replace(toy_problem(SHORT), cache=10**9, cuts=(3, 6))


def rest(ticks: list[Iterator[Rung | None]]) -> list[Curve]:
    """Top-1 and loss at the rungs of runs that take a step each in turn."""
    curves: list[Curve] = [[] for _ in ticks]
    left = dict(enumerate(ticks))
    while left:
        for number, steps in [*left.items()]:
            try:
                rung = next(steps)
            except StopIteration:
                del left[number]
            else:
                curves[number] += [] if rung is None else [(rung.top1, rung.loss)]
    return curves


def same(one: Run, other: Run) -> bool:
    mine, theirs = one.state(), other.state()
    return mine.keys() == theirs.keys() and all(torch.equal(mine[name], theirs[name]) for name in mine)


def test_each_learns_the_same_bits_as_alone(problem: Problem) -> None:
    alone = [problem.start(design, 3) for design in DESIGNS]
    expected = [[(rung.top1, rung.loss) for rung in run.rungs()] for run in alone]
    together = [problem.start_beside(design, 3) for design in DESIGNS]
    assert rest([run.ticks() for run in together]) == expected
    assert all(same(one, other) for one, other in zip(alone, together, strict=True))
    assert expected[0] != expected[1]


def test_one_that_is_stopped_or_fails_leaves_the_others(problem: Problem) -> None:
    alone = problem.start(DESIGNS[0], 1)
    list(alone.rungs())
    good, stopped = problem.start_beside(DESIGNS[0], 1), problem.start_beside(DESIGNS[1], 1)
    failing = problem._run(twin(problem.backbone), DESIGNS[1], 1, 1e38)
    ticks, ended = [run.ticks() for run in (good, stopped, failing)], 0
    while not (stopped.state() and ended):
        next(ticks[0])
        next(ticks[1])
        try:
            ended or next(ticks[2])
        except TrainingFailed:
            ended += 1
    ticks[1].close()
    rest(ticks[:1])
    assert stopped.state()
    assert same(alone, good)


def test_twins_share_the_frozen_memory_and_nothing_else(problem: Problem) -> None:
    other = twin(problem.backbone)
    mine, theirs = dict(problem.backbone.model.named_parameters()), dict(other.model.named_parameters())
    assert mine.keys() == theirs.keys()
    assert all(mine[name].data_ptr() == theirs[name].data_ptr() for name in mine)
    assert not {*problem.backbone.model.modules()} & {*other.model.modules()}
