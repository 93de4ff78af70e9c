"""Prompts against prepending rows to the original block's input and running the original block."""

from collections.abc import Callable

import pytest
import torch
from timm.models.vision_transformer import ResPostBlock
from torch import Tensor

from utsearch.backbones import Backbone, BackboneError
from utsearch.tuning import attach, attached

N, LENGTH = 17, 4


def run_with_rows(backbone: Backbone, rows: dict[int, Tensor], images: Tensor) -> Tensor:
    """VPT-deep by hand: before each block put its rows in front of the class token, after it drop them."""
    model = backbone.model
    x = model._pos_embed(model.patch_embed(images))
    for index, block in enumerate(model.blocks):
        front = rows[index].expand(len(x), -1, -1) if index in rows else x[:, :0]
        x = block(torch.cat([front, x], dim=1))[:, front.shape[1] :]
    return model.forward_head(model.norm(x))


@pytest.mark.parametrize("options", [{}, {"block_fn": ResPostBlock}, {"qk_norm": True}])
@pytest.mark.parametrize("blocks", ["all", "1-2"])
def test_it_is_prepending_rows(
    build: Callable[..., Backbone], images: Tensor, options: dict[str, object], blocks: str
) -> None:
    backbone = build(**options).to(images.device)
    with attached(backbone, f"mha:prompt({LENGTH})@{blocks}", seed=5) as tuned:
        tuned_logits = backbone.model(images)
        rows = {int(name.split(".")[1]): value for name, value in tuned.state_dict().items()}
    assert tuned.n_params == LENGTH * 24 * len(rows)
    torch.testing.assert_close(tuned_logits, run_with_rows(backbone, rows, images), rtol=0, atol=1e-10)
    assert (tuned_logits - backbone.model(images)).abs().max() > 1e-4


def test_its_keys_pass_the_tuned_projection_and_norm(build: Callable[..., Backbone], images: Tensor) -> None:
    """With LoRA on qkv and scale-and-shift on the norm, rows pass both, as they would in front of the block."""
    design = f"mha:prompt({LENGTH}) + qkv:lora(2) + norm1:ssf"
    with attached(backbone := build().to(images.device), design) as tuned:
        _randomise(tuned.parameters())
        logits, state = backbone.model(images), tuned.state_dict()
    rows = {int(k.split(".")[1]): v for k, v in state.items() if k.endswith("prompt.rows")}
    with attached(other := build().to(images.device), "qkv:lora(2) + norm1:ssf") as rest:
        rest.load_state_dict({k: v for k, v in state.items() if "prompt" not in k})
        torch.testing.assert_close(logits, run_with_rows(other, rows, images), rtol=0, atol=1e-10)


def test_with_a_prefix_every_row_reads_it(build: Callable[..., Backbone], images: Tensor) -> None:
    with attached(backbone := build().to(images.device), f"mha:prompt({LENGTH}) + mha:prefix(3)") as tuned:
        logits, state = backbone.model(images), tuned.state_dict()
    rows = {int(k.split(".")[1]): v for k, v in state.items() if k.endswith("prompt.rows")}
    with attached(other := build().to(images.device), "mha:prefix(3)") as rest:
        rest.load_state_dict({k: v for k, v in state.items() if "prefix" in k})
        torch.testing.assert_close(logits, run_with_rows(other, rows, images), rtol=0, atol=1e-10)


def test_a_mask_is_refused(backbone: Backbone, tokens: Tensor) -> None:
    attach(backbone, "mha:prompt(4)")
    attn = backbone.model.blocks[0].attn
    for argument in ({"attn_mask": torch.ones(N, N, dtype=torch.bool, device=tokens.device)}, {"is_causal": True}):
        with pytest.raises(BackboneError, match="mask"):
            attn(tokens, **argument)


def test_initial_values(backbone: Backbone) -> None:
    with attached(backbone, "mha:prompt(200)") as tuned:
        bound = (6 / (3 * 8 * 8 + 24)) ** 0.5
        for rows in tuned.state_dict().values():
            assert rows.abs().max() <= bound
            assert abs(float(rows.std()) - bound / 3**0.5) < 0.01


def _randomise(parameters: object) -> None:
    for parameter in parameters:  # type: ignore[attr-defined]
        parameter.data += 0.1 * torch.randn_like(parameter)
