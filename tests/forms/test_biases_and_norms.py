"""BitFit, LN-tune and DiffFit against the modules' own parameters, moved."""

import copy

import pytest
import torch
from torch import Tensor

from utsearch.backbones import Backbone
from utsearch.design import DesignError
from utsearch.tuning import attached, resolve


def moved(backbone: Backbone, state: dict[str, Tensor]) -> torch.nn.Module:
    """A copy of the bare network whose own parameters take what the tuners learnt."""
    model = copy.deepcopy(backbone.model)
    for name, value in sorted(state.items(), key=lambda item: "gamma" in item[0]):  # factors reach the moved biases
        path, form, part = name.rsplit(".", 2)
        module = model.get_submodule(path)
        module = getattr(module, "proj", module) if path == "patch_embed" else module
        if form == "gamma":
            last = module.proj if hasattr(module, "proj") else module.fc2
            last.weight.data *= value[:, None]
            last.bias.data *= value
        else:
            (module.weight if part == "scale" else module.bias).data += value
    return model


@pytest.mark.parametrize(
    "design", ["linears|norms|stem|tail:bias", "norms|tail:norm", "linears|stem:bias + norms|tail:norm + mha|ffn:gamma"]
)
def test_the_network_with_its_own_parameters_moved(backbone: Backbone, images: Tensor, design: str) -> None:
    bare = copy.deepcopy(backbone)
    with attached(backbone, design) as tuned:
        for value in tuned.state_dict().values():
            value.add_(0.1 * torch.randn_like(value))
        expected = moved(bare, tuned.state_dict())(images)
        assert not torch.allclose(bare.model(images), expected)
        torch.testing.assert_close(backbone.model(images), expected, rtol=0, atol=1e-10)


def test_where_there_is_no_bias(build: object) -> None:
    backbone = build(proj_bias=False)  # type: ignore[operator]
    with pytest.raises(DesignError, match="bias cannot stand at the proj of block 0: it has no bias"):
        resolve("linears:bias", backbone)


def test_only_norms_it_knows(build: object) -> None:
    with pytest.raises(DesignError, match=r"it knows only LayerNorm, here it is timm\.layers\.norm\.RmsNorm"):
        resolve("norm1:norm", build(norm_layer="rmsnorm"))  # type: ignore[operator]
