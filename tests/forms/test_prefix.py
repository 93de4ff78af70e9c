"""Prefix as concatenated attention against its λ form, written out."""

from collections.abc import Callable

import pytest
import torch
from timm.layers import Attention
from torch import Tensor, nn

from utsearch.backbones import Backbone, BackboneError
from utsearch.design import DesignError
from utsearch.tuning import attached, resolve

LENGTH = 5


def lambda_form(attn: Attention, keys: Tensor, values: Tensor, x: Tensor, mask: Tensor | None = None) -> Tensor:
    """(1-λ)·Attn(Q, K, V) + λ·Attn(Q, Kp, Vp), λ = sigmoid(LSE_prefix − LSE_frozen), per query and head."""
    batch, n, _ = x.shape
    heads, width = attn.num_heads, attn.head_dim
    q, k, v = attn.qkv(x).reshape(batch, n, 3, heads, width).permute(2, 0, 3, 1, 4)
    q, k = attn.q_norm(q) * attn.scale, attn.k_norm(k)
    k_p = keys.reshape(LENGTH, heads, width).transpose(0, 1)  # (heads, length, width)
    v_p = values.reshape(LENGTH, heads, width).transpose(0, 1)
    frozen, prefix = q @ k.transpose(-2, -1), q @ k_p.transpose(-2, -1)
    if mask is not None:
        frozen = frozen + mask
    lam = torch.sigmoid(prefix.logsumexp(-1) - frozen.logsumexp(-1))[..., None]  # (batch, heads, tokens, 1)
    y = (1 - lam) * (frozen.softmax(-1) @ v) + lam * (prefix.softmax(-1) @ v_p)
    y = attn.norm(y.transpose(1, 2).reshape(batch, n, heads * width))
    if getattr(attn, "gate", None) is not None:
        y = y * attn.gate(x).sigmoid()
    return attn.proj(y)


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("options", [{}, {"qk_norm": True}, {"scale_attn_norm": True}])
def test_it_is_the_lambda_form(
    build: Callable[..., Backbone], tokens: Tensor, options: dict[str, bool], fused: bool
) -> None:
    backbone = build(**options).to(tokens.device)
    with attached(backbone, f"mha:prefix({LENGTH})", seed=3) as tuned:
        attn, state = backbone.model.blocks[1].attn, tuned.state_dict()
        attn.fused_attn = fused
        expected = lambda_form(attn, state["blocks.1.attn.prefix.keys"], state["blocks.1.attn.prefix.values"], tokens)
        torch.testing.assert_close(attn(tokens), expected, rtol=0, atol=1e-10)
        assert (attn(tokens) - attn.untuned(tokens)).abs().max() > 1e-2


@pytest.mark.parametrize("fused", [True, False])
def test_a_mask_never_hides_the_prefix(backbone: Backbone, tokens: Tensor, fused: bool) -> None:
    with attached(backbone, f"mha:prefix({LENGTH})") as tuned:
        attn, state = backbone.model.blocks[0].attn, tuned.state_dict()
        attn.fused_attn = fused
        seen = torch.rand(17, 17, device=tokens.device) < 0.5
        additive = torch.zeros_like(seen, dtype=tokens.dtype).masked_fill(~seen, float("-inf"))
        keys, values = state["blocks.0.attn.prefix.keys"], state["blocks.0.attn.prefix.values"]
        expected = lambda_form(attn, keys, values, tokens, torch.where(seen, 0.0, -1e9).to(tokens.dtype))
        for mask in (seen, additive):
            torch.testing.assert_close(attn(tokens, attn_mask=mask), expected, rtol=0, atol=1e-8)
        with pytest.raises(BackboneError, match="causal"):
            attn(tokens, is_causal=True)


def test_a_gated_attention(tokens: Tensor, build: Callable[..., Backbone]) -> None:
    try:
        gated = Attention(24, num_heads=3, qkv_bias=True, gated=True).double().to(tokens.device)
    except TypeError:
        pytest.skip("this timm has no gated attention")
    backbone = build().to(tokens.device)
    backbone.model.blocks[0].attn = gated
    with attached(backbone, f"mha:prefix({LENGTH})@0") as tuned:
        keys, values = tuned.state_dict().values()
        torch.testing.assert_close(gated(tokens), lambda_form(gated, keys, values, tokens), rtol=0, atol=1e-10)


def test_the_share_of_the_prefix_is_its_share_of_tokens(tokens: Tensor) -> None:
    """With small keys λ ≈ l/(l+n)."""
    q, k, k_p = (torch.randn(200, 8) * 0.05, torch.randn(16, 8) * 0.05, torch.randn(4, 8) * 0.05)
    lam = torch.sigmoid((q @ k_p.T).logsumexp(-1) - (q @ k.T).logsumexp(-1))
    assert abs(float(lam.mean()) - 4 / 20) < 0.01


def test_another_attention_is_refused() -> None:
    class Other(Attention):
        pass

    from timm.models import VisionTransformer

    model = VisionTransformer(
        img_size=32, patch_size=8, embed_dim=24, depth=2, num_heads=3, num_classes=0, attn_layer=Other
    )
    with pytest.raises(DesignError, match=r"knows only timm\.layers\.attention\.Attention, here it is .*Other"):
        resolve("mha:prefix(4)", Backbone("other", "random", model, 32))


def test_initial_values(backbone: Backbone) -> None:
    with attached(backbone, "mha:prefix(200)") as tuned:
        bound = (6 / (200 + 24)) ** 0.5
        for value in tuned.state_dict().values():
            assert value.abs().max() <= bound
            assert abs(float(value.std()) - bound / 3**0.5) < 0.01


def test_dropout_of_the_attention_stays_off(build: Callable[..., Backbone], tokens: Tensor) -> None:
    backbone = build(attn_drop_rate=0.5).to(tokens.device)
    with attached(backbone, "mha:prefix(4)") as tuned:
        tuned.train()
        attn: nn.Module = backbone.model.blocks[0].attn
        assert torch.equal(attn(tokens), attn(tokens))
