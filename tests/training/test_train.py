"""The training loop: rungs, determinism, what learns and what does not."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from toy_problem import DESIGN, RECIPE, toy_problem

from utsearch.design import Design
from utsearch.errors import TrainingFailed, UserError
from utsearch.training import Problem, Recipe, choose_device
from utsearch.training.stepper import Stepper, cosine
from utsearch.training.train import epoch_order

SHORT = replace(RECIPE, epochs=2, rungs=(1, 2))
DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]


@pytest.fixture(scope="module")
def problem() -> Problem:
    return toy_problem()


@pytest.mark.parametrize("device", DEVICES)
def test_rungs_come_at_their_epochs_and_training_helps(device: str) -> None:
    problem = toy_problem(replace(RECIPE, head_init="zero"), device)
    rungs = list(problem.start(DESIGN).rungs())
    assert [(r.index, r.epoch, r.last) for r in rungs] == [(0, 1, False), (1, 2, False), (2, 4, True)]
    assert rungs[-1].top1 > 0.4  # chance is 0.25, its standard error 0.07
    assert rungs[0].seconds < rungs[1].seconds < rungs[2].seconds
    last = rungs[-1]
    assert last.standard_error == pytest.approx(math.sqrt(last.top1 * (1 - last.top1) / 40))


def test_two_runs_of_a_seed_are_equal_and_another_seed_is_not(problem: Problem) -> None:
    def result(seed: int) -> tuple[list[float], dict[str, torch.Tensor]]:
        run = problem.start(DESIGN, seed)
        return [r.loss for r in run.rungs()], run.state()

    (losses, state), (again, same), (other, _) = result(0), result(0), result(1)
    assert losses == again != other
    assert all(torch.equal(state[name], same[name]) for name in state)


def test_a_rung_is_a_prefix_of_the_full_run(problem: Problem) -> None:
    """A trial left at its second rung has seen exactly what a full one had seen there."""
    full = [rung.loss for rung in problem.start(DESIGN).rungs()]
    left = problem.start(DESIGN)
    rungs = left.rungs()
    assert [next(rungs).loss, next(rungs).loss] == full[:2]
    rungs.close()
    assert left.state()


def test_backbone_is_bit_for_bit_the_same_after_leaving_early(problem: Problem) -> None:
    before = {name: value.clone() for name, value in problem.backbone.model.state_dict().items()}
    rungs = problem.start(Design.parse("mha:prefix(3)@all + block:ssf@first/2")).rungs()
    next(rungs)
    rungs.close()
    after = problem.backbone.model.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_linear_probe_trains_the_head_alone(problem: Problem) -> None:
    run = problem.start(Design())
    assert list(run.rungs())[-1].last
    assert set(run.state()) == {"head.weight", "head.bias"}
    assert not torch.equal(run.state()["head.weight"], problem.first_head.weight)


def test_saved_state_is_the_state_of_the_last_rung(problem: Problem, tmp_path: Path) -> None:
    run = problem.start(DESIGN)
    list(run.rungs())
    run.save(tmp_path / "deep" / "trial.safetensors")
    saved = load_file(tmp_path / "deep" / "trial.safetensors")
    assert {k: v.shape for k, v in saved.items()} == {k: v.shape for k, v in run.state().items()}
    assert all(torch.equal(saved[name], value) for name, value in run.state().items())
    assert sum(v.numel() for k, v in saved.items() if k.startswith("tuner.")) == problem.resolve(DESIGN).n_params
    assert sum(v.numel() for k, v in saved.items() if k.startswith("head.")) == problem.n_head


def test_diverging_training_fails_with_a_reason() -> None:
    problem = toy_problem(replace(RECIPE, tuner_lr=float("nan")))
    with pytest.raises(TrainingFailed, match="not a number in epoch 1"):
        list(problem.start(DESIGN).rungs())
    assert list(toy_problem().start(DESIGN).rungs())  # the next trial is none the worse


def leave_room_for(images: int, monkeypatch: pytest.MonkeyPatch, *, after: int = 0) -> None:
    """A device on which more images than so many fail to be trained on, from a number of forwards on."""
    loss, seen = Stepper._mixed_loss, [0]

    def short_of_memory(
        stepper: Stepper, batch: torch.Tensor, labels: torch.Tensor, others: torch.Tensor, share: float
    ) -> torch.Tensor:
        seen[0] += 1
        if len(labels) > images and seen[0] > after:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return loss(stepper, batch, labels, others, share)

    monkeypatch.setattr(Stepper, "_mixed_loss", short_of_memory)


@pytest.mark.parametrize(
    ("recipe", "after"),
    [
        (replace(SHORT, mixup=0.5, ema=0.5, batch_size=15), 0),
        (SHORT, 7),  # the first rung was told, and the second attempt passes it by
    ],
)
def test_a_batch_too_large_is_trained_in_halves_with_the_same_result(
    recipe: Recipe, after: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    problem = toy_problem(recipe)
    whole, halves = problem.start(DESIGN), problem.start(DESIGN)
    expected = list(whole.rungs())
    leave_room_for(8, monkeypatch, after=after)
    rungs = list(halves.rungs())
    assert [r.epoch for r in rungs] == [1, 2]
    assert [r.loss for r in rungs] == pytest.approx([r.loss for r in expected], rel=1e-3)
    for name, value in whole.state().items():
        torch.testing.assert_close(halves.state()[name], value, atol=2e-4, rtol=1e-3)
    assert halves.cost == {**whole.cost, "micro_batch": 8}
    assert "micro_batch" not in whole.cost


def test_halves_of_stored_activations_too(monkeypatch: pytest.MonkeyPatch) -> None:
    problem = replace(toy_problem(SHORT), cache=2**30)
    design = Design.parse("ffn:adapter(4)@last/2")
    whole, halves = problem.start(design), problem.start(design)
    list(whole.rungs())
    leave_room_for(8, monkeypatch)
    list(halves.rungs())
    assert halves.cost["micro_batch"] == 8
    for name, value in whole.state().items():
        torch.testing.assert_close(halves.state()[name], value, atol=2e-4, rtol=1e-3)


def test_out_of_memory_with_half_a_batch_too_is_a_reason_not_a_crash(
    problem: Problem, monkeypatch: pytest.MonkeyPatch
) -> None:
    leave_room_for(7, monkeypatch)
    with pytest.raises(TrainingFailed, match="out of memory on cpu, also with half the micro-batch"):
        list(problem.start(DESIGN).rungs())


def test_another_error_is_no_want_of_memory(problem: Problem, monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(*_: object) -> None:
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    monkeypatch.setattr(Stepper, "step", wrong)
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        list(problem.start(DESIGN).rungs())


def test_floor_is_a_linear_probe(problem: Problem) -> None:
    assert 0.25 <= problem.floor <= 1.0
    assert problem.floor == problem.floor


def test_settings_are_plain_and_name_what_made_a_study(problem: Problem) -> None:
    settings = problem.settings
    assert settings["dataset"] == {"name": "toy", "fingerprint": "toy", "classes": 4, "train": 64, "val": 40}
    assert settings["backbone"]["fingerprint"] == problem.backbone.fingerprint
    assert settings["recipe"]["epochs"] == 4
    assert "torch" in settings["versions"]


def test_order_depends_on_seed_and_epoch_alone() -> None:
    assert torch.equal(epoch_order(50, seed=3, epoch=2), epoch_order(50, seed=3, epoch=2))
    assert not torch.equal(epoch_order(50, seed=3, epoch=2), epoch_order(50, seed=3, epoch=3))
    assert sorted(epoch_order(50, seed=3, epoch=2).tolist()) == list(range(50))


def test_schedule_rises_then_falls_to_nothing() -> None:
    factors = [cosine(step, 100, 10) for step in range(101)]
    assert factors[:10] == sorted(factors[:10])
    assert factors[10:] == sorted(factors[10:], reverse=True)
    assert factors[10] == 1
    assert factors[100] == pytest.approx(0)


def test_unknown_device_is_one_line() -> None:
    with pytest.raises(UserError, match="no device 'banana' here"):
        choose_device("banana")


@pytest.mark.parametrize("cached", [False, True])
def test_a_compiled_step_learns_the_same(cached: bool) -> None:
    problem = replace(toy_problem(), cache=10**9 if cached else 0)
    design = Design.parse("qkv:lora(4)@3-5 + ffn:adapter(4)@3-5")
    plain, compiled = (list(p.start(design).rungs()) for p in (problem, replace(problem, compiler="aot_eager")))
    assert [r.loss for r in compiled] == pytest.approx([r.loss for r in plain], rel=1e-4)


def test_more_designs_than_dynamo_keeps_are_all_compiled() -> None:
    from torch._dynamo.utils import counters

    problem = replace(toy_problem(), cache=10**9, compiler="aot_eager")  # one block is left to compile
    for rank in range(1, 10):  # its limit is 8
        counters.clear()
        next(problem.start(Design.parse(f"ffn:adapter({rank})@5")).rungs())
        assert counters["stats"]["unique_graphs"], f"design {rank} was not compiled"


def test_what_cannot_be_compiled_is_told_in_a_line() -> None:
    run = replace(toy_problem(), compiler="no-such-compiler").start(DESIGN)
    with pytest.raises(TrainingFailed, match=r"leave out --compile"):
        next(run.rungs())
