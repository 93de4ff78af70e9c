"""GLoRA against its equation, written out."""

import itertools

import pytest
import torch
from torch import Tensor

from utsearch.backbones import Backbone
from utsearch.design import DesignError
from utsearch.tuning import attached, count, resolve

WEIGHT, PRODUCT, SHIFT = (
    ["lora", "vector", "constant", "none"],
    ["lora", "vector", "none"],
    ["vector", "constant", "none"],
)
PATHS = [*itertools.product(WEIGHT, WEIGHT, PRODUCT, SHIFT, SHIFT)]


def test_the_papers_number_of_choices() -> None:
    assert len(PATHS) == 432


@pytest.mark.parametrize("paths", PATHS[::13], ids="-".join)
@pytest.mark.parametrize("site", ["fc1", "v"])
def test_its_equation(backbone: Backbone, tokens: Tensor, site: str, paths: tuple[str, ...]) -> None:
    options = ", ".join(f"{key}={value}" for key, value in zip("abcde", paths, strict=True))
    if set(paths) == {"none"}:
        pytest.skip("refused")
    with attached(backbone, f"{site}:glora(2, {options})@1") as tuned:
        state = {name.partition("glora.")[2]: value for name, value in tuned.state_dict().items()}
        for value in state.values():
            value += torch.randn_like(value)

        def path(name: str) -> Tensor:
            if f"{name}.up" in state:
                return state[f"{name}.up"] @ state[f"{name}.down"]
            return state.get(f"{name}.value", torch.zeros(1, 1, dtype=tokens.dtype, device=tokens.device))

        op = backbone.model.get_submodule(backbone.operations[site, 1].path)
        rows = slice(48, 72) if site == "v" else slice(None)
        w, b = op.weight[rows], op.bias[rows]
        expected = op.untuned(tokens).clone()
        c = path("c") if paths[2] != "none" else torch.zeros(24, 1).to(w)
        bias = b + b * path("d").view(-1) + path("e").view(-1) + (w @ c).view(-1)
        expected[..., rows] = tokens @ (w + w * path("a") + path("b")).T + bias
        torch.testing.assert_close(op(tokens), expected, rtol=0, atol=1e-10)
        sizes = {"lora": lambda rows, columns: 2 * (rows + columns), "vector": lambda rows, _: rows}
        sizes |= {"constant": lambda *_: 1, "none": lambda *_: 0}
        d_out = len(w)
        shapes = [(d_out, 24), (d_out, 24), (24, 1), (d_out, 1), (d_out, 1)]
        assert tuned.n_params == sum(sizes[kind](*shape) for kind, shape in zip(paths, shapes, strict=True))


def test_nothing_to_learn_is_refused(backbone: Backbone) -> None:
    with pytest.raises(DesignError, match="nothing is left to learn"):
        resolve("fc1:glora(2, a=none, b=none, c=none, d=none, e=none)", backbone)


def test_alone_b_is_lora_and_e_is_bitfit(backbone: Backbone) -> None:
    assert count("linears:glora(4, a=none, c=none, d=none, e=none)", backbone) == count("linears:lora(4)", backbone)
    assert count("linears:glora(4, a=none, b=none, c=none, d=none)", backbone) == count("linears:bias", backbone)
