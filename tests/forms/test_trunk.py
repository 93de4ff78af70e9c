"""Tuners of the whole trunk: shallow prompts, and side networks that keep the gradient out of the backbone."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from utsearch.backbones import Backbone
from utsearch.design import DesignError
from utsearch.tuning import attached, count, resolve

SIDES = ["trunk:bypass(3)", "trunk:ladder(4, heads=2)"]


def fill(state: dict[str, Tensor]) -> dict[str, Tensor]:
    for value in state.values():
        value.copy_(0.5 * torch.randn_like(value))
    return {name.split(".", 2)[2]: value for name, value in state.items()}


@pytest.mark.parametrize("pool", ["token", "avg"])
def test_shallow_prompts_as_in_the_paper(build: object, device: str, images: Tensor, pool: str) -> None:
    """[class token, prompts, patches] through all blocks; the head reads as if there were no prompts."""
    backbone = build(global_pool=pool, fc_norm=False).to(device)  # type: ignore[operator]
    model = backbone.model
    x = model._pos_embed(model.patch_embed(images))
    with attached(backbone, "trunk:prompt(5)") as tuned:
        rows = fill(tuned.state_dict())["rows"]
        ours = model(images)
    x = torch.cat([x[:, :1], rows.expand(len(x), -1, -1), x[:, 1:]], dim=1)
    for block in model.blocks:
        x = block(x)
    x = model.norm(x)
    expected = x[:, 0] if pool == "token" else x[:, 6:].mean(dim=1)
    torch.testing.assert_close(ours, expected, rtol=0, atol=1e-10)


def trunk_states(model: nn.Module, images: Tensor) -> list[Tensor]:
    states = [model._pos_embed(model.patch_embed(images))]  # type: ignore[operator]
    for block in model.blocks:  # type: ignore[union-attr]
        states.append(block(states[-1]))
    return states


def test_bypass_written_out(backbone: Backbone, images: Tensor) -> None:
    states = trunk_states(backbone.model, images)
    with attached(backbone, SIDES[0]) as tuned:
        w = fill(tuned.state_dict())
        ours = backbone.model.forward_features(images)

    def bottleneck(name: str, x: Tensor) -> Tensor:
        h = F.gelu(x @ w[f"{name}.0.weight"].T + w[f"{name}.0.bias"])
        return h @ w[f"{name}.2.weight"].T + w[f"{name}.2.bias"]

    side = states[0]
    for i in range(3):
        share = torch.sigmoid(w["gates"][i])
        side = share * bottleneck(f"across.{i}", states[i + 1]) + (1 - share) * bottleneck(f"along.{i}", side)
    torch.testing.assert_close(ours, backbone.model.norm(states[-1] + side), rtol=0, atol=1e-10)


def test_ladder_written_out(backbone: Backbone, images: Tensor) -> None:
    """Its blocks as torch's own encoder layers."""
    states = trunk_states(backbone.model, images)
    with attached(backbone, SIDES[1]) as tuned:
        w = fill(tuned.state_dict())
        ours = backbone.model.forward_features(images)
    side = states[0] @ w["down.0.weight"].T + w["down.0.bias"]
    names = {"norm1": "norm1", "norm2": "norm2", "proj": "self_attn.out_proj", "ffn.0": "linear1", "ffn.2": "linear2"}
    for i in range(3):
        share = torch.sigmoid(w["gates"][i] / 0.1)
        side = share * (states[i + 1] @ w[f"down.{i + 1}.weight"].T + w[f"down.{i + 1}.bias"]) + (1 - share) * side
        layer = nn.TransformerEncoderLayer(
            4, 2, 16, dropout=0.0, activation="gelu", batch_first=True, norm_first=True, dtype=torch.float64
        ).to(images.device)
        own = {f"{theirs}.{p}": w[f"blocks.{i}.{us}.{p}"] for us, theirs in names.items() for p in ("weight", "bias")}
        own |= {f"self_attn.in_proj_{p}": w[f"blocks.{i}.qkv.{p}"] for p in ("weight", "bias")}
        layer.load_state_dict(own)
        side = layer(side)
    side = F.layer_norm(side, (4,), w["norm.weight"], w["norm.bias"]) @ w["up.weight"].T + w["up.bias"]
    torch.testing.assert_close(ours, backbone.model.norm(states[-1] + side), rtol=0, atol=1e-10)


@pytest.mark.parametrize("design", SIDES)
def test_no_gradient_enters_the_backbone(backbone: Backbone, images: Tensor, design: str) -> None:
    """No activation of a frozen block requires a gradient, and no node of the graph holds a frozen parameter."""
    model, seen = backbone.model, []
    with attached(backbone, design) as tuned:
        inside = [m for block in model.blocks for m in block.modules()]
        hooks = [m.register_forward_hook(lambda _, args, y: seen.append(y.requires_grad)) for m in inside]
        loss = model(images).square().sum()
        for hook in hooks:
            hook.remove()
        assert len(seen) > 3 * 10
        assert not any(seen)
        loss.backward()
        assert all(p.grad is None for name, p in model.named_parameters() if "tuners" not in name)
        assert any(p.grad is not None for p in tuned.parameters())


@pytest.mark.parametrize("other", ["ffn:adapter(2)", "stem:ssf", "trunk:prompt(2)"])
def test_nothing_that_could_not_learn_beside_it(backbone: Backbone, other: str) -> None:
    with pytest.raises(DesignError, match=r"bypass lets no gradient into the backbone: .* could not learn"):
        resolve(f"{other} + trunk:bypass(2)", backbone)
    assert count("trunk:bypass(2) + tail:ssf", backbone) == count("trunk:bypass(2)", backbone) + 48


def test_the_heads_of_a_ladder_divide_its_width(backbone: Backbone) -> None:
    with pytest.raises(DesignError, match="heads must divide its width 4, got 3"):
        resolve("trunk:ladder(4, heads=3)", backbone)


@pytest.mark.parametrize("design", [*SIDES, "trunk:prompt(2)"])
def test_it_compiles_whole(backbone: Backbone, images: Tensor, design: str) -> None:
    with attached(backbone, design):
        compiled = torch.compile(backbone.model, fullgraph=True, backend="aot_eager")
        torch.testing.assert_close(compiled(images), backbone.model(images), rtol=0, atol=1e-10)
        assert len(backbone.model.blocks) == len(list(backbone.model.blocks)) == 3
