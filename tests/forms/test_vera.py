"""VeRA against HF peft, and what its tuners share."""

from collections.abc import Callable

import peft
import pytest
import torch
from same_as_peft import assert_same
from torch import Tensor

from utsearch.backbones import Backbone
from utsearch.tuning import attached


@pytest.mark.parametrize(("dtype", "close"), [(torch.float64, 1e-10), (torch.float32, 1e-5)])
@pytest.mark.parametrize(("sites", "pattern"), [("qkv", r".*attn\.qkv"), ("linears", r".*(attn\.(qkv|proj)|fc1|fc2)")])
def test_it_is_pefts(
    build: Callable[..., Backbone], images: Tensor, sites: str, pattern: str, dtype: torch.dtype, close: float
) -> None:
    torch.manual_seed(0)
    backbone, twin, images = build().to(images.device), build().to(images.device), images.to(dtype)
    backbone.model.to(dtype)
    config = peft.VeraConfig(r=16, target_modules=pattern, d_initial=0.1)
    other = peft.get_peft_model(twin.model.to(dtype), config).to(dtype).eval()
    with attached(backbone, f"{sites}:vera(16)") as tuned:
        theirs = {}
        for name, value in tuned.state_dict().items():
            path, _, part = name.partition(".vera.")
            layer = twin.model.get_submodule(path)
            if part.startswith("shared."):
                kept = {"shared.a": layer.vera_A, "shared.b": layer.vera_B}[part]["default"]
                assert kept.shape == value.shape
            else:
                kept = {"inner": layer.vera_lambda_d, "outer": layer.vera_lambda_b}[part]["default"].data
                torch.testing.assert_close(kept, value)
                value += 0.2 * torch.randn_like(value)
                theirs[name] = {"inner": layer.vera_lambda_d, "outer": layer.vera_lambda_b}[part]["default"]
            kept.copy_(value)
        assert_same(tuned, other, images, theirs.__getitem__, close)


def test_the_pair_is_kept_once_and_neither_learnt_nor_counted(backbone: Backbone) -> None:
    with attached(backbone, "qkv|fc2:vera(8)") as tuned:
        kept = [name for name in tuned.state_dict() if "shared" in name]
        assert [name.rpartition(".")[2] for name in kept] == ["a", "b"]
        assert not any("shared" in name for name, _ in tuned.named_parameters())
        assert tuned.n_params == 3 * ((8 + 72) + (8 + 24))
