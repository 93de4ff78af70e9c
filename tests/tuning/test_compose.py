"""How several tuners of one operation combine."""

import itertools
import random

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor

from utsearch.backbones import Backbone, Layout
from utsearch.tuning import attached

SLOTS = (
    "mha:prefix(3)",
    "mha:prompt(2)",
    "mha:ssf",
    "mha:lora(2)",
    "mha:lora(2, insert=sequential)",
    "mha:adapter(3)",
    "mha:adapter(3, act=relu)",
    "mha:adapter(3, insert=parallel)",
    "mha:adapter(3, insert=parallel, read=pre)",
    "qkv:lora(2)",
    "norm1:ssf",
    "ffn:adapter(3, insert=parallel, read=pre)",
)


def logits(backbone: Backbone, slots: tuple[str, ...], images: Tensor) -> Tensor:
    """Logits after filling every tuner with values that follow from its name alone."""
    with attached(backbone, " + ".join(slots)) as tuned, torch.no_grad():
        for name, value in tuned.state_dict().items():
            draw = torch.Generator().manual_seed(sum(map(ord, name)) + value.numel())
            value.add_(0.1 * torch.randn(value.shape, generator=draw).to(value))
        return backbone.model(images)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(order=st.permutations(SLOTS), size=st.integers(2, len(SLOTS)))
def test_any_order_of_slots_gives_the_same_logits(
    backbone: Backbone, images: Tensor, order: list[str], size: int
) -> None:
    chosen = tuple(order[:size])
    again = tuple(random.Random(size).sample(chosen, size))
    assert torch.equal(logits(backbone, chosen, images), logits(backbone, again, images))


@pytest.mark.parametrize(("one", "two"), list(itertools.combinations(SLOTS[2:9], 2)))
def test_a_pair_is_what_the_stages_say(backbone: Backbone, one: str, two: str) -> None:
    """Scale(OP(x) + Σ parallel(x) + Σ sequential(OP(x) + Σ parallel(x))) from each tuner's own methods."""
    backbone.model.double()
    x = torch.randn(2, 17, 24, dtype=torch.float64, device=next(backbone.model.parameters()).device)
    with attached(backbone, f"{one}@1 + {two}@1"), torch.no_grad():
        block = backbone.model.blocks[1]
        for tuner in block.attn.tuners.children():
            for parameter in tuner.parameters():
                parameter.add_(0.1 * torch.randn_like(parameter))
        h = block.norm1(x)
        ours = block.attn(h)
        y = block.attn.untuned(h)
        stages = [list(g) for _, g in itertools.groupby(_sorted(block.attn.tuners.children()), lambda t: t.stage)]
        for tuners in stages:
            if tuners[0].stage.name == "SCALE":
                y = tuners[0].finish(y)
            elif tuners[0].stage.name == "PARALLEL":
                y = y + sum(t.delta(x if t.reads_pre else h) for t in tuners)
            else:
                y = y + sum(t.delta(y) for t in tuners)
    torch.testing.assert_close(ours, y, rtol=0, atol=1e-10)


def _sorted(tuners: object) -> list:
    return sorted(tuners, key=lambda tuner: tuner.stage)  # type: ignore[call-overload]


def test_a_layout_is_undone() -> None:
    for layout in Layout:
        x = torch.randn(2, 5, 3) if layout is Layout.NLC else torch.randn(2, 5, 4, 3)
        assert torch.equal(layout.restore(layout.channels_last(x)), x)
