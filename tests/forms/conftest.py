"""A small float64 backbone whose norms, biases and projections have no special values."""

from collections.abc import Callable

import pytest
import torch
from timm.models import VisionTransformer

from utsearch.backbones import Backbone

DEVICES = ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]


@pytest.fixture(params=DEVICES)
def device(request: pytest.FixtureRequest) -> str:
    return request.param


def make_backbone(**options: object) -> Backbone:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = VisionTransformer(
            img_size=32, patch_size=8, embed_dim=24, depth=3, num_heads=3, num_classes=0, qkv_bias=True, **options
        )
        for parameter in model.parameters():
            parameter.data += 0.2 * torch.randn_like(parameter)
    return Backbone("small", "random", model.double(), 32)


@pytest.fixture
def build() -> Callable[..., Backbone]:
    return make_backbone


@pytest.fixture
def backbone(device: str) -> Backbone:
    return make_backbone().to(device)


@pytest.fixture
def images(device: str) -> torch.Tensor:
    return torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(1), dtype=torch.float64).to(device)


@pytest.fixture
def tokens(device: str) -> torch.Tensor:
    return torch.randn(2, 17, 24, generator=torch.Generator().manual_seed(2), dtype=torch.float64).to(device)
