"""A run that was left at a rung and goes on is the run that was never left."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from toy_problem import RECIPE, toy_problem

from utsearch.design import Design
from utsearch.training import Problem, Run
from utsearch.training.checkpoint import beside

DESIGN = Design.parse("ffn:adapter(4)@all + qkv:vera(4)@all")


@pytest.fixture(scope="module")
def problem() -> Problem:
    return toy_problem()


def leave(problem: Problem, path: Path, after: int, resume: Path | None = None) -> Run:
    """Train up to a rung, save, and leave."""
    run = problem.start(DESIGN, 3, resume=resume)
    rungs = run.rungs()
    for _ in range(after):
        next(rungs)
    run.save(path)
    rungs.close()  # type: ignore[attr-defined]
    return run


@pytest.fixture(scope="module")
def saved(problem: Problem, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("saved") / "trial-0.safetensors"
    leave(problem, path, 1)
    return path


def measured(run: Run) -> list[tuple[int, int, float, float, float]]:
    return [(r.index, r.epoch, r.top1, r.loss, r.ece) for r in run.rungs()]


@pytest.mark.parametrize("change", [{}, {"mixup": 0.4, "drop_path": 0.3, "ema": 0.9}])
@pytest.mark.parametrize("device", ["cpu", *(["cuda"] if torch.cuda.is_available() else [])])
def test_going_on_is_never_having_left(change: dict[str, object], device: str, tmp_path: Path) -> None:
    recipe = replace(RECIPE, **change)  # type: ignore[arg-type]
    problem = toy_problem(recipe, device)
    whole = problem.start(DESIGN, 3)
    expected = measured(whole)
    first, second = tmp_path / "trial-0.safetensors", tmp_path / "trial-1.safetensors"
    leave(problem, first, 1)
    leave(toy_problem(recipe, device), second, 1, resume=first)  # another process would have another network in memory
    run = problem.start(DESIGN, 3, resume=second)
    found = measured(run)
    assert run.notice == ""
    run.save(tmp_path / "trial-2.safetensors")
    assert not beside(tmp_path / "trial-2.safetensors").exists()  # there is nothing to go on with after the end
    if device == "cpu":
        assert found == expected[2:]
        assert all(torch.equal(run.state()[name], value) for name, value in whole.state().items())
    else:  # kernels that add in any order
        assert [f[3] for f in found] == pytest.approx([e[3] for e in expected[2:]], rel=1e-3)


def test_a_prefix_cache_goes_on_too(problem: Problem, tmp_path: Path) -> None:
    cached, design = replace(problem, cache=10**9), Design.parse("ffn:adapter(4)@3-5")
    whole = measured(cached.start(design, 0))
    run = cached.start(design, 0)
    rungs = run.rungs()
    next(rungs)
    rungs.close()  # type: ignore[attr-defined]
    run.save(tmp_path / "t.safetensors")  # after closing, as Pack does
    assert measured(cached.start(design, 0, resume=tmp_path / "t.safetensors")) == whole[1:]


def test_the_file_is_a_few_times_the_size_of_what_learns(problem: Problem, saved: Path) -> None:
    learning = problem.resolve(DESIGN).n_params + problem.n_head
    numbers = sum(value.numel() for value in load_file(beside(saved)).values())
    assert 3 * learning <= numbers < 3 * learning + 200  # values and two moments; a step for each tensor
    assert beside(saved).stat().st_size < 5 * 4 * learning


@pytest.mark.parametrize("harm", ["missing", "cut", "noise", "epoch", "tensor", "seed", "recipe"])
def test_what_cannot_be_gone_on_with_is_trained_from_the_start(
    problem: Problem, saved: Path, tmp_path: Path, harm: str
) -> None:
    content = beside(saved).read_bytes()
    harmed = {
        "cut": content[:-100],
        "noise": b"\0" * 1000,
        "epoch": content.replace(b'\\"epoch\\": \\"1\\"', b'\\"epoch\\": \\"x\\"'),
        "tensor": content.replace(b'"0.value"', b'"9.valuf"'),
    }
    if harm != "missing":
        beside(tmp_path / "trial.safetensors").write_bytes(harmed.get(harm, content))
    other = replace(problem, recipe=replace(RECIPE, label_smoothing=0.2)) if harm == "recipe" else problem
    run = other.start(DESIGN, 4 if harm == "seed" else 3, resume=tmp_path / "trial.safetensors")
    first = next(run.rungs())
    assert first.index == 0
    assert run.notice.startswith("trained from the start: ")
    assert "\n" not in run.notice
    if harm not in ("seed", "recipe"):
        assert content != harmed.get(harm)
