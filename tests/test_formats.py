"""Exports in other formats, read by the libraries they are for, in a way written here and not in the exporter."""

import sys
from pathlib import Path

import onnxruntime
import peft
import pytest
import timm
import torch
from safetensors.torch import load_file, save_file

import utsearch
from utsearch.backbones import load_backbone
from utsearch.card import BackboneCard, Card, Metrics, PreprocessingCard
from utsearch.errors import UserError
from utsearch.export import ExportError, write_export
from utsearch.formats import writer
from utsearch.tuning import Classifier, attach


def export(folder: Path, design: str) -> utsearch.export.Loaded:
    """An export folder of a design with random values, loaded."""
    backbone = load_backbone("vit_mini")
    tuned = attach(backbone, design, seed=5)
    draw = torch.Generator().manual_seed(0)
    for parameter in tuned.parameters():
        parameter.data += 0.05 * torch.randn(parameter.shape, generator=draw)
    model = Classifier(backbone, torch.nn.Linear(backbone.width, 3), tuned).eval()
    save_file(model.learnt(), folder / "trial.safetensors")
    size = backbone.img_size
    card = Card(
        format=1,
        design=design,
        backbone=BackboneCard(
            name=backbone.name, weights=backbone.weights, fingerprint=backbone.fingerprint, img_size=size
        ),
        class_names=["wren", "jay", "robin"],
        preprocessing=PreprocessingCard(resize=size, crop=size, mean=backbone.mean, std=backbone.std),
        metrics=Metrics(val_top1=0.5, standard_error=0.01, n_params=10, n_head=3, epoch=9, seconds=1.0, seeds=1),
        provenance={},
    )
    write_export(folder / "out", card, folder / "trial.safetensors")
    return utsearch.load(folder / "out")


def vit(classes: int) -> torch.nn.Module:
    """The architecture of vit_mini with a classifier, by timm alone."""
    return timm.models.VisionTransformer(
        img_size=64, patch_size=8, embed_dim=96, depth=6, num_heads=3, num_classes=classes
    )


@pytest.fixture
def images() -> torch.Tensor:
    return torch.randn(5, 3, 64, 64, generator=torch.Generator().manual_seed(3))


@torch.no_grad()
@pytest.mark.parametrize("design", ["linears:lora(4) + norms:ssf", "qkv:dora(2)", "linears:fact(4)", "linear"])
def test_timm_reads_the_merged_weights(tmp_path: Path, images: torch.Tensor, design: str) -> None:
    loaded = export(tmp_path, design)
    expected = loaded.model(images)
    writer("timm")(loaded, tmp_path / "out")
    model = vit(3).eval()
    model.load_state_dict(load_file(tmp_path / "out" / "merged.safetensors"))
    torch.testing.assert_close(model(images), expected, rtol=1e-4, atol=1e-4)


@torch.no_grad()
@pytest.mark.parametrize(
    "design",
    [
        "qkv:lora(4, alpha=2)",
        "linears:lora(2, rank_stabilised=true)@last/2",
        "fc1|proj:dora(2)",
        "linears:vera(8)",
        "fc2:ia3",
    ],
)
def test_peft_reads_its_adapter(tmp_path: Path, images: torch.Tensor, design: str) -> None:
    loaded = export(tmp_path, design)
    expected = loaded.model(images)
    writer("peft")(loaded, tmp_path / "out")
    base = vit(3)
    base.load_state_dict(load_backbone("vit_mini").model.state_dict(), strict=False)
    model = peft.PeftModel.from_pretrained(base, tmp_path / "out" / "peft").eval()
    torch.testing.assert_close(model(images), expected, rtol=1e-4, atol=1e-4)


@torch.no_grad()
@pytest.mark.parametrize("design", ["mha:prefix(3) + ffn:adapter(4, insert=parallel, read=pre) + qkv:lora(2)"])
def test_onnxruntime_and_torch_export(tmp_path: Path, images: torch.Tensor, design: str) -> None:
    loaded = export(tmp_path, design)
    expected = loaded.model(images)
    writer("onnx")(loaded, tmp_path / "out")
    session = onnxruntime.InferenceSession(tmp_path / "out" / "model.onnx")
    (logits,) = session.run(None, {session.get_inputs()[0].name: images.numpy()})
    torch.testing.assert_close(torch.from_numpy(logits), expected, rtol=1e-4, atol=1e-4)
    writer("pt2")(loaded, tmp_path / "out")
    program = torch.export.load(tmp_path / "out" / "model.pt2").module()
    torch.testing.assert_close(program(images), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "design", "reason"),
    [
        ("timm", "mha:prefix(3)", "does not merge into plain weights: blocks.0.attn.prefix stays"),
        ("peft", "ffn:adapter(4)", "peft has no ffn:adapter"),
        ("peft", "qkv:lora(4) + proj:lora(2)", "one form, rank and options at a time"),
        ("peft", "ffn:lora(4)", "at a whole Linear"),
        ("peft", "k:ia3", "at a whole Linear"),
    ],
)
def test_what_a_format_cannot_hold_is_one_line(tmp_path: Path, name: str, design: str, reason: str) -> None:
    with pytest.raises(ExportError, match=reason):
        writer(name)(export(tmp_path, design), tmp_path / "out")


def test_unknown_formats_and_missing_libraries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match="no format 'tflite'; there are timm, peft, onnx, pt2"):
        writer("tflite")
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(UserError, match=r"onnxscript is not installed; .*utsearch\[formats\]"):
        writer("onnx")(export(tmp_path, "linear"), tmp_path / "out")
