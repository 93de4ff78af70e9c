"""Merged networks against tuned ones: the same logits, from plain timm modules where everything folds."""

import pytest
import torch
from torch import Tensor

from utsearch.backbones import Backbone, Tuner
from utsearch.tuning import attached, largest_difference, merge


def randomise(values: dict[str, Tensor]) -> None:
    draw = torch.Generator().manual_seed(3)
    for value in values.values():
        value += 0.2 * torch.randn(value.shape, generator=draw).to(value)


def classes(model: torch.nn.Module) -> list[type]:
    return [type(module) for module in model.modules()]


@pytest.mark.parametrize(
    "design",
    [
        "linears:lora(4)",
        "linears|norms|stem|tail:ssf",
        "mha|ffn:ssf + fc2:lora(2) + proj:ssf",
        "linears:lora(4) + linears:lora(2, insert=sequential) + linears|norms|stem|tail:ssf + mha|ffn:ssf",
        "mha|ffn:lora(3, insert=sequential)@1-2",
        "k|v|fc2:ia3 + qkv|q|v:lora(2) + qkv|k:ssf + fc2:lora(2, rank_stabilised=true)",
        "linears|norms|stem|tail:bias + mha|ffn:gamma",
        "linears:dora(3) + linears:ssf + mha|ffn:repadapter(2) + fc2:ia3",
        "proj|fc1|fc2:glora(2) + v:glora(2, d=none) + k:dora(2) + fc2:ia3 + mha:repadapter(2)",
        "qkv:lora(4, gate=scalar) + q:ssf(gate=scalar) + mha:ssf(gate=scalar) + fc1:dora(2, gate=scalar) + fc2:ia3",
        "fc2:ia3(gate=scalar) + fc2:glora(2) + norms:norm(gate=scalar) + proj:bias(gate=scalar)",
        "linears:vera(8) + linears:fact(3) + linears:fact(2, kind=tk) + qkv:bias",
        "mha|ffn:gamma + linears|stem:bias + norms|tail:norm",
        "mha|ffn|proj:repadapter(4, scale=0.7) + linears:lora(2) + norms:ssf + fc2:gamma",
    ],
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_everything_folds(backbone: Backbone, images: Tensor, design: str, dtype: torch.dtype) -> None:
    backbone.model.to(dtype)
    before = classes(backbone.model)
    bare = {name: value.clone() for name, value in backbone.model.state_dict().items()}
    with attached(backbone, design) as tuned:
        randomise(tuned.state_dict())
        merged = merge(tuned)
        assert {name for name, *_ in tuned.named_tuners()} == set(merged.folded)
        assert merged.stays == {}
        assert classes(merged.model) == before
        limit = 1e-4 if dtype == torch.float32 else 1e-12
        assert largest_difference(backbone.model, merged.model, images.to(dtype)) < limit
    assert merged.model.state_dict().keys() == bare.keys()
    assert all(torch.equal(value, bare[name]) for name, value in backbone.model.state_dict().items())
    assert largest_difference(backbone.model, merged.model, images.to(dtype)) > 1e-3


@pytest.mark.parametrize(
    ("design", "stays"),
    [
        ("qkv:lora(4) + mha:prefix(3)", {"attn.prefix": "no change of weights"}),
        (
            "mha:repadapter(2) + qkv:lora(4, gate=sigmoid)",
            {"lora": "gate", "attn.repadapter": "keeps tuners"},
        ),
        (
            "mha:repadapter(2, gate=scalar) + fc2:ia3(gate=scalar) + fc2:glora(2, gate=scalar)",
            {"attn.repadapter": "all of the mha", "ia3": "several gated", "glora": "several gated"},
        ),
        ("mha:prompt(2) + mha:repadapter(2) + block:repadapter(2)", {"prompt": "no change", "repadapter": "no single"}),
        ("mha:lora(4) + proj:lora(4)", {"attn.lora": "more than a Linear in the mha of block 0"}),
        ("mha:adapter(4) + mha:ssf", {"attn.adapter": "no change", "attn.ssf": "after adapter, which stays"}),
        ("block:lora(4, insert=sequential) + ffn:ssf", {"lora": "block of block 0 does not end with weights"}),
        ("norm1:ssf + mha:prompt(3) + mha:lora(2, insert=sequential)", {"prompt": "no change", "lora": "after prompt"}),
        (
            "norm2:ssf + ffn:adapter(4, insert=parallel, read=pre) + fc1:lora(4)",
            {"mlp.adapter": "adapter is no change of weights"},
        ),
        (
            "mha:lora(4, insert=sequential) + mha:lora(4, insert=sequential, alpha=2)",
            {"attn.lora": "several sequential", "attn.lora2": "several sequential"},
        ),
    ],
)
def test_what_cannot_be_folded_in_order_stays(
    backbone: Backbone, images: Tensor, design: str, stays: dict[str, str]
) -> None:
    backbone.model.double()
    with attached(backbone, design) as tuned:
        randomise(tuned.state_dict())
        merged = merge(tuned)
        assert largest_difference(backbone.model, merged.model, images.double()) < 1e-12
        first = {name: reason for name, reason in merged.stays.items() if name.startswith("blocks.0")}
        assert len(first) == len(stays)
        for end, reason in stays.items():
            assert any(name.endswith(end) and reason in found for name, found in first.items())
        left = [module for module in merged.model.modules() if isinstance(module, Tuner)]
        assert len(left) == len(merged.stays)
        assert len(left) + len(merged.folded) == len(list(tuned.named_tuners()))


def test_a_missing_bias_is_made(images: Tensor) -> None:
    from timm.models import VisionTransformer

    model = VisionTransformer(
        img_size=32, patch_size=8, embed_dim=24, depth=2, num_heads=3, num_classes=0, qkv_bias=False
    )
    backbone = Backbone("small", "random", model.double(), 32)
    with attached(backbone, "qkv:ssf") as tuned:
        randomise(tuned.state_dict())
        merged = merge(tuned)
        assert largest_difference(model, merged.model, images.cpu().double()) < 1e-12
    assert model.blocks[0].attn.qkv.bias is None
    assert merged.model.blocks[0].attn.qkv.bias is not None
