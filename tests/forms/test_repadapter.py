"""RepAdapter against the original's grouped convolutions, and against its own fold."""

import pytest
import torch
from torch import Tensor, nn

from utsearch.backbones import Backbone
from utsearch.design import DesignError
from utsearch.tuning import attached, resolve


def filled(tuned: object) -> dict[str, Tensor]:
    state: dict[str, Tensor] = tuned.state_dict()  # type: ignore[attr-defined]
    for value in state.values():
        value.copy_(torch.randn_like(value))
    return {name.rsplit("repadapter.")[1]: value for name, value in state.items()}


def test_its_two_convolutions(backbone: Backbone, tokens: Tensor) -> None:
    """X + s·conv_B(conv_A(x)), both of width 1, B in two groups, before the attention."""
    with attached(backbone, "mha:repadapter(6, scale=0.7)@1") as tuned:
        w = filled(tuned)
        a = nn.Conv1d(24, 6, 1, dtype=torch.float64, device=tokens.device)
        b = nn.Conv1d(6, 24, 1, groups=2, dtype=torch.float64, device=tokens.device)
        a.weight.data, a.bias.data = w["down.weight"][..., None], w["down.bias"]
        b.weight.data, b.bias.data = w["up"].flatten(0, 1)[..., None], w["up_bias"]
        expected = backbone.model.blocks[1].attn.untuned(tokens + 0.7 * b(a(tokens.mT)).mT)
        torch.testing.assert_close(backbone.model.blocks[1].attn(tokens), expected, rtol=0, atol=1e-10)


def test_it_folds_into_the_linear_that_reads(backbone: Backbone, tokens: Tensor) -> None:
    with attached(backbone, "ffn:repadapter(4)@0") as tuned:
        w, mlp = filled(tuned), backbone.model.blocks[0].mlp
        a, b = w["down.weight"], torch.block_diag(*w["up"])
        fc1 = mlp.fc1
        weight = fc1.weight @ (torch.eye(24).to(a) + b @ a)
        bias = fc1.bias + fc1.weight @ (b @ w["down.bias"] + w["up_bias"])
        expected = mlp.fc2(mlp.act(tokens @ weight.T + bias))
        torch.testing.assert_close(mlp(tokens), expected, rtol=0, atol=1e-10)


def test_beside_prompt_rows_as_if_folded(backbone: Backbone, tokens: Tensor) -> None:
    """Prompt rows pass it too, since a folded one could not tell them from tokens."""
    with attached(backbone, "mha:prompt(2)@0 + mha:repadapter(4)@0") as tuned:
        for value in tuned.state_dict().values():
            value.copy_(torch.randn_like(value))
        block, state = backbone.model.blocks[0], tuned.state_dict()
        rows = block.norm1(state["blocks.0.attn.prompt.rows"][None]).expand(2, -1, -1)
        x = torch.cat([tokens, rows], dim=1)
        w = {name.rsplit("repadapter.")[1]: value for name, value in state.items() if "repadapter" in name}
        x = x + (x @ w["down.weight"].T + w["down.bias"]) @ torch.block_diag(*w["up"]).T + w["up_bias"]
        expected = block.attn.untuned(x)[:, : tokens.shape[1]]
        torch.testing.assert_close(block.attn(tokens), expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("text", ["repadapter(3)", "repadapter(5, groups=5)", "repadapter(4, groups=0)"])
def test_groups_must_divide(backbone: Backbone, text: str) -> None:
    with pytest.raises(DesignError, match="groups must divide the rank and the 24 channels"):
        resolve(f"mha:{text}", backbone)
