"""Where q, k and v are found, and that tuners there merge."""

import torch
from timm.models import VisionTransformer
from timm.models.eva import Eva

from utsearch.backbones import Backbone
from utsearch.tuning import attached, dead_parameters, largest_difference, merge

SIZES = {"img_size": 32, "patch_size": 8, "embed_dim": 24, "depth": 2, "num_heads": 3, "num_classes": 0}


def test_thirds_of_a_fused_projection() -> None:
    operations = Backbone("small", "random", VisionTransformer(**SIZES), 32).operations
    assert [operations[site, 1].span for site in ("q", "k", "v")] == [(0, 24), (24, 48), (48, 72)]
    assert {operations[site, 1].path for site in ("q", "k", "v")} == {"blocks.1.attn.qkv"}
    assert {operations[site, 1].d_out for site in ("q", "k", "v")} == {24}


def test_modules_of_their_own() -> None:
    backbone = Backbone("small", "random", Eva(**SIZES, qkv_fused=False).double(), 32)
    assert ("qkv", 0) not in backbone.operations
    assert backbone.operations["k", 1].path == "blocks.1.attn.k_proj"
    assert backbone.operations["k", 1].span is None
    design = "q|k|v:lora(2) + k|v:ssf"
    with attached(backbone, design) as tuned:
        for value in tuned.state_dict().values():
            value += 0.1 * torch.randn_like(value)
        merged = merge(tuned)
        assert merged.stays == {}
        assert largest_difference(backbone.model, merged.model, torch.randn(2, 3, 32, 32).double()) < 1e-12
    assert dead_parameters(backbone, design) == []


def test_a_fused_projection_that_is_never_called_has_none() -> None:
    backbone = Backbone("small", "random", Eva(**SIZES, qkv_fused=True), 32)
    assert not {"q", "k", "v", "qkv"} & set(backbone.sites)
