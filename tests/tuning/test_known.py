"""The known designs by name."""

import pytest
from timm.models.beit import Beit

from utsearch.backbones import Backbone
from utsearch.design import Design, DesignError
from utsearch.tuning import known, known_designs, named, resolve


def test_a_search_starts_from_few_baselines(backbone: Backbone) -> None:
    baselines = known(backbone)
    assert next(iter(baselines)) == "linear"
    assert {"lora-8", "vpt-deep-10", "prefix-10", "ssf", "utuning-10"} <= set(baselines)
    assert len(baselines) <= 9


def test_each_is_said_once_in_canonical_form(backbone: Backbone) -> None:
    every = known_designs()
    assert len({one.name for one in every}) == len(every)
    assert len({resolve(one.design, backbone).digest for one in every}) == len(every)
    for one in every:
        assert resolve(one.design, backbone).design == one.design
        assert one.formula
        assert "arXiv" in one.source or one.name == "linear"


def test_designs_that_need_missing_sites_are_left_out() -> None:
    beit = Beit(img_size=32, patch_size=8, embed_dim=24, depth=2, num_heads=3, num_classes=0)
    assert set(known(Backbone("beit", "random", beit, 32))) == {
        "linear",
        "adaptformer-8",
        "adapter-plus-8",
        "ssf",
    }


def test_a_design_is_given_by_its_name_or_its_text() -> None:
    assert named("lora-8") == named("qkv:lora(8)") == Design.parse("qkv:lora(8)")
    with pytest.raises(DesignError):
        named("lora-8000")
