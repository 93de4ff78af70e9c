"""Attaching changes nothing but what the design says, and is undone bit for bit."""

import sys
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from utsearch.backbones import Backbone, BackboneError
from utsearch.design import Design, DesignError
from utsearch.tuning import Tuned, attach, attached

EVERYTHING = (
    "mha:prefix(3) + mha:prompt(2) + ffn:adapter(4, insert=parallel, read=pre) + ffn:adapter(4) + qkv|block:lora(2)"
    " + linears|norms|stem|tail:ssf"
)


def snapshot(model: nn.Module) -> tuple[Any, ...]:
    """All that could show a trace."""
    return (
        [(name, type(module), module.training, sorted(module.__dict__)) for name, module in model.named_modules()],
        [(name, id(p), p.requires_grad, p.detach().clone()) for name, p in model.named_parameters()],
        list(model.state_dict()),
    )


def assert_untouched(model: nn.Module, before: tuple[Any, ...]) -> None:
    modules, parameters, keys = snapshot(model)
    assert modules == before[0]
    assert keys == before[2]
    for (name, same, learns, value), expected in zip(parameters, before[1], strict=True):
        assert (name, same, learns) == expected[:3]
        assert torch.equal(value, expected[3])


def train(tuned: Tuned, images: Tensor, steps: int = 3) -> None:
    optimiser = torch.optim.AdamW(tuned.parameters(), lr=1e-2)
    for _ in range(steps):
        tuned.train()
        optimiser.zero_grad()
        tuned.backbone.model(images).square().mean().backward()
        optimiser.step()


@pytest.mark.parametrize("design", ["linear", "mha:lora(4)", EVERYTHING])
def test_the_backbone_comes_back_bit_for_bit(backbone: Backbone, images: Tensor, design: str) -> None:
    backbone.model.requires_grad_(True)
    backbone.model.blocks[0].requires_grad_(False)
    backbone.model.blocks[1].train()
    before = snapshot(backbone.model)
    with attached(backbone, design) as tuned:
        if tuned.n_params:
            train(tuned, images)
    assert_untouched(backbone.model, before)
    assert all(parameter.grad is None for parameter in backbone.model.parameters())


def test_it_comes_back_after_a_failure(backbone: Backbone, images: Tensor) -> None:
    before, logits = snapshot(backbone.model), backbone.model(images)
    with pytest.raises(AssertionError, match="height"), attached(backbone, EVERYTHING):
        backbone.model(images[:, :, :7])

    def interrupted() -> None:
        with attached(backbone, EVERYTHING) as tuned:
            train(tuned, images)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert_untouched(backbone.model, before)
    assert torch.equal(backbone.model(images), logits)


def test_it_comes_back_when_attaching_fails_halfway(backbone: Backbone, monkeypatch: pytest.MonkeyPatch) -> None:
    before, calls = snapshot(backbone.model), iter(range(100))
    module = sys.modules["utsearch.tuning.attach"]  # the package's attribute of this name is the function
    real = module.exchange

    def fails(*args: Any) -> None:
        if next(calls) == 5:
            raise MemoryError
        real(*args)

    monkeypatch.setattr(module, "exchange", fails)
    with pytest.raises(MemoryError):
        attach(backbone, EVERYTHING)
    assert_untouched(backbone.model, before)


def test_a_closed_generator_gives_it_back(backbone: Backbone) -> None:
    before = snapshot(backbone.model)

    def trial() -> Iterator[int]:
        with attached(backbone, "mha:lora(4)"):
            yield from range(3)

    rungs = trial()
    next(rungs)
    rungs.close()  # type: ignore[attr-defined]
    assert_untouched(backbone.model, before)


def test_no_frozen_tensor_changes_in_training(backbone: Backbone, images: Tensor) -> None:
    frozen = {name: value.clone() for name, value in backbone.model.state_dict().items()}
    with attached(backbone, EVERYTHING) as tuned:
        train(tuned, images)
        after = backbone.model.state_dict()
        assert all(torch.equal(after[name], value) for name, value in frozen.items())
        own = {f"{name}" for name, p in backbone.model.named_parameters() if p.requires_grad}
        assert len(own) == len(tuned.state_dict())
        assert {name.replace(".tuners", "") for name in own} == set(tuned.state_dict())


def test_modes(backbone: Backbone) -> None:
    """The frozen part stays in eval mode while tuners train: its dropout and drop path stay off."""
    backbone.model.train()
    with attached(backbone, "ffn:adapter(4) + mha:lora(4)") as tuned:
        for mode in (True, False):
            tuned.train(mode)
            inside = {id(m) for m in backbone.model.modules() if hasattr(m, "tuners") for m in m.tuners.modules()}
            assert all(m.training is (mode if id(m) in inside else False) for m in backbone.model.modules())
        assert tuned.eval() is tuned
    assert all(module.training for module in backbone.model.modules())


def test_names_are_the_networks_own(backbone: Backbone) -> None:
    with attached(backbone, "mha:lora(4)@1 + ffn:adapter(4)@1 + ffn:adapter(4, insert=parallel)@1") as tuned:
        assert [name for name in tuned.state_dict() if "down" in name and "bias" not in name] == [
            "blocks.1.attn.lora.down",
            "blocks.1.mlp.adapter.down.weight",
            "blocks.1.mlp.adapter2.down.weight",
        ]
        assert list(tuned.state_dict()) == [name for name, _ in tuned.named_parameters()]
        assert "n_params=" in repr(tuned)
        assert tuned.design == Design.parse("mha:lora(4)@1 + ffn:adapter(4)@1 + ffn:adapter(4, insert=parallel)@1")


def test_the_state_makes_the_same_logits(backbone: Backbone, images: Tensor) -> None:
    with attached(backbone, EVERYTHING, seed=1) as tuned:
        train(tuned, images)
        state, logits = {k: v.clone() for k, v in tuned.state_dict().items()}, backbone.model(images)
    with attached(backbone, EVERYTHING, seed=2) as other:
        assert not torch.equal(backbone.model(images), logits)
        other.load_state_dict(state)
        assert torch.equal(backbone.model(images), logits)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda s: s.pop("blocks.0.attn.lora.up"), "missing tuner tensors: blocks.0.attn.lora.up"),
        (lambda s: s.update(more=torch.zeros(1)), "more: no such tuner tensors in mha:lora"),
        (lambda s: s.update({"blocks.0.attn.lora.up": torch.zeros(3)}), r"has shape \(24, 4\), got \(3,\)"),
        (lambda s: s.clear(), "and 5 more"),
    ],
)
def test_a_state_that_does_not_fit_is_refused_whole(backbone: Backbone, change: Any, said: str) -> None:
    with attached(backbone, "mha:lora(4)") as tuned:
        state = {name: torch.ones_like(value) for name, value in tuned.state_dict().items()}
        change(state)
        with pytest.raises(ValueError, match=said):
            tuned.load_state_dict(state)
        assert not any((value == 1).all() for value in tuned.state_dict().values())


def test_a_checkpoint_of_the_bare_backbone_loads(backbone: Backbone, images: Tensor) -> None:
    bare = {name: value.clone() for name, value in backbone.model.state_dict().items()}
    with attached(backbone, EVERYTHING) as tuned:
        train(tuned, images)
        learnt, logits = {k: v.clone() for k, v in tuned.state_dict().items()}, backbone.model(images)
        whole = {name: value.clone() for name, value in backbone.model.state_dict().items()}
        assert set(bare) < set(whole)
        assert backbone.model.load_state_dict(bare) == ([], [])
        assert all(torch.equal(value, learnt[name]) for name, value in tuned.state_dict().items())
        train(tuned, images)
        backbone.model.load_state_dict(whole)
        assert torch.equal(backbone.model(images), logits)
        whole.popitem()
        with pytest.raises(RuntimeError, match="Missing key"):
            backbone.model.load_state_dict(whole)


def test_initial_values_follow_from_seed_and_place(backbone: Backbone) -> None:
    def start(design: str, seed: int) -> dict[str, Tensor]:
        with attached(backbone, design, seed=seed) as tuned:
            return {name: value.clone() for name, value in tuned.state_dict().items()}

    one = start("mha:lora(4) + ffn:adapter(4)", 0)
    same = start("ffn:adapter(4)@0,2 + mha:lora(4) + ffn:adapter(4)@1,3", 0)
    assert one.keys() == same.keys()
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not torch.equal(one["blocks.0.attn.lora.down"], start("mha:lora(4)", 1)["blocks.0.attn.lora.down"])
    assert not torch.equal(one["blocks.0.attn.lora.down"], one["blocks.1.attn.lora.down"])
    some = start("mha:lora(4)@2", 0)
    assert torch.equal(some["blocks.2.attn.lora.down"], one["blocks.2.attn.lora.down"])


def test_global_generators_stay_as_they_are(backbone: Backbone, device: str) -> None:
    states = [torch.get_rng_state(), *([torch.cuda.get_rng_state()] if device == "cuda" else [])]
    attach(backbone, EVERYTHING).detach()
    after = [torch.get_rng_state(), *([torch.cuda.get_rng_state()] if device == "cuda" else [])]
    assert all(torch.equal(a, b) for a, b in zip(states, after, strict=True))


def test_tuners_follow_device_and_type(backbone: Backbone, images: Tensor) -> None:
    backbone.model.double()
    with attached(backbone, EVERYTHING) as tuned:
        assert {(p.dtype, p.device) for p in tuned.parameters()} == {(torch.float64, images.device)}
        backbone.model.float()
        assert backbone.model(images).dtype == torch.float32


def test_the_fingerprint_is_of_the_frozen_weights(backbone: Backbone) -> None:
    with attached(backbone, EVERYTHING):
        inside = backbone.fingerprint
    del backbone.fingerprint
    assert backbone.fingerprint == inside


def test_twice_is_refused(backbone: Backbone) -> None:
    tuned = attach(backbone, "mha:lora(4)")
    with pytest.raises(BackboneError, match="has tuners already"):
        attach(backbone, "ffn:lora(4)")
    tuned.detach()
    tuned.detach()
    attach(backbone, "ffn:lora(4)").detach()


def test_a_design_that_does_not_fit_changes_nothing(backbone: Backbone) -> None:
    before = snapshot(backbone.model)
    with pytest.raises(DesignError):
        attach(backbone, "mha:lora(4) + mha:nosuch(3)")
    assert_untouched(backbone.model, before)
