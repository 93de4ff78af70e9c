"""Adapters against their formulas, written out."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from utsearch.backbones import Backbone
from utsearch.tuning import attached

ACTS = {"gelu": F.gelu, "relu": F.relu, "silu": F.silu, "none": lambda x: x}


def bottleneck(state: dict[str, Tensor], x: Tensor, act: str = "gelu") -> Tensor:
    """φ(x·Wd + bd)·Wu + bu from the only adapter in the state."""
    w = {name.split("adapter.")[1]: value for name, value in state.items()}
    return ACTS[act](x @ w["down.weight"].T + w["down.bias"]) @ w["up.weight"].T + w["up.bias"]


@pytest.mark.parametrize("act", ACTS)
@pytest.mark.parametrize("site", ["mha", "ffn", "block"])
@pytest.mark.parametrize("insert", ["sequential", "parallel"])
def test_its_formula(backbone: Backbone, tokens: Tensor, site: str, insert: str, act: str) -> None:
    with attached(backbone, f"{site}:adapter(5, insert={insert}, act={act}, scale=0.7)@1") as tuned:
        _randomise(tuned.state_dict())
        op = backbone.model.get_submodule(backbone.operations[site, 1].path)
        frozen = op.untuned(tokens)
        term = bottleneck(tuned.state_dict(), frozen if insert == "sequential" else tokens, act)
        torch.testing.assert_close(op(tokens), frozen + 0.7 * term, rtol=0, atol=1e-10)


def test_houlsby(backbone: Backbone, tokens: Tensor) -> None:
    """X + A1(MHA(LN1 x)), then the same of the FFN, each adapter with its inner skip."""
    with attached(backbone, "mha|ffn:adapter(5)@1") as tuned:
        _randomise(state := tuned.state_dict())
        block = backbone.model.blocks[1]
        a = block.attn.untuned(block.norm1(tokens))
        x = tokens + a + bottleneck({k: v for k, v in state.items() if "attn" in k}, a)
        f = block.mlp.untuned(block.norm2(x))
        expected = x + f + bottleneck({k: v for k, v in state.items() if "mlp" in k}, f)
        torch.testing.assert_close(block(tokens), expected, rtol=0, atol=1e-10)


def test_adaptformer(backbone: Backbone, tokens: Tensor) -> None:
    """x1 + FFN(LN2 x1) + 0.1·ReLU(x1·Wd)·Wu, x1 the trunk before the norm."""
    design = "ffn:adapter(5, act=relu, init=zero, insert=parallel, read=pre, scale=0.1)@1"
    with attached(backbone, design) as tuned:
        _randomise(state := tuned.state_dict())
        block = backbone.model.blocks[1]
        x = tokens + block.attn(block.norm1(tokens))
        expected = x + block.mlp.untuned(block.norm2.untuned(x)) + 0.1 * bottleneck(state, x, "relu")
        torch.testing.assert_close(block(tokens), expected, rtol=0, atol=1e-10)


def test_reading_before_the_norm_of_the_attention(backbone: Backbone, tokens: Tensor) -> None:
    """Beside a prompt, whose rows pass the same norm, and with a tuned norm."""
    design = "mha:adapter(5, insert=parallel, read=pre)@1 + mha:prompt(3)@1 + norm1:ssf@1"
    with attached(backbone, design) as tuned:
        _randomise(state := tuned.state_dict())
        block = backbone.model.blocks[1]
        ours = block.attn(block.norm1(tokens))
        adapter = {k: v for k, v in state.items() if "adapter" in k}
    with attached(backbone, "mha:prompt(3)@1 + norm1:ssf@1") as rest:
        rest.load_state_dict({k: v for k, v in state.items() if "adapter" not in k})
        theirs = block.attn(block.norm1(tokens))
    torch.testing.assert_close(ours, theirs + bottleneck(adapter, tokens), rtol=0, atol=1e-10)


def test_what_it_read_is_not_kept(backbone: Backbone, images: Tensor) -> None:
    with attached(backbone, "mha|ffn:adapter(5, insert=parallel, read=pre) + mha:prompt(3)"):
        backbone.model(images)
        norms = [module for name, module in backbone.model.named_modules() if name.endswith(("norm1", "norm2"))]
        assert all(norm.tuners._seen is None for norm in norms)


@pytest.mark.parametrize(("scaling", "shape"), [("learned", ()), ("channel", (24,))])
def test_adapter_plus_learns_its_scale(
    backbone: Backbone, tokens: Tensor, scaling: str, shape: tuple[int, ...]
) -> None:
    with attached(backbone, f"block:adapter(5, scaling={scaling}, scale=0.5)@1") as tuned:
        state = tuned.state_dict()
        scale = state["blocks.1.adapter.scale"]
        assert scale.shape == shape
        assert (scale == 0.5).all()
        _randomise(state)
        block = backbone.model.blocks[1]
        frozen = block.untuned(tokens)
        torch.testing.assert_close(block(tokens), frozen + bottleneck(state, frozen) * scale, rtol=0, atol=1e-10)


def test_a_norm_of_its_own_and_dropout(backbone: Backbone, tokens: Tensor) -> None:
    with attached(backbone, "ffn:adapter(5, insert=parallel, norm=true, dropout=0.5)@1") as tuned:
        state, mlp = tuned.state_dict(), backbone.model.blocks[1].mlp
        _randomise(state)
        w = {name.split("adapter.norm.")[1]: v for name, v in state.items() if "norm" in name}
        normed = F.layer_norm(tokens, (24,), w["weight"], w["bias"])
        expected = mlp.untuned(tokens) + bottleneck(state, normed)
        torch.testing.assert_close(mlp(tokens), expected, rtol=0, atol=1e-10)
        tuned.train()
        assert not torch.allclose(mlp(tokens), expected)


def test_initial_values(backbone: Backbone) -> None:
    with attached(backbone, "ffn:adapter(512)@0") as tuned:
        state = tuned.state_dict()
        for part in ("down", "up"):
            assert not state[f"blocks.0.mlp.adapter.{part}.bias"].any()
            weight = state[f"blocks.0.mlp.adapter.{part}.weight"]
            assert weight.abs().max() <= 0.02
            assert abs(float(weight.std()) - 0.0088) < 0.0003  # N(0, .01) cut at two deviations
    with attached(backbone, "ffn:adapter(512, init=zero)@0") as tuned:
        state = tuned.state_dict()
        assert not state["blocks.0.mlp.adapter.up.weight"].any()
        assert state["blocks.0.mlp.adapter.down.weight"].abs().max() <= 24**-0.5
        assert not state["blocks.0.mlp.adapter.down.bias"].any()


def _randomise(state: dict[str, Tensor]) -> None:
    for value in state.values():
        value.copy_(torch.randn_like(value))
