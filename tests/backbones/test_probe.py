"""What the probe finds, and what it refuses."""

import pytest
import timm
import torch
from timm.models import Eva, VisionTransformer
from timm.models.beit import Beit
from timm.models.vision_transformer import ResPostBlock
from torch import Tensor, nn

from utsearch.backbones import SITES, BackboneError, describe


def small_vit(**options: object) -> VisionTransformer:
    return VisionTransformer(img_size=32, patch_size=8, embed_dim=16, depth=2, num_heads=2, num_classes=0, **options)


@pytest.mark.parametrize("name", ["test_vit", "test_vit2", "test_vit3", "test_vit4"])
def test_every_site_of_a_timm_vit(name: str) -> None:
    model = timm.create_model(name, pretrained=False, num_classes=0)
    operations = describe(model, 160)
    depth = len(model.blocks)
    assert set(operations) == {(s, b) for s in SITES[:-3] for b in range(depth)} | {(s, None) for s in SITES[-3:]}
    for (site, block), op in operations.items():
        assert (op.site, op.block) == (site, block)
        assert op.kind.endswith(type(model.get_submodule(op.path)).__name__)


def test_what_an_operation_says() -> None:
    operations = describe(small_vit(), 32)
    mha, fc1, stem = operations["mha", 1], operations["fc1", 0], operations["stem", None]
    assert (mha.path, mha.norm, mha.heads, mha.head_dim, mha.tokens) == ("blocks.1.attn", "blocks.1.norm1", 2, 8, 17)
    assert (fc1.path, fc1.norm, fc1.d_in, fc1.d_out) == ("blocks.0.mlp.fc1", "blocks.0.norm2", 16, 64)
    assert (stem.path, stem.d_in, stem.d_out, stem.block) == ("patch_embed", 3, 16, None)
    trunk = operations["trunk", None]
    assert (trunk.path, trunk.depth, trunk.mixer, trunk.grid) == ("blocks", 2, mha.kind, (4, 4))
    assert operations["block", 0].norm is None
    assert operations["proj", 0].norm is None
    assert mha.patch_values == 3 * 8 * 8


def test_the_tail_is_the_norm_that_runs() -> None:
    assert describe(small_vit(global_pool="token"), 32)["tail", None].path == "norm"
    assert describe(small_vit(global_pool="avg"), 32)["tail", None].path == "fc_norm"


def test_no_norm_feeds_a_post_norm_block() -> None:
    operations = describe(small_vit(block_fn=ResPostBlock, init_values=1e-2), 32)
    assert operations["mha", 0].norm is None
    assert operations["ffn", 0].norm is None


def test_a_linear_that_is_never_called_is_no_site() -> None:
    beit = Beit(img_size=32, patch_size=8, embed_dim=16, depth=2, num_heads=2, num_classes=0)
    sites = {site for site, _ in describe(beit, 32)}
    assert "qkv" not in sites
    assert {"mha", "ffn", "block", "proj", "fc1", "fc2"} <= sites


def test_blocks_with_other_arguments() -> None:
    eva = Eva(img_size=32, patch_size=8, embed_dim=16, depth=2, num_heads=2, num_classes=0, use_rot_pos_emb=True)
    assert {"mha", "ffn", "block"} <= {site for site, _ in describe(eva, 32)}


def test_blocks_are_counted_in_the_order_of_their_calls() -> None:
    class Backwards(VisionTransformer):
        def forward(self, x: Tensor) -> Tensor:
            x = self._pos_embed(self.patch_embed(x))
            for block in reversed(self.blocks):
                x = block(x)
            return x[:, 0]

    model = Backwards(img_size=32, patch_size=8, embed_dim=16, depth=3, num_heads=2, num_classes=0)
    operations = describe(model, 32)
    assert [operations["block", i].path for i in range(3)] == ["blocks.2", "blocks.1", "blocks.0"]
    assert ("tail", None) not in operations


def test_a_block_that_runs_twice_is_no_site() -> None:
    class Shared(VisionTransformer):
        def forward(self, x: Tensor) -> Tensor:
            x = self._pos_embed(self.patch_embed(x))
            for block in (self.blocks[0], self.blocks[1], self.blocks[1]):
                x = block(x)
            return x[:, 0]

    operations = describe(Shared(img_size=32, patch_size=8, embed_dim=16, depth=2, num_heads=2, num_classes=0), 32)
    assert [block for site, block in operations if site == "block"] == [0]


@pytest.mark.parametrize("name", ["test_resnet", "test_convnext", "test_mambaout", "test_efficientnet", "test_coatnet"])
def test_other_networks_are_one_clear_error(name: str) -> None:
    with pytest.raises(BackboneError, match="no ViT-like network"):
        describe(timm.create_model(name, pretrained=False, num_classes=0), 160)


def test_blocks_of_several_widths_are_an_error() -> None:
    class Pyramid(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.two = small_vit(), small_vit()
            self.widen = nn.AvgPool1d(2)

        def forward(self, x: Tensor) -> Tensor:
            x = self.one._pos_embed(self.one.patch_embed(x))
            x = self.one.blocks(x)
            return self.two.blocks(x[:, ::2])

    with pytest.raises(BackboneError, match=r"its blocks read \(9, 16\), \(17, 16\)"):
        describe(Pyramid(), 32)


def test_a_wrong_image_size_is_an_error() -> None:
    with pytest.raises(BackboneError, match="cannot run on a 40 px image"):
        describe(small_vit(), 40)


def test_the_probe_leaves_no_trace() -> None:
    model = small_vit(drop_path_rate=0.5).train()
    model.blocks[1].eval()
    before, modes = torch.get_rng_state(), [module.training for module in model.modules()]
    describe(model, 32)
    assert torch.equal(torch.get_rng_state(), before)
    assert [module.training for module in model.modules()] == modes
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


def test_a_network_without_memory_is_enough() -> None:
    with torch.device("meta"):
        model = timm.create_model("vit_large_patch16_224", num_classes=0)
    assert describe(model, 224)["fc1", 23].d_out == 4096
