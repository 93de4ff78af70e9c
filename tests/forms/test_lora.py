"""LoRA against HF peft, and against its formula at whole operations."""

from collections.abc import Callable

import peft
import pytest
import torch
from same_as_peft import assert_same
from torch import Tensor
from torch.nn import functional as F

from utsearch.backbones import Backbone
from utsearch.tuning import attached

TARGETS = {"qkv": r".*attn\.qkv", "proj": r".*attn\.proj", "fc1": r".*fc1", "fc2": r".*fc2"}


@pytest.mark.parametrize(("dtype", "close"), [(torch.float64, 1e-10), (torch.float32, 1e-5)])
@pytest.mark.parametrize("stabilised", [False, True])
@pytest.mark.parametrize("sites", ["qkv", "proj", "fc1", "fc2", "linears"])
def test_it_is_pefts(
    build: Callable[..., Backbone], images: Tensor, sites: str, stabilised: bool, dtype: torch.dtype, close: float
) -> None:
    torch.manual_seed(0)
    backbone, twin, images = build().to(images.device), build().to(images.device), images.to(dtype)
    backbone.model.to(dtype)
    pattern = "|".join(TARGETS.values()) if sites == "linears" else TARGETS[sites]
    config = peft.LoraConfig(r=4, lora_alpha=6, target_modules=f"({pattern})", use_rslora=stabilised)
    other = peft.get_peft_model(twin.model, config).to(dtype).eval()
    theirs = {}
    with attached(backbone, f"{sites}:lora(4, alpha=6, rank_stabilised={str(stabilised).lower()})") as tuned:
        for name, value in tuned.state_dict().items():
            path, _, part = name.rpartition(".lora.")
            layer = twin.model.get_submodule(path)
            value.copy_(0.2 * torch.randn_like(value))
            theirs[name] = {"down": layer.lora_A, "up": layer.lora_B}[part]["default"].weight
            theirs[name].data.copy_(value)
        assert_same(tuned, other, images, lambda name: theirs[name], close)


@pytest.mark.parametrize("insert", ["parallel", "sequential"])
@pytest.mark.parametrize("site", ["mha", "ffn", "block", "fc1"])
def test_its_formula_at_any_operation(backbone: Backbone, tokens: Tensor, site: str, insert: str) -> None:
    with attached(backbone, f"{site}:lora(4, alpha=2, insert={insert})@1") as tuned:
        down, up = tuned.state_dict().values()
        up.copy_(torch.randn_like(up))
        op = backbone.model.get_submodule(backbone.operations[site, 1].path)
        frozen = op.untuned(tokens)
        read = tokens if insert == "parallel" else frozen
        torch.testing.assert_close(op(tokens), frozen + 0.5 * F.linear(read, up @ down), rtol=0, atol=1e-10)


def test_initial_values(backbone: Backbone) -> None:
    with attached(backbone, "fc1:lora(64)@0") as tuned:
        down, up = tuned.state_dict().values()
        assert not up.any()
        assert down.abs().max() <= 24**-0.5  # kaiming uniform with a = √5 is U(±1/√d_in)
        assert abs(float(down.std()) - (24 * 3) ** -0.5) < 0.01
