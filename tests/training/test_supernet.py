"""A supernet: weights shared by designs, trained one design a step."""

from dataclasses import replace

import pytest
import torch
from toy_problem import RECIPE, toy_problem

from utsearch.design import Design
from utsearch.training import Problem
from utsearch.training.supernet import SharedWeights, Supernet, SupernetPrior
from utsearch.tuning import Resolved, attached

TEXTS = ["ffn:adapter(4)@all", "ffn:adapter(2)@3-5", "mha:prefix(3)@4,5", "qkv:lora(2)@5 + ffn:ssf@5"]


@pytest.fixture(scope="module")
def problem() -> Problem:
    return toy_problem()


def resolved(problem: Problem, *texts: str) -> list[Resolved]:
    return [problem.resolve(Design.parse(text)) for text in texts]


@pytest.mark.parametrize(("text", "cache"), [(TEXTS[0], 0), (TEXTS[3], 100_000_000)])
def test_a_supernet_of_one_design_is_its_ordinary_training(problem: Problem, text: str, cache: int) -> None:
    """Same order, rates, moments and head: taking the weights in and out at every step must change nothing."""
    problem = replace(problem, cache=cache, cuts=(3, 5))
    (design,) = resolved(problem, text)
    net = Supernet(problem, [design], epochs=RECIPE.epochs)
    assert list(net.train())[-1] == 1
    *_, last = problem.start(design.design).rungs()
    losses = net.losses(design, torch.arange(40))
    assert float(losses.mean()) == pytest.approx(last.loss, rel=1e-4)


def test_a_smaller_rank_is_the_first_part_of_a_larger_one(problem: Problem) -> None:
    weights = SharedWeights()
    with attached(problem.backbone, "qkv:lora(4)@5") as large:
        weights.load(large)
        down, up = (value.clone() for value in large.state_dict().values())
    with attached(problem.backbone, "qkv:lora(2)@5", seed=7) as small:
        weights.load(small)
        assert torch.equal(small.state_dict()["blocks.5.attn.qkv.lora.down"], down[:2])
        assert torch.equal(small.state_dict()["blocks.5.attn.qkv.lora.up"], up[:, :2])


def test_a_larger_rank_keeps_what_the_smaller_one_learnt(problem: Problem) -> None:
    weights = SharedWeights()
    with attached(problem.backbone, "mha:prefix(2)@5") as small:
        weights.load(small)
        learnt = small.state_dict()["blocks.5.attn.prefix.keys"].clone()
    with attached(problem.backbone, "mha:prefix(5)@5", seed=7) as large:
        own = large.state_dict()["blocks.5.attn.prefix.keys"].clone()
        weights.load(large)
        assert torch.equal(large.state_dict()["blocks.5.attn.prefix.keys"], torch.cat([learnt, own[2:]]))


def test_a_step_changes_only_the_tensors_of_its_design(problem: Problem) -> None:
    """Of the larger rank's, the part that the smaller one has, and its moments."""
    large, small = resolved(problem, "ffn:adapter(4)@5", "ffn:adapter(2)@5")
    weights = SharedWeights()
    with attached(problem.backbone, large.design) as tuned:
        weights.load(tuned)
        before = {name: value.clone() for name, value in tuned.state_dict().items()}
    with attached(problem.backbone, small.design) as tuned:
        optimiser = torch.optim.AdamW(tuned.parameters(), lr=0.1)
        weights.load(tuned, optimiser)
        for parameter in tuned.parameters():
            parameter.grad = torch.ones_like(parameter)
        optimiser.step()
        weights.keep(tuned, optimiser)
    with attached(problem.backbone, large.design) as tuned:
        optimiser = torch.optim.AdamW(tuned.parameters(), lr=0.1)
        weights.load(tuned, optimiser)
        change = tuned.state_dict()["blocks.5.mlp.adapter.down.weight"] - before["blocks.5.mlp.adapter.down.weight"]
        moments = next(s["exp_avg"] for p, s in optimiser.state.items() if p.shape == change.shape)
    assert (change[:2] != 0).all()
    assert (change[2:] == 0).all()
    assert torch.allclose(moments[:2], torch.full_like(moments[:2], 0.1))
    assert (moments[2:] == 0).all()


def test_designs_are_scored_by_their_loss_after_shared_training(problem: Problem) -> None:
    designs = resolved(problem, *TEXTS)
    told: list[float] = []
    before = {name: value.clone() for name, value in problem.backbone.model.state_dict().items()}
    scores = SupernetPrior(problem, epochs=3, images=40).scores(designs, told.append)
    untrained = [-float(Supernet(problem, designs, epochs=1).losses(one, torch.arange(40)).mean()) for one in designs]
    assert all(after > first for after, first in zip(scores, untrained, strict=True))
    assert told == sorted(told)
    assert told[-1] == 1
    assert SupernetPrior(problem, epochs=3, images=40).scores(designs) == scores
    assert all(torch.equal(value, before[name]) for name, value in problem.backbone.model.state_dict().items())


def test_what_a_form_shares_over_blocks_is_shared_by_designs(problem: Problem) -> None:
    designs = resolved(problem, "qkv:fact(4)@all", "qkv:fact(4)@4,5", "qkv:vera(4)@5")
    assert len(SupernetPrior(problem, epochs=2, images=16).scores(designs)) == 3
