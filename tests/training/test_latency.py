"""The latency of a design beside the bare network's."""

import pytest
import torch

from utsearch.backbones import load_backbone
from utsearch.design import Design
from utsearch.training.latency import latencies

IMAGE = torch.zeros(1, 3, 64, 64)


@pytest.mark.parametrize("text", ["linear", "qkv:lora(4)", "linears:ssf"])
def test_what_folds_into_the_weights_costs_what_the_bare_network_does(text: str) -> None:
    bare, own = latencies(load_backbone("vit_mini"), Design.parse(text), IMAGE, torch.float32)
    assert bare == own > 0


def test_what_does_not_fold_is_slower_and_the_network_is_left_alone() -> None:
    backbone = load_backbone("vit_mini")
    before = {name: value.clone() for name, value in backbone.model.state_dict().items()}
    bare, own = latencies(backbone, Design.parse("mha|ffn|block:adapter(64)"), IMAGE, torch.float32)
    assert 1 < own / bare < 10
    after = backbone.model.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(value, after[name]) for name, value in before.items())
