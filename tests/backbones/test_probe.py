"""What the probe finds, and what it refuses."""

import pytest
import timm
import torch
from timm.models import Eva, VisionTransformer
from timm.models.beit import Beit
from timm.models.vision_transformer import ResPostBlock
from torch import Tensor, nn

from utsearch.backbones import BackboneError, Layout, describe


def small_vit(**options: object) -> VisionTransformer:
    return VisionTransformer(img_size=32, patch_size=8, embed_dim=16, depth=2, num_heads=2, num_classes=0, **options)


@pytest.mark.parametrize("name", ["test_vit", "test_vit2", "test_vit3", "test_vit4"])
def test_every_site_of_a_timm_vit(name: str) -> None:
    model = timm.create_model(name, pretrained=False, num_classes=0)
    operations = describe(model, 160)
    depth = len(model.blocks)
    inside = ("mha", "ffn", "block", "qkv", "q", "k", "v", "proj", "fc1", "fc2", "norm1", "norm2")
    around = {("stem", None), ("trunk", None), ("tail", None)}
    assert set(operations) == {(s, b) for s in inside for b in range(depth)} | around
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


def sites_of(name: str, **options: object) -> dict[str, set[Layout]]:
    """Sites of a timm model and the layouts in which its blocks have them."""
    model = timm.create_model(name, pretrained=False, num_classes=0, **options)
    found: dict[str, set[Layout]] = {}
    for (site, _), op in describe(model, 64 if options else 160).items():
        found.setdefault(site, set()).add(op.layout)
    return found


@pytest.mark.parametrize(
    ("name", "options", "expected"),
    [
        ("test_convnext", {}, {"block": "nchw", "mixer": "nchw", "norm1": "nhwc", "ffn": "nhwc", "fc1": "nhwc"}),
        ("test_mambaout", {}, {"block": "nhwc", "mixer": "nchw", "norm1": "nhwc", "fc1": "nhwc", "fc2": "nhwc"}),
        ("test_resnet", {}, {"block": "nchw", "mixer": "nchw", "conv": "nchw", "norm1": "nchw", "fc1": "nchw"}),
        ("test_efficientnet", {}, {"block": "nchw", "mixer": "nchw", "fc2": "nchw", "tail": "nchw"}),
        ("test_coatnet", {}, {"block": "nchw", "mixer": "nchw", "mha": "nchw", "ffn": "nchw", "qkv": "nchw"}),
        ("swin_tiny_patch4_window7_224", {"img_size": 64, "depths": (1, 1, 1, 1), "embed_dim": 12}, {
            "block": "nhwc", "mha": "nlc", "ffn": "nlc", "qkv": "nlc", "norm1": "nhwc", "stem": "nhwc", "tail": "nhwc"
        }),
    ],
)  # fmt: skip
def test_sites_and_layouts_of_other_families(name: str, options: dict[str, object], expected: dict[str, str]) -> None:
    found = sites_of(name, **options)
    for site, layout in expected.items():
        assert found[site] == {Layout(layout)}, site


@pytest.mark.parametrize(("first", "last"), [("block", Layout.NCHW), ("ffn", Layout.NHWC)])
def test_as_many_channels_as_rows_are_no_riddle(first: str, last: Layout) -> None:
    """ConvNeXt with 8 channels on an 8×8 map: the block is NCHW and the MLP in it NHWC, all shapes (1, 8, 8, 8)."""
    model = timm.models.ConvNeXt(depths=(2, 1, 1, 1), dims=(8, 8, 8, 8), num_classes=0)
    op = describe(model, 32)[first, 0]
    assert (op.layout, op.d_in, op.tokens) == (last, 8, 64)


def test_a_permuted_patch_embedding_is_no_riddle() -> None:
    """DINOv3 has the map of its convolution with the channels last: 8 channels, 8×8 patches, and no reader before."""
    model = timm.create_model(
        "vit_small_patch16_dinov3", num_classes=0, img_size=128, embed_dim=8, depth=1, num_heads=1
    )
    stem = describe(model, 128)["stem", None]
    assert (stem.layout, stem.d_out) == (Layout.NHWC, 8)


def test_every_operation_has_its_own_widths_and_stride() -> None:
    operations = describe(timm.create_model("resnet26", num_classes=0), 64)
    widths = [
        (operations["block", i].d_in, operations["block", i].d_out, operations["block", i].stride) for i in (0, 2)
    ]
    assert widths == [(64, 256, 1), (256, 512, 2)]
    assert (operations["fc1", 2].path, operations["mixer", 2].path) == ("layer2.0.conv1", "layer2.0.conv2")
    assert (operations["fc2", 2].path, operations["norm3", 2].d_out) == ("layer2.0.conv3", 512)


def test_no_module_is_two_sites() -> None:
    for name in ("test_coatnet", "test_maxvit", "test_efficientnet", "test_byobnet", "test_nfnet"):
        operations = describe(timm.create_model(name, num_classes=0), 160).values()
        assert len({op.path for op in operations}) == len(operations)


def test_a_network_without_blocks_is_one_clear_error() -> None:
    with pytest.raises(BackboneError, match="VGG has no blocks"):
        describe(timm.models.VGG([8, "M"], num_classes=0), 32)


def test_blocks_of_several_widths() -> None:
    class Pyramid(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.two = small_vit(), small_vit()

        def forward(self, x: Tensor) -> Tensor:
            x = self.one._pos_embed(self.one.patch_embed(x))
            x = self.one.blocks(x)
            return self.two.blocks(x[:, ::2])[:, 0]

    operations = describe(Pyramid(), 32)
    assert [operations["mha", i].tokens for i in range(4)] == [17, 17, 9, 9]


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
