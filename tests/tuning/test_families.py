"""A small sample of the sweep (tools/sweep_backbones.py): one network for each layout and kind of family."""

import copy

import pytest
import timm
import torch
from family_check import faults, without_special_values
from timm.models.metaformer import Attention, LayerNorm2dNoBias, LayerNormNoBias, MetaFormer, Pooling, SepConv
from torch import nn

from utsearch.backbones import Backbone
from utsearch.design import DesignError
from utsearch.tuning import attach, attached, largest_difference, merge, resolve

MIXERS = [SepConv, SepConv, Attention, Attention]
NORMS = [LayerNorm2dNoBias] * 2 + [LayerNormNoBias] * 2
TINY: dict[str, tuple[str, int, dict[str, object]]] = {
    "vit, registers": ("vit_tiny_patch16_224", 32, {"embed_dim": 24, "depth": 2, "num_heads": 2, "reg_tokens": 2}),
    "beit": ("beit_base_patch16_224", 32, {"embed_dim": 24, "depth": 2, "num_heads": 2}),
    "eva02": ("eva02_tiny_patch14_224", 28, {"embed_dim": 24, "depth": 2, "num_heads": 2}),
    "dinov3": ("vit_small_patch16_dinov3", 32, {"embed_dim": 24, "depth": 2, "num_heads": 2}),
    "swin": ("swin_tiny_patch4_window7_224", 64, {"embed_dim": 12, "depths": (1, 1), "num_heads": (2, 2)}),
    "swin v2": ("swinv2_tiny_window8_256", 64, {"embed_dim": 12, "depths": (1, 1), "num_heads": (2, 2)}),
    "pvt": ("pvt_v2_b0", 32, {"depths": (1, 1, 1, 1), "embed_dims": (8, 8, 16, 16), "num_heads": (1, 1, 2, 2)}),
    "convnext": ("convnext_atto", 32, {"depths": (1, 1, 1, 1), "dims": (8, 8, 16, 16)}),
    "caformer": ("MetaFormer", 32, {"token_mixers": MIXERS, "norm_layers": NORMS}),
    "poolformer": ("MetaFormer", 32, {"token_mixers": Pooling}),
    "mambaout": ("mambaout_femto", 32, {"depths": (1, 1), "dims": (8, 16)}),
    "resnet": ("resnet26", 32, {"layers": (1, 1, 1, 1), "channels": (8, 8, 16, 16)}),
    "resnet, basic": ("resnet18", 32, {"layers": (1, 1, 1, 1), "channels": (8, 8, 16, 16)}),
    "efficientnet": ("test_efficientnet", 32, {}),
    "coatnet": ("test_coatnet", 160, {}),
}


def tiny(family: str) -> Backbone:
    """The family's network at a size for tests, with random weights."""
    name, size, options = TINY[family]
    sized = {"img_size": size} if (size < 160 and "patch" in name) or name.startswith("swin") else {}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        if name == "MetaFormer":  # its named variants fix depths and widths
            model = MetaFormer(depths=(1, 1, 1, 1), dims=(32, 32, 32, 32), num_classes=0, **options)
        else:
            model = timm.create_model(name, pretrained=False, num_classes=0, **sized, **options)
        return Backbone(family, "random", without_special_values(model), size)


@pytest.fixture(scope="module", params=TINY)
def network(request: pytest.FixtureRequest) -> Backbone:
    return tiny(request.param)


def test_tuners_at_every_site(network: Backbone) -> None:
    assert faults(network) == []


def designs_for(network: Backbone) -> str:
    """Something of every stage that fits any family."""
    mixes = "|".join(site for site in ("mha", "mixer") if site in network.sites)
    return f"block:adapter(2) + {mixes}:lora(2) + block|{mixes}:ssf"


def randomise(network: Backbone, tuned: object) -> torch.Tensor:
    for value in tuned.state_dict().values():  # type: ignore[attr-defined]
        value += 0.1 * torch.randn_like(value)
    return torch.randn(2, 3, network.img_size, network.img_size)


def test_batch_statistics_never_change(network: Backbone) -> None:
    before = {name: value.clone() for name, value in network.model.state_dict().items()}
    with attached(network, designs_for(network)) as tuned:
        images = randomise(network, tuned)
        tuned.train()
        frozen = set(network.model.modules()) - {m for *_, tuner in tuned.named_tuners() for m in tuner.modules()}
        assert not any(m.training for m in frozen if isinstance(m, nn.BatchNorm2d | nn.Dropout))
        network.model(images).square().sum().backward()
        after = network.model.state_dict()
        assert all(torch.equal(after[name], value) for name, value in before.items())
        assert network.model.load_state_dict(before) == ([], [])


def test_autocast_checkpointing_and_copies(network: Backbone) -> None:
    with attached(network, designs_for(network)) as tuned:
        images = randomise(network, tuned)
        features = network.model(images)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            half = network.model(images)
        assert half.isfinite().all()
        assert (half.float() - features).norm() < 0.2 * features.norm()
        assert torch.equal(copy.deepcopy(network.model)(images), features)
        plain = torch.autograd.grad(features.square().sum(), list(tuned.parameters()))
        network.model.set_grad_checkpointing(True)
        again = torch.autograd.grad(network.model(images).square().sum(), list(tuned.parameters()))
        network.model.set_grad_checkpointing(False)
        for one, two in zip(plain, again, strict=True):
            torch.testing.assert_close(one, two)


@pytest.mark.parametrize("family", ["convnext"])
def test_compile_takes_the_whole_graph(family: str) -> None:
    torch.compiler.reset()
    network = tiny(family)
    with attached(network, designs_for(network)) as tuned:
        images = randomise(network, tuned)
        compiled = torch.compile(network.model, fullgraph=True, backend="aot_eager")
        torch.testing.assert_close(compiled(images), network.model(images), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("family", ["swin", "resnet", "caformer"])
def test_export(family: str) -> None:
    network = tiny(family)
    with attached(network, designs_for(network)) as tuned:
        images = randomise(network, tuned)
        exported = torch.export.export(network.model, (images,)).module()
        torch.testing.assert_close(exported(images), network.model(images), rtol=1e-4, atol=1e-4)


def test_lora_beside_a_convolution_is_the_middle_of_its_kernel() -> None:
    """Against the convolution whose kernel has B·A added at its centre, at stride 2 too."""
    network = tiny("resnet")
    images = torch.randn(2, 3, 32, 32)
    with attached(network, "mixer:lora(2, alpha=2)") as tuned:
        randomise(network, tuned)
        ours, state = network.model(images), {k: v.clone() for k, v in tuned.state_dict().items()}
    ops = [network.operations["mixer", block] for block in range(network.depth)]
    assert {op.stride for op in ops} == {1, 2}
    for op in ops:
        conv = network.model.get_submodule(op.path)
        with torch.no_grad():
            conv.weight[:, :, 1, 1] += state[f"{op.path}.lora.up"] @ state[f"{op.path}.lora.down"]
    torch.testing.assert_close(network.model(images), ours, rtol=1e-4, atol=1e-4)


def test_scale_and_shift_of_a_map_is_per_channel() -> None:
    network = tiny("resnet")
    op = network.operations["mixer", 0]
    conv, x = network.model.get_submodule(op.path), torch.randn(2, op.d_in, 8, 8)
    with attached(network, "mixer:ssf@0") as tuned:
        scale, shift = tuned.state_dict().values()
        expected = scale[:, None, None] * conv.untuned(x) + shift[:, None, None]
        torch.testing.assert_close(conv(x), expected)


@pytest.mark.parametrize(
    ("family", "design", "said"),
    [
        ("resnet", "mha:lora(2)", "resnet has no site 'mha'.*; it has mixer, block, fc1, fc2, norm1"),
        ("convnext", "qkv:lora(2)", "has no site 'qkv'.*; it has mixer, ffn, block, fc1, fc2, norm1"),
        ("beit", "qkv:lora(2)", "has no site 'qkv' .a part counts only if it is called once"),
        ("swin", "mha:prefix(2)", "knows only .* here it is timm.models.swin_transformer.WindowAttention"),
        ("eva02", "mha:prompt(2)", "knows only .* here it is timm.*EvaAttention"),
        ("caformer", "mha:lora(2)@0", "has no mha in block 0, only in 2-3"),
    ],
)
def test_what_a_family_lacks_is_said(family: str, design: str, said: str) -> None:
    with pytest.raises(DesignError, match=said):
        attach(tiny(family), design)


def test_relative_positions_mean_the_blocks_that_have_the_site() -> None:
    network = tiny("caformer")
    assert [cell.block for cell in resolve("mha:lora(2)", network).cells] == [2, 3]
    assert resolve("mha:lora(2)@last/2", network) == resolve("mha:lora(2)@2-3", network)
    assert str(resolve("mha:lora(2)@2-3", network).design) == "mha:lora(2)"


@pytest.mark.parametrize("family", ["convnext", "resnet", "efficientnet", "dinov3", "swin"])
def test_what_folds_into_another_family_computes_the_same(family: str) -> None:
    """Depthwise convolutions take a scale but no mixing of channels."""
    network = tiny(family)
    network.model.double()
    images = torch.randn(2, 3, network.img_size, network.img_size, dtype=torch.float64)
    inner = "|".join(site for site in ("mixer", "ffn", "fc2", "conv") if site in network.sites)
    for design in (f"{'|'.join(network.sites)}:ssf", f"{inner}:lora(2, insert=sequential)"):
        with attached(network, design) as tuned:
            for value in tuned.state_dict().values():
                value += 0.1 * torch.randn_like(value)
            assert largest_difference(network.model, merge(tuned).model, images) < 1e-9


def test_an_operation_that_gives_other_positions_than_it_reads_takes_sequential_tuners() -> None:
    """CaiT's last attention reads all tokens and gives the class token."""
    model = timm.create_model(
        "cait_xxs24_224", num_classes=0, img_size=32, embed_dim=24, depth=2, depth_token_only=1, num_heads=2
    )
    assert faults(Backbone("cait", "random", without_special_values(model), 32)) == []
