"""The check that every tuner tensor learns."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

import utsearch.forms
from utsearch.backbones import Backbone, Operation, Tuner
from utsearch.tuning import dead_parameters, known_designs


class Zeroed(Tuner):
    """An adapter with both projections zero: each has a gradient of zero for ever; only the last bias learns."""

    name, summary, source, sites = "zeroed", "OP(x) + φ(x·0)·0 + b", "VPT's published adapter rows", ("ffn",)

    def __init__(self, op: Operation) -> None:
        super().__init__()
        self.down = nn.Parameter(torch.zeros(4, op.d_in))
        self.up = nn.Parameter(torch.zeros(op.d_out, 4))
        self.bias = nn.Parameter(torch.zeros(op.d_out))

    def delta(self, x: Tensor) -> Tensor:
        return (x @ self.down.T).relu() @ self.up.T + self.bias

    @classmethod
    def num_params(cls, op: Operation, rank: int = 0, **options: Any) -> int:
        return 4 * (op.d_in + op.d_out) + op.d_out


def test_tensors_that_never_learn_are_named(backbone: Backbone, monkeypatch: pytest.MonkeyPatch) -> None:
    forms = (*utsearch.forms.catalogue().values(), Zeroed)
    monkeypatch.setattr(utsearch.forms, "_forms", lambda: forms)
    assert dead_parameters(backbone, "ffn:zeroed@1 + mha:lora(2)") == [
        "blocks.1.mlp.zeroed.down",
        "blocks.1.mlp.zeroed.up",
    ]


def test_two_steps_are_too_few_for_no_form(backbone: Backbone) -> None:
    assert dead_parameters(backbone, "mha:lora(2)", steps=1) == [f"blocks.{i}.attn.lora.down" for i in range(4)]
    assert dead_parameters(backbone, "mha:lora(2)", steps=2) == []


@pytest.mark.parametrize("known", known_designs(), ids=lambda known: known.name)
def test_every_known_design_learns(backbone: Backbone, images: Tensor, known: Any) -> None:
    logits = backbone.model(images)
    assert dead_parameters(backbone, known.design) == []
    assert torch.equal(backbone.model(images), logits)


def test_features_of_any_size_leave_a_slope(backbone: Backbone) -> None:
    """Large features would make the loss exactly zero, and what is alive look dead."""
    backbone.model.norm.weight.data *= 1e4
    assert dead_parameters(backbone, "mha|ffn:adapter(4, init=zero)", images=2) == []
