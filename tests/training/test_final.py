"""The final evaluation's problem: test is read there and nowhere else."""

from dataclasses import replace

import pytest
import torch
from toy_problem import DESIGN, RECIPE, toy_problem, toy_split

from utsearch.data import Split
from utsearch.training.final import FinalProblem


def test_train_and_val_are_learnt_from_and_test_is_read_once() -> None:
    reads: list[int] = []

    def read_test() -> Split:
        reads.append(1)
        return toy_split(24, 4, 2)

    problem = toy_problem()
    problem = replace(problem, dataset=replace(problem.dataset, read_test=read_test))
    list(problem.start(DESIGN).rungs())
    assert problem.settings
    assert problem.floor
    assert not reads  # a search never sees test
    final = FinalProblem.of(problem, seed=1000)
    runs = [final.start(DESIGN, 1000), final.start_full(1000)]
    for run in runs:
        (rung,) = run.rungs()
        assert rung.last
        assert run.correct.shape == (24,)
        assert run.correct.mean() == pytest.approx(rung.top1)
    assert len(reads) == 1
    assert final.material.bank.shape[:2] == (2, 64 + 40)
    assert final.dataset.fingerprint != problem.dataset.fingerprint


def test_a_fresh_seed_has_fresh_views() -> None:
    problem = toy_problem()
    banks = [FinalProblem.of(problem, seed).material.bank for seed in (1000, 1001)]
    assert not torch.equal(*banks)


def test_choosing_a_rate_uses_validation_alone() -> None:
    def read_test() -> Split:
        raise AssertionError("test was read")

    problem = toy_problem()
    problem = replace(problem, dataset=replace(problem.dataset, read_test=read_test))
    (rung,) = FinalProblem.with_validation(problem).start(DESIGN, rate=2.0).rungs()
    assert rung.epoch == problem.recipe.epochs


def test_full_fine_tuning_learns_everything_and_leaves_the_backbone_alone() -> None:
    problem = toy_problem()
    before = {name: value.clone() for name, value in problem.backbone.model.state_dict().items()}
    final = FinalProblem.of(problem, 0)
    (rung,) = final.start_full().rungs()
    (frozen,) = final.start(DESIGN).rungs()
    assert rung.loss != frozen.loss
    after = problem.backbone.model.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert not any(p.requires_grad for p in problem.backbone.model.parameters())


def test_two_final_runs_of_a_seed_are_equal_to_the_bit() -> None:
    recipe = replace(RECIPE, epochs=1, rungs=(1,))
    runs = [FinalProblem.of(toy_problem(recipe), seed=7).start(DESIGN, 7) for _ in range(2)]
    first, again = (list(run.rungs())[-1] for run in runs)
    assert (first.top1, first.loss, first.ece) == (again.top1, again.loss, again.ece)
    assert all(torch.equal(value, runs[1].state()[name]) for name, value in runs[0].state().items())
