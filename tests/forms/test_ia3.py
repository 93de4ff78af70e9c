"""(IA)³ against HF peft on the slices of a fused qkv, and tuners of slices against their formula."""

from collections.abc import Callable

import peft
import torch
from torch import Tensor

from utsearch.backbones import Backbone
from utsearch.tuning import attached


def test_it_is_pefts_on_the_slices_of_k_and_v(build: Callable[..., Backbone], images: Tensor) -> None:
    backbone, twin = build().to(images.device), build().to(images.device)
    config = peft.IA3Config(target_modules=r".*(attn\.qkv|fc2)", feedforward_modules=r".*fc2")
    other = peft.get_peft_model(twin.model, config).double().eval()
    with attached(backbone, "k|v|fc2:ia3") as tuned:
        factors = {}
        for name, value in tuned.state_dict().items():
            path, part, _ = name.rsplit(".", 2)
            value.copy_(torch.randn_like(value))
            factors[name] = twin.model.get_submodule(path).ia3_l["default"]
            rows = {"ia3": slice(None), "k_ia3": slice(24, 48), "v_ia3": slice(48, 72)}[part]
            factors[name].data.view(-1)[rows] = value
        logits = backbone.model(images)
        torch.testing.assert_close(logits, other(images), rtol=0, atol=1e-10)
        logits.square().sum().backward()
        other(images).square().sum().backward()
        for name, parameter in tuned.named_parameters():
            part = name.rsplit(".", 2)[1]
            rows = {"ia3": slice(None), "k_ia3": slice(24, 48), "v_ia3": slice(48, 72)}[part]
            torch.testing.assert_close(parameter.grad, factors[name].grad.view(-1)[rows], rtol=1e-9, atol=1e-9)


def test_tuners_of_slices_and_of_the_whole_combine(backbone: Backbone, tokens: Tensor) -> None:
    with attached(backbone, "qkv:lora(2, alpha=2) + q:lora(2, alpha=2) + k:ssf + v:lora(2, alpha=2)@1") as tuned:
        state = {name.removeprefix("blocks.1.attn.qkv."): value for name, value in tuned.state_dict().items()}
        for value in state.values():
            value.copy_(torch.randn_like(value))
        qkv = backbone.model.blocks[1].attn.qkv
        q, k, v = (tokens @ (qkv.weight + state["lora.up"] @ state["lora.down"]).T + qkv.bias).chunk(3, dim=-1)
        q = q + tokens @ (state["q_lora.up"] @ state["q_lora.down"]).T
        k = k * state["k_ssf.scale"] + state["k_ssf.shift"]
        v = v + tokens @ (state["v_lora.up"] @ state["v_lora.down"]).T
        torch.testing.assert_close(qkv(tokens), torch.cat([q, k, v], dim=-1), rtol=0, atol=1e-10)
