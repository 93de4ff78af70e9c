"""Convpass against the original form: patches as a picture, the class token as a 1×1 picture."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from utsearch.backbones import Backbone, Operation
from utsearch.design import DesignError
from utsearch.tuning import attached, resolve


def original(w: dict[str, Tensor], x: Tensor, prefix: int) -> Tensor:
    """Down, activation, 3×3 convolution of the 4×4 patches and of each other token alone, activation, up."""
    h = F.linear(x, w["down.weight"], w["down.bias"])
    h = h * torch.sigmoid(1.702 * h)
    kernel = {"weight": w["conv.weight"], "bias": w["conv.bias"], "padding": 1}
    picture = h[:, prefix : prefix + 16].reshape(len(x), 4, 4, -1).permute(0, 3, 1, 2)
    patches = F.conv2d(picture, **kernel).permute(0, 2, 3, 1).reshape(len(x), 16, -1)
    alone = [F.conv2d(h[:, i, :, None, None], **kernel).flatten(1)[:, None] for i in range(h.shape[1])]
    mixed = torch.cat([*alone[:prefix], patches, *alone[prefix + 16 :]], dim=1)
    return F.linear(mixed * torch.sigmoid(1.702 * mixed), w["up.weight"], w["up.bias"])


@pytest.mark.parametrize("site", ["mha", "ffn", "block"])
@pytest.mark.parametrize("insert", ["parallel", "sequential"])
def test_its_formula(backbone: Backbone, tokens: Tensor, site: str, insert: str) -> None:
    with attached(backbone, f"{site}:convpass(5, insert={insert}, scale=0.3)@1") as tuned:
        for value in tuned.state_dict().values():
            value.copy_(torch.randn_like(value))
        w = {name.split("convpass.")[1]: value for name, value in tuned.state_dict().items()}
        op = backbone.model.get_submodule(backbone.operations[site, 1].path)
        frozen = op.untuned(tokens)
        term = original(w, tokens if insert == "parallel" else frozen, prefix=1)
        torch.testing.assert_close(op(tokens), frozen + 0.3 * term, rtol=0, atol=1e-10)


def test_where_the_patches_lie(build: object) -> None:
    plain = build().operations["ffn", 0]  # type: ignore[operator]
    assert (plain.grid, plain.prefix_tokens) == ((4, 4), 1)
    assert (build(reg_tokens=2).operations["mha", 1].prefix_tokens) == 3  # type: ignore[operator]
    none = build(class_token=False, global_pool="avg").operations["qkv", 0]  # type: ignore[operator]
    assert isinstance(none, Operation)
    assert (none.grid, none.prefix_tokens) == ((4, 4), 0)


def test_it_never_learns_with_a_scale_of_zero(backbone: Backbone) -> None:
    with pytest.raises(DesignError, match="never learns"):
        resolve("ffn:convpass(4, scale=0)", backbone)
