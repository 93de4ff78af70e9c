"""Backbones by name: what loads, and how what does not is said."""

from pathlib import Path

import huggingface_hub
import pytest
import timm
import torch
from safetensors.torch import save_file

from utsearch.backbones import BackboneError, load, load_backbone, vit_mini


def test_a_timm_model_comes_frozen() -> None:
    backbone = load_backbone("test_vit", pretrained=False)
    assert (backbone.depth, backbone.width, backbone.img_size, backbone.weights) == (6, 64, 160, "random")
    assert backbone.model(torch.zeros(1, 3, 160, 160)).shape == (1, 64)
    assert not backbone.model.training
    assert not any(parameter.requires_grad for parameter in backbone.model.parameters())
    assert len(backbone.mean) == len(backbone.std) == 3


def test_another_image_size() -> None:
    assert load_backbone("test_vit", pretrained=False, img_size=96).operations["mha", 0].tokens == 37
    embedded = load_backbone(pretrained=False, img_size=32)
    assert embedded.img_size == 32
    assert embedded.operations["mha", 0].tokens == 17


def test_the_embedded_backbone() -> None:
    backbone = load_backbone(pretrained=False)
    assert (backbone.name, backbone.img_size) == ("vit_mini", 64)
    assert backbone.mean == vit_mini.MEAN
    assert "mha" in backbone.sites


def test_damaged_embedded_weights_are_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    damaged = tmp_path / "vit_mini.safetensors"
    damaged.write_bytes(b"\x10\x00\x00")
    monkeypatch.setattr(vit_mini, "WEIGHTS", damaged)
    with pytest.raises(BackboneError, match="missing or damaged"):
        load_backbone()


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("vit_bas_patch16_224", "did you mean vit_base_patch16_224"),
        ("vit-mini", "did you mean vit_mini"),
        ("zzz", "list_models"),
        ("test_vit.nosuch", "Invalid pretrained tag"),
        ("vgg11", "no blocks that utsearch can tune"),
    ],
)
def test_an_unknown_name_is_said(name: str, said: str) -> None:
    with pytest.raises(BackboneError, match=said):
        load_backbone(name, pretrained=False)


def test_a_failing_download_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(*_: object, **__: object) -> None:
        raise ConnectionError("no route\nto host")

    monkeypatch.setattr(timm, "create_model", offline)
    monkeypatch.setattr(load, "_check_download", lambda name: None)
    with pytest.raises(BackboneError, match="cannot create test_vit: no route to host; give a local file"):
        load_backbone("test_vit")


def test_images_that_are_not_square_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    config = {"input_size": (3, 64, 96), "mean": (0.5,) * 3, "std": (0.5,) * 3}
    monkeypatch.setattr(timm.data, "resolve_model_data_config", lambda model: config)
    with pytest.raises(BackboneError, match="64×96 px images; utsearch needs square ones: give an img_size"):
        load_backbone("test_convnext", pretrained=False)
    assert load_backbone("test_convnext", pretrained=False, img_size=64).img_size == 64


class Hub:
    """A hub that does not answer, and counts how often it was asked."""

    asked = 0

    def head(self, url: str, timeout: float) -> None:
        Hub.asked += 1
        raise TimeoutError(f"timed out\nafter {timeout} s")


def test_no_network_is_said_after_one_try(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(huggingface_hub, "get_session", Hub)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(
        BackboneError, match=r"cannot download test_vit: .* \(timed out after 5 s\).*; give a local file"
    ):
        load_backbone("test_vit")
    assert Hub.asked == 1


def test_an_image_size_for_a_network_that_takes_any() -> None:
    backbone = load_backbone("test_convnext", pretrained=False, img_size=64)
    assert (backbone.img_size, backbone.operations["block", 0].tokens) == (64, 16 * 16)
    with pytest.raises(BackboneError, match="cannot run on a 8 px image"):
        load_backbone("test_coatnet", pretrained=False, img_size=8)


@pytest.mark.parametrize("name", ["test_convnext", "test_efficientnet", "test_resnet", "mobilenetv3_small_050"])
def test_the_width_is_that_of_the_features(name: str) -> None:
    """MobileNetV3's differs from the last block's and from num_features."""
    backbone = load_backbone(name, pretrained=False, img_size=64)
    assert backbone.model(torch.zeros(2, 3, 64, 64)).shape == (2, backbone.width)
    assert backbone.fingerprint != load_backbone(name, pretrained=False, img_size=64).fingerprint


def test_a_local_checkpoint(tmp_path: Path) -> None:
    source = timm.create_model("test_vit", pretrained=False)  # with a classifier, as checkpoints have
    save_file(source.state_dict(), tmp_path / "weights.safetensors")
    backbone = load_backbone("test_vit", checkpoint=tmp_path / "weights.safetensors")
    assert backbone.weights == "weights.safetensors"
    assert torch.equal(backbone.model.pos_embed, source.pos_embed)
    with pytest.raises(BackboneError, match="no checkpoint file"):
        load_backbone("test_vit", checkpoint=tmp_path / "missing.safetensors")
    (tmp_path / "cut.safetensors").write_bytes((tmp_path / "weights.safetensors").read_bytes()[:1000])
    with pytest.raises(BackboneError, match="cannot create test_vit"):
        load_backbone("test_vit", checkpoint=tmp_path / "cut.safetensors")


def test_the_fingerprint_is_of_the_weights() -> None:
    one, two = load_backbone("test_vit", pretrained=False), load_backbone("test_vit", pretrained=False)
    assert one.fingerprint != two.fingerprint
    two = load_backbone("test_vit", pretrained=False)
    two.model.load_state_dict(one.model.state_dict())
    assert one.fingerprint == two.fingerprint
    three = load_backbone("test_vit", pretrained=False)
    three.model.load_state_dict(one.model.state_dict())
    with torch.no_grad():
        three.model.norm.bias[3] += 1e-6
    assert len(one.fingerprint) == 16
    assert one.fingerprint != three.fingerprint


def test_a_fingerprint_known_by_heart() -> None:
    backbone = load_backbone("test_vit", pretrained=False)
    with torch.no_grad():
        for parameter in backbone.model.parameters():
            parameter.fill_(0.5)
    assert backbone.fingerprint == "38bb7455bcd0be23"


@pytest.mark.parametrize("name", ["vit_mini", "vit_small_patch16_dinov3", "test_vit"])
def test_average_pooling_leaves_class_token_and_registers_out(name: str) -> None:
    backbone = load_backbone(name, pretrained=False, img_size=64, pool="avg")
    images = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        tokens = backbone.model.forward_features(images)
        expected = tokens[:, backbone.model.num_prefix_tokens :].mean(1)
        torch.testing.assert_close(backbone.model.fc_norm(expected), backbone.model(images))
    own = load_backbone(name, pretrained=False, img_size=64)
    assert own.pool is None
    assert backbone.pool == "avg"


@pytest.mark.parametrize("name", ["vit_mini", "test_convnext", "test_resnet"])
def test_a_pooling_that_is_not_there_is_one_line(name: str) -> None:
    with pytest.raises(BackboneError, match=f"{name} cannot pool by 'men'"):
        load_backbone(name, pretrained=False, img_size=64, pool="men")


@pytest.mark.parametrize(("name", "size", "patch"), [("vit_mini", 4, 8), ("test_vit", 15, 16)])
def test_an_image_smaller_than_a_patch_is_refused(name: str, size: int, patch: int) -> None:
    with pytest.raises(BackboneError, match=f"{name} cuts images into patches of {patch} px; .* not {size}"):
        load_backbone(name, pretrained=False, img_size=size)
