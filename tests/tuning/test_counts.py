"""Parameters of ViT-B/16, as published, from the design alone and as built."""

import pytest
import timm
import torch

from utsearch.backbones import Backbone
from utsearch.tuning import attached, count, known_designs


@pytest.fixture(scope="module")
def vit_base() -> Backbone:
    with torch.device("meta"):
        return Backbone("vit_base", "none", timm.create_model("vit_base_patch16_224", num_classes=0), 224)


@pytest.mark.parametrize(
    ("design", "published"),
    [
        ("linear", 0),
        ("qkv:lora(8)", 294_912),
        ("qkv:lora(1)", 36_864),
        ("k|v|fc2:ia3", 55_296),
        ("linears|norms|stem|tail:ssf", 205_824),
        ("mha|ffn:adapter(16)", 608_640),
        ("mha|ffn:adapter(4)", 165_984),
        ("ffn:adapter(16, insert=parallel)", 304_320),
        ("mha:prompt(5)", 46_080),
        ("ffn:adapter(8)", 156_768),
        ("block:adapter(8, scaling=channel)", 165_984),
        ("mha:prefix(10)", 184_320),
        ("linears|norms|stem|tail:bias", 102_912),
        ("norms|tail:norm", 38_400),
        ("linears|stem:bias + norms|tail:norm + mha|ffn:gamma", 140_544),
        ("mha|ffn:repadapter(16)", 461_184),
        ("mha|ffn:convpass(8)", 327_552),
        ("linears:fact(32)", 196_608),
        ("linears:fact(32, kind=tk)", 86_528),
        ("qkv:dora(8)", 294_912 + 12 * 3 * 768),
        ("qkv:vera(256)", 12 * (3 * 768 + 256)),
        ("ffn:adapter(16, norm=true)", 304_320 + 12 * 2 * 768),
        ("ffn:adapter(64, act=relu, init=zero, insert=parallel, read=pre, scale=0.1)", 1_189_632),
    ],
)
def test_golden_counts(vit_base: Backbone, design: str, published: int) -> None:
    assert count(design, vit_base) == published
    with attached(vit_base, design) as tuned:
        assert tuned.n_params == published


@pytest.mark.parametrize("known", known_designs(), ids=lambda known: known.name)
def test_the_formula_is_the_built_count(vit_base: Backbone, known: object) -> None:
    with attached(vit_base, known.design) as tuned:  # type: ignore[attr-defined]
        assert tuned.n_params == count(known.design, vit_base)  # type: ignore[attr-defined]
