"""DoRA against HF peft."""

from collections.abc import Callable

import peft
import pytest
import torch
from same_as_peft import assert_same
from torch import Tensor

from utsearch.backbones import Backbone
from utsearch.tuning import attached


@pytest.mark.parametrize(("dtype", "close"), [(torch.float64, 1e-10), (torch.float32, 1e-5)])
@pytest.mark.parametrize(("sites", "pattern"), [("qkv", r".*attn\.qkv"), ("proj|fc1|fc2", r".*(attn\.proj|fc1|fc2)")])
def test_it_is_pefts(
    build: Callable[..., Backbone], images: Tensor, sites: str, pattern: str, dtype: torch.dtype, close: float
) -> None:
    torch.manual_seed(0)
    backbone, twin, images = build().to(images.device), build().to(images.device), images.to(dtype)
    backbone.model.to(dtype)
    config = peft.LoraConfig(r=4, lora_alpha=6, target_modules=pattern, use_dora=True)
    other = peft.get_peft_model(twin.model.to(dtype), config).eval()
    with attached(backbone, f"{sites}:dora(4, alpha=6)") as tuned:
        theirs = {}
        for name, value in tuned.named_parameters():
            path, _, part = name.rpartition(".dora.")
            layer = twin.model.get_submodule(path)
            parts = {"down": layer.lora_A, "up": layer.lora_B, "magnitude": layer.lora_magnitude_vector}
            theirs[name] = parts[part]["default"]
            if part == "magnitude":
                torch.testing.assert_close(value.data, theirs[name].weight.data)
            value.data += 0.2 * torch.randn_like(value)
            theirs[name].weight.data.copy_(value.data)
        assert_same(tuned, other, images, lambda name: theirs[name].weight, close)


def test_a_slice_of_a_fused_qkv_by_its_formula(backbone: Backbone, tokens: Tensor) -> None:
    with attached(backbone, "k:dora(2, alpha=2)@1") as tuned:
        state = {name.rpartition(".")[2]: value for name, value in tuned.state_dict().items()}
        for value in state.values():
            value += torch.randn_like(value)
        qkv = backbone.model.blocks[1].attn.qkv
        weight, bias = qkv.weight[24:48], qkv.bias[24:48]
        direction = weight + state["up"] @ state["down"]
        unit = direction / direction.square().sum(1, keepdim=True).sqrt()
        expected = qkv.untuned(tokens).clone()
        expected[..., 24:48] = tokens @ (state["magnitude"][:, None] * unit).T + bias
        torch.testing.assert_close(qkv(tokens), expected, rtol=0, atol=1e-10)
