"""A whole small problem on networks that are no ViT."""

from functools import partial
from pathlib import Path

import numpy as np
import optuna
import pytest
from PIL import Image

from utsearch.backbones import GROUPS, Backbone, load_backbone
from utsearch.design import Design
from utsearch.forms import info
from utsearch.space import load_space
from utsearch.training import Problem, Recipe, open_problem, problem
from utsearch.tuning import resolve


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two classes of noisy images, red and blue, that the split cuts into train and validation."""
    root, draw = tmp_path_factory.mktemp("images"), np.random.default_rng(0)
    for split, n in (("train", 8), ("val", 4)):
        for channel, name in ((0, "red"), (2, "blue")):
            (root / split / name).mkdir(parents=True)
            for number in range(n):
                pixels = draw.integers(0, 120, (64, 64, 3), dtype=np.uint8)
                pixels[..., channel] += 100
                Image.fromarray(pixels).save(root / split / name / f"{number}.png")
    return root


def opened(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Problem:
    """`open_problem` with random weights: nothing may be downloaded here."""
    monkeypatch.setattr(problem, "load_backbone", partial(load_backbone, pretrained=False, img_size=64))
    return open_problem(str(folder), name, recipe=Recipe(epochs=2, rungs=(1, 2), views=1, batch_size=8), device="cpu")


@pytest.mark.parametrize("name", ["test_convnext", "swin_tiny_patch4_window7_224"])
def test_a_design_is_trained(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = opened(name, folder, monkeypatch)
    last = found.backbone.depth - 1
    rungs = list(found.start(Design.parse(f"block:adapter(2)@{last} + ffn:lora(2)@{last}")).rungs())
    assert rungs[-1].last
    assert 0 <= rungs[-1].top1 <= 1
    assert found.settings["backbone"]["fingerprint"] == found.backbone.fingerprint


@pytest.fixture(scope="module", params=["test_convnext", "resnet26"])
def convolutional(request: pytest.FixtureRequest) -> Backbone:
    return load_backbone(request.param, pretrained=False, img_size=64)


def test_every_design_of_the_space_conv_fits(convolutional: Backbone) -> None:
    space = load_space("conv", info(), {*convolutional.sites, *GROUPS})
    examples = [design for _, _, design in space.examples()]
    assert len(examples) == 10
    assert all(resolve(design, convolutional).n_params > 0 for design in examples)
    sampler = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    for _ in range(20):
        resolve(space.suggest(sampler.ask(), convolutional.depth), convolutional)
