"""A tuned network under compile, export, deepcopy, pickle, autocast and gradient checkpointing."""

import copy
import pickle
from io import BytesIO

import pytest
import torch
from torch import Tensor

from utsearch.backbones import Backbone, BackboneError
from utsearch.tuning import Tuned, attached

DESIGNS = [
    "k|v|fc2:ia3 + q|v:lora(2)",
    "qkv:lora(4) + block:adapter(4)",
    "mha:prefix(3) + mha:prompt(2) + linears|norms|stem|tail:ssf",
    "ffn:adapter(4, insert=parallel, read=pre) + mha:adapter(4, insert=parallel, read=pre) + mha:prompt(2)",
    "qkv|proj:dora(2) + fc1:glora(2) + linears:fact(2) + fc2:vera(4)",
    "norms|tail:norm + linears:bias + mha|ffn:gamma(gate=sigmoid) + mha|ffn:convpass(2)",
]
TRUNK = ["trunk:bypass(2)", "trunk:ladder(4)", "trunk:prompt(2)"]


def randomise(tuned: Tuned) -> None:
    for value in tuned.state_dict().values():
        value += 0.1 * torch.randn_like(value)


@pytest.mark.parametrize("design", [*DESIGNS, *TRUNK])
def test_compile_takes_the_whole_graph(backbone: Backbone, images: Tensor, design: str) -> None:
    torch.compiler.reset()
    with attached(backbone, design) as tuned:
        randomise(tuned)
        compiled = torch.compile(backbone.model, fullgraph=True, backend="aot_eager")
        torch.testing.assert_close(compiled(images), backbone.model(images), rtol=1e-5, atol=1e-5)
        compiled(images).square().sum().backward()
        assert all(parameter.grad is not None for parameter in tuned.parameters())


@pytest.mark.parametrize("design", [*DESIGNS, *TRUNK])
def test_export(backbone: Backbone, images: Tensor, design: str) -> None:
    with attached(backbone, design) as tuned:
        randomise(tuned)
        shapes = ({0: torch.export.Dim("batch", min=1, max=64)},)
        exported = torch.export.export(backbone.model, (images,), dynamic_shapes=shapes).module()
        three = torch.cat([images, images[:1]])
        torch.testing.assert_close(exported(three), backbone.model(three), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("design", [*DESIGNS, *TRUNK])
def test_a_deepcopy_has_tuners_of_its_own(backbone: Backbone, images: Tensor, design: str) -> None:
    with attached(backbone, design) as tuned:
        randomise(tuned)
        logits = backbone.model(images)
        twin = copy.deepcopy(backbone.model)
        assert torch.equal(twin(images), logits)
        shared = {id(p) for p in twin.parameters()} & {id(p) for p in backbone.model.parameters()}
        assert not shared
        randomise(tuned)
        assert torch.equal(twin(images), logits)
        assert not torch.equal(backbone.model(images), logits)
        handle = copy.deepcopy(tuned)
        handle.detach()
        assert torch.equal(handle.backbone.model(images), _bare(backbone, tuned, images))
    assert torch.equal(twin(images), logits)


def _bare(backbone: Backbone, tuned: Tuned, images: Tensor) -> Tensor:
    """Logits of the network without its tuners."""
    twin = copy.deepcopy(tuned)
    twin.detach()
    return twin.backbone.model(images)


@pytest.mark.parametrize("design", [*DESIGNS, *TRUNK])
def test_pickling_points_at_the_state(backbone: Backbone, design: str) -> None:
    with attached(backbone, design) as tuned:
        for save in (pickle.dumps, lambda model: torch.save(model, BytesIO())):
            with pytest.raises(TypeError, match=r"tuned\.state_dict\(\)"):
                save(backbone.model)
        torch.save(tuned.state_dict(), BytesIO())
    pickle.dumps(backbone.model)


@pytest.mark.parametrize("design", [*DESIGNS, *TRUNK])
def test_autocast(backbone: Backbone, images: Tensor, device: str, design: str) -> None:
    with attached(backbone, design) as tuned:
        logits = backbone.model(images)
        with torch.autocast(device, dtype=torch.bfloat16):
            half = backbone.model(images)
        torch.testing.assert_close(half.float(), logits, rtol=0.1, atol=0.3)
        half.float().square().sum().backward()
        assert all(parameter.grad.isfinite().all() for parameter in tuned.parameters())


@pytest.mark.parametrize("design", DESIGNS)
def test_gradient_checkpointing(backbone: Backbone, images: Tensor, design: str) -> None:
    def gradients(checkpointing: bool) -> list[Tensor]:
        backbone.model.set_grad_checkpointing(checkpointing)
        with attached(backbone, design) as tuned:
            backbone.model(images.requires_grad_()).square().sum().backward()
            return [parameter.grad for parameter in tuned.parameters()]

    for plain, again in zip(gradients(False), gradients(True), strict=True):
        torch.testing.assert_close(plain, again)


@pytest.mark.parametrize("design", TRUNK)
def test_gradient_checkpointing_past_the_trunk_is_refused(backbone: Backbone, images: Tensor, design: str) -> None:
    backbone.model.set_grad_checkpointing(True)
    with attached(backbone, design), pytest.raises(BackboneError, match="passes by a tuner of the trunk"):
        backbone.model(images)


def test_isinstance_and_attributes_stay(backbone: Backbone) -> None:
    attn = backbone.model.blocks[0].attn
    original, keys = type(attn), set(backbone.model.state_dict())
    with attached(backbone, "mha:lora(4)"):
        assert isinstance(attn, original)
        assert type(attn).__name__ == f"Tuned{original.__name__}"
        assert attn.num_heads == 3
        assert keys < set(backbone.model.state_dict())
        assert type(attn) is type(backbone.model.blocks[1].attn)
    assert type(attn) is original
