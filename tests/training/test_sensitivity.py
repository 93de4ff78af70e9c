"""Sensitivity: what a first step of the optimiser would do to the loss."""

from dataclasses import replace

import pytest
import torch
from torch.nn import functional as F
from toy_problem import RECIPE, toy_problem

from utsearch.data import Split
from utsearch.design import Design
from utsearch.errors import UserError
from utsearch.training import Problem
from utsearch.training.placed import placed
from utsearch.training.sensitivity import SensitivityPrior, first_step, squared
from utsearch.training.train import epoch_order
from utsearch.tuning import Resolved

TEXTS = ["ffn:adapter(4)@all", "mha:prefix(5)@3-5", "ffn:adapter(4)@all + mha:prefix(5)@3-5", "qkv:lora(2)@4"]


@pytest.fixture(scope="module")
def problem() -> Problem:
    return toy_problem()


def resolved(problem: Problem, *texts: str) -> list[Resolved]:
    return [problem.resolve(Design.parse(text)) for text in texts]


@pytest.mark.parametrize(("measure", "power"), [(first_step, 0), (squared, 1)])
@pytest.mark.parametrize("text", ["ffn:adapter(4)@all", "mha:prefix(5)@3-5"])
def test_it_is_the_slope_of_the_loss_along_the_step(problem: Problem, text: str, measure: object, power: int) -> None:
    """Central differences of the loss, in float64, along the gradient's sign (power 0) or the gradient (power 1)."""
    (design,) = resolved(problem, text)
    found = SensitivityPrior(problem, images=48, measure=measure).scores([design])[0]  # type: ignore[arg-type]
    chosen = epoch_order(64, seed=0, epoch=0)[:48]
    head = torch.nn.utils.skip_init(torch.nn.Linear, *problem.first_head.weight.shape[::-1])
    head.load_state_dict(problem.first_head.state_dict())
    with placed(problem, design.design, head) as (model, tuned, source):
        images, labels = source.batch(0, chosen), problem.material.labels[chosen]

        def loss() -> torch.Tensor:
            return F.cross_entropy(model(images).double(), labels, label_smoothing=RECIPE.label_smoothing)

        parameters = list(tuned.parameters())
        gradients = torch.autograd.grad(loss(), parameters)
        directions = [g if power else g.sign() for g in gradients]
        length = 0.02 / float(sum(d.square().sum() for d in directions).sqrt())  # type: ignore[union-attr]
        ends = []
        for sign in (1, -1):
            with torch.no_grad():
                for parameter, direction in zip(parameters, directions, strict=True):
                    parameter.add_(direction, alpha=sign * length)
                ends.append(float(loss()))
                for parameter, direction in zip(parameters, directions, strict=True):
                    parameter.sub_(direction, alpha=sign * length)
    assert found == pytest.approx((ends[0] - ends[1]) / (2 * length), rel=0.03)


def test_a_design_scores_what_its_parts_score(problem: Problem) -> None:
    adapter, prefix, both, _ = SensitivityPrior(problem).scores(resolved(problem, *TEXTS))
    assert both == pytest.approx(adapter + prefix)
    assert adapter > 0 < prefix


def test_the_prefix_cache_changes_nothing(problem: Problem) -> None:
    designs = resolved(problem, *TEXTS)
    cached = replace(problem, cache=100_000_000, cuts=(3, 4))
    assert SensitivityPrior(cached).scores(designs) == pytest.approx(SensitivityPrior(problem).scores(designs))


def test_validation_is_not_read(problem: Problem) -> None:
    blind = replace(
        problem,
        dataset=replace(
            problem.dataset,
            val=Split(torch.zeros_like(problem.dataset.val.pixels), torch.zeros_like(problem.dataset.val.labels)),
        ),
    )
    designs = resolved(problem, *TEXTS)
    assert SensitivityPrior(blind).scores(designs) == SensitivityPrior(problem).scores(designs)


def test_it_leaves_the_backbone_as_it_was_and_tells_its_progress(problem: Problem) -> None:
    before = {name: (value.clone(), value.requires_grad) for name, value in problem.backbone.model.named_parameters()}
    told: list[float] = []
    SensitivityPrior(problem).scores(resolved(problem, *TEXTS), told.append)
    assert told == pytest.approx([1 / 3, 2 / 3, 1])
    for name, value in problem.backbone.model.named_parameters():
        assert torch.equal(value, before[name][0])
        assert value.requires_grad == before[name][1]


def test_a_head_of_zeros_has_no_gradient_to_give() -> None:
    problem = toy_problem(replace(RECIPE, head_init="zero"))
    with pytest.raises(UserError, match="head_init=ridge"):
        SensitivityPrior(problem).scores(resolved(problem, TEXTS[0]))
