"""A small backbone whose norms, biases and projections have no special values."""

import pytest
import torch
from timm.models import VisionTransformer

from utsearch.backbones import Backbone

DEVICES = ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]


@pytest.fixture(params=DEVICES)
def device(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def backbone(device: str) -> Backbone:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = VisionTransformer(
            img_size=32, patch_size=8, embed_dim=24, depth=4, num_heads=3, num_classes=0, drop_path_rate=0.2
        )
        for parameter in model.parameters():
            parameter.data += 0.2 * torch.randn_like(parameter)
    return Backbone("small", "random", model, 32).to(device)


@pytest.fixture
def images(device: str) -> torch.Tensor:
    return torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(1)).to(device)
