"""What the options of a recipe do to training: mixup, moving average, drop path, precision; and what a design costs."""

from dataclasses import replace

import pytest
import torch
from torch.nn import functional as F
from toy_problem import DESIGN, RECIPE, toy_problem

from utsearch.data import normalise
from utsearch.design import Design
from utsearch.forms.adapter import Adapter
from utsearch.forms.lora import LoRA
from utsearch.training import Problem, Recipe
from utsearch.training.stepper import Stepper, parameter_groups, precision_of
from utsearch.training.train import clone_head
from utsearch.tuning import Classifier, attached


@pytest.fixture(scope="module")
def problem() -> Problem:
    return toy_problem()


def batch_of(problem: Problem) -> tuple[torch.Tensor, torch.Tensor]:
    images = normalise(problem.material.bank[0, :8], problem.backbone.mean, problem.backbone.std)
    return images, problem.material.labels[:8]


def test_mixup_is_cross_entropy_with_mixed_labels(problem: Problem) -> None:
    images, labels = batch_of(problem)
    recipe = replace(RECIPE, mixup=0.5)
    model = Classifier(problem.backbone, clone_head(problem.first_head))
    torch.manual_seed(3)
    share = float(torch.distributions.Beta(0.5, 0.5).sample())
    targets = share * F.one_hot(labels, 4) + (1 - share) * F.one_hot(labels, 4).flip(0)
    logits = model(share * images + (1 - share) * images.flip(0))
    expected = F.cross_entropy(logits, targets, label_smoothing=recipe.label_smoothing)
    torch.manual_seed(3)
    loss = Stepper(model, recipe, 64, torch.float32).loss(images, labels)
    torch.testing.assert_close(loss, expected)


def test_moving_average_is_what_is_kept_and_the_last_values_go_on(problem: Problem) -> None:
    images, labels = batch_of(problem)
    model = Classifier(problem.backbone, clone_head(problem.first_head))
    stepper = Stepper(model, replace(RECIPE, ema=0.75), 64, torch.float32)
    expected = model.head.bias.detach().clone()
    for _ in range(3):
        stepper.step(images.__getitem__, torch.arange(len(images)), labels)
        expected = 0.75 * expected + 0.25 * model.head.bias.detach()
    last = model.head.bias.detach().clone()
    with stepper.averaged():
        torch.testing.assert_close(model.head.bias.detach(), expected)
    assert torch.equal(model.head.bias.detach(), last)


def test_drop_path_leaves_terms_out_for_whole_images_and_only_in_training(problem: Problem) -> None:
    images, _ = batch_of(problem)
    torch.manual_seed(0)
    with attached(problem.backbone, DESIGN, drop_path=1 - 1e-6) as tuned:
        for parameter in tuned.parameters():
            torch.nn.init.normal_(parameter)
        model = Classifier(problem.backbone, clone_head(problem.first_head), tuned)
        changed = model.eval()(images)
        dropped = model.train()(images)
    bare = Classifier(problem.backbone, clone_head(problem.first_head))(images)
    torch.testing.assert_close(dropped, bare)
    assert not torch.allclose(changed, bare)


@pytest.mark.parametrize("change", [{"mixup": 0.4}, {"ema": 0.9}, {"drop_path": 0.3}, {"precision": "bfloat16"}])
def test_every_option_trains_and_repeats_itself(problem: Problem, change: dict[str, object]) -> None:
    recipe: Recipe = replace(RECIPE, **change)
    other = replace(problem, recipe=recipe)

    def losses() -> list[float]:
        torch.rand(7)  # what the process drew before makes no difference
        return [rung.loss for rung in other.start(DESIGN).rungs()]

    first = losses()
    assert first == losses()
    assert first != [rung.loss for rung in problem.start(DESIGN).rungs()]
    assert recipe.fingerprint != RECIPE.fingerprint


def test_training_leaves_the_global_stream_alone(problem: Problem) -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    list(problem.start(DESIGN).rungs())
    assert torch.equal(torch.rand(3), expected)


def test_precision_by_device() -> None:
    assert precision_of(Recipe(), torch.device("cpu")) is torch.float32
    assert precision_of(replace(Recipe(), precision="bfloat16"), torch.device("cpu")) is torch.bfloat16


def test_flops_are_the_closed_formula_of_a_vit(problem: Problem) -> None:
    run = problem.start(Design())
    next(rungs := run.rungs())
    rungs.close()
    n, d, classes = 65, 96, 4
    block = 2 * n * d * (3 * d + d + 4 * d + 4 * d) + 4 * n * n * d  # linears, then scores and their product with V
    assert run.cost["flops"] == 6 * block + 2 * 64 * 192 * d + 2 * d * classes


def test_flops_of_a_tuner_that_hands_a_parameter_to_a_frozen_module(problem: Problem) -> None:
    run = problem.start(Design.parse("mha:prompt(2)@all"))
    next(rungs := run.rungs())
    rungs.close()
    assert run.cost["flops"] > 0


@pytest.mark.parametrize(("design", "folds"), [("linear", 1), ("qkv:lora(2)", 1), ("qkv:lora(2) + mha:prefix(2)", 0)])
def test_a_run_says_whether_it_merges(problem: Problem, design: str, folds: int) -> None:
    run = problem.start(Design.parse(design))
    next(rungs := run.rungs())
    rungs.close()
    assert run.cost["mergeable"] == folds


def test_training_memory_knows_where_the_tuners_stand(problem: Problem) -> None:
    def memory(text: str) -> float:
        run = problem.start(Design.parse(text))
        next(rungs := run.rungs())
        rungs.close()
        return run.cost["memory"]

    assert memory("linear") < memory("ffn:adapter(4)@5") < memory("ffn:adapter(4)@3-5") < memory("ffn:adapter(4)@all")


def test_every_form_learns_at_its_own_rate(problem: Problem, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LoRA, "rate", 0.25)
    with attached(problem.backbone, "qkv:lora(2) + ffn:adapter(2)") as tuned:
        model = Classifier(problem.backbone, clone_head(problem.first_head), tuned)
        groups = parameter_groups(model, RECIPE)
        rate_of = {p: group["lr"] for group in groups for p in group["params"]}
        for name, parameter in tuned.named_parameters():
            assert rate_of[parameter] == RECIPE.tuner_lr * (0.25 if ".lora." in name else Adapter.rate)
            decay = next(g["weight_decay"] for g in groups if any(p is parameter for p in g["params"]))
            assert (decay > 0) == (parameter.ndim >= 2)
        assert rate_of[model.head.weight] == RECIPE.head_lr
        assert len(rate_of) == sum(len(group["params"]) for group in groups)
    assert problem.settings["recipe"]["form_rates"]["lora"] == 0.25
