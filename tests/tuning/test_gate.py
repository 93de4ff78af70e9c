"""A gate on what one tuner changes, for every stage, written out; and UniPELT as a design."""

import pytest
import torch
from torch import Tensor

from utsearch.backbones import Backbone, Tuner
from utsearch.design import DesignError
from utsearch.tuning import attached, count, dead_parameters, resolve

FORMS = [
    "mha:prefix(3)",
    "mha:prompt(2)",
    "mha:repadapter(2)",
    "mha:lora(2)",
    "mha:lora(2, insert=sequential)",
    "mha:adapter(3, insert=parallel, read=pre)",
    "mha:ssf",
    "norm1:norm",
]


def fill(state: dict[str, Tensor]) -> None:
    """Values that follow from a tensor's name, so that the same tuner is the same with and without a gate."""
    for name, value in state.items():
        draw = torch.Generator().manual_seed(sum(map(ord, name)))
        value.copy_(0.3 * torch.randn(value.shape, generator=draw).to(value))


@pytest.mark.parametrize("kind", ["sigmoid", "scalar"])
@pytest.mark.parametrize("text", FORMS)
def test_it_multiplies_what_the_tuner_changes(backbone: Backbone, text: str, kind: str) -> None:
    backbone.model.double()
    x = torch.randn(2, 17, 24, dtype=torch.float64, device=next(backbone.model.parameters()).device)
    op = backbone.operations[text.split(":")[0], 1]
    module, block = backbone.model.get_submodule(op.path), backbone.model.blocks[1]

    def run() -> Tensor:
        return module(x) if op.site == "norm1" else module(block.norm1(x))

    frozen = run()
    read = x if op.site == "norm1" else block.norm1(x)
    with attached(backbone, f"{text}@1") as tuned, torch.no_grad():
        fill(tuned.state_dict())
        changed = run()
    gated = f"{text[:-1]}, gate={kind})" if text.endswith(")") else f"{text}(gate={kind})"
    with attached(backbone, f"{gated}@1") as tuned, torch.no_grad():
        fill(tuned.state_dict())
        g = {k.rsplit(".", 1)[1]: v for k, v in tuned.state_dict().items() if ".gate." in k}
        factor = g["bias"]
        if kind == "sigmoid":
            factor = torch.sigmoid(read @ g["weight"] + g["bias"]).mean(dim=1)[:, None, None]
        torch.testing.assert_close(run(), frozen + factor * (changed - frozen), rtol=0, atol=1e-10)


def test_unipelt_is_a_design(backbone: Backbone, images: Tensor) -> None:
    """Adapter, prefix and LoRA, each behind a gate: d + 1 values per gate more."""
    design = "mha:prefix(3, gate=sigmoid) + qkv:lora(2, gate=sigmoid) + ffn:adapter(3, gate=sigmoid)"
    plain = design.replace(", gate=sigmoid", "")
    assert count(design, backbone) == count(plain, backbone) + 4 * 3 * (24 + 1)
    assert resolve(design, backbone).digest != resolve(plain, backbone).digest
    assert str(resolve(design, backbone).design).count("gate=sigmoid") == 3
    assert dead_parameters(backbone, design) == []
    with attached(backbone, design) as tuned:
        assert tuned.n_params == resolve(design, backbone).n_params
        assert sum(isinstance(m, Tuner) and m.gate is not None for m in backbone.model.modules()) == 12


def test_designs_without_a_gate_keep_their_digest(backbone: Backbone) -> None:
    assert resolve("mha:lora(2, gate=none)", backbone).digest == resolve("mha:lora(2)", backbone).digest
    assert resolve("mha:prefix(3) + ffn:adapter(4, act=relu)@0", backbone).digest == DIGEST


DIGEST = "b1a39d6250069f3a"  # as studies of earlier versions stored it


def test_the_stem_reads_no_tokens(backbone: Backbone) -> None:
    with pytest.raises(DesignError, match="gate=sigmoid reads tokens, and the stem reads an image"):
        resolve("stem:ssf(gate=sigmoid)", backbone)
    assert dead_parameters(backbone, "stem:ssf(gate=scalar)") == []
