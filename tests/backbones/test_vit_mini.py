"""The backbone that ships: small, plain timm, pretrained."""

import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from timm.models import VisionTransformer

from utsearch.backbones.vit_mini import WEIGHTS, vit_mini


@pytest.fixture(scope="module")
def model() -> VisionTransformer:
    return vit_mini().eval()


def test_weights_are_small_and_in_half_precision() -> None:
    assert WEIGHTS.stat().st_size < 5_000_000
    with safe_open(WEIGHTS, framework="pt") as file:
        names = set(file.keys())
        assert {file.get_tensor(name).dtype for name in names} == {torch.float16}
    assert not any(name.startswith("head") for name in names)


def test_weights_say_what_made_them() -> None:
    with safe_open(WEIGHTS, framework="pt") as file:
        made_by = file.metadata()
    assert made_by["version"]
    assert made_by["made_by"] == "tools/pretrain_vit_mini.py"
    assert json.loads(made_by["log"])["step"] > 0


def test_is_a_plain_timm_vision_transformer(model: VisionTransformer) -> None:
    assert type(model) is VisionTransformer
    assert model.num_classes == 0
    assert 6 <= len(model.blocks) <= 8
    assert 96 <= model.embed_dim <= 128


@torch.no_grad()
def test_features_are_finite_and_differ_between_images(model: VisionTransformer) -> None:
    features = model(torch.randn(4, 3, 64, 64, generator=torch.Generator().manual_seed(0)))
    assert features.shape == (4, model.num_features)
    assert features.isfinite().all()
    assert features.std(0).mean() > 1e-3


def test_pretrained_is_not_the_initialisation(model: VisionTransformer) -> None:
    torch.manual_seed(0)
    fresh = vit_mini(pretrained=False)
    assert fresh.state_dict().keys() == model.state_dict().keys()
    assert not torch.allclose(fresh.blocks[0].mlp.fc1.weight, model.blocks[0].mlp.fc1.weight, atol=1e-2)


def test_unpretrained_needs_no_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("utsearch.backbones.vit_mini.WEIGHTS", tmp_path / "missing.safetensors")
    assert vit_mini(pretrained=False).num_classes == 0
