"""An export loads with the same logits, and says what is wrong with it otherwise."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from huggingface_hub import ModelCard
from PIL import Image
from safetensors.torch import save_file

import utsearch
from utsearch.backbones import load_backbone
from utsearch.card import BackboneCard, Card, Confirmation, Metrics, PreprocessingCard
from utsearch.errors import UserError
from utsearch.export import write_export
from utsearch.model_card import model_card
from utsearch.tuning import Classifier, attach

DESIGN = "ffn:adapter(4, insert=parallel)@all + mha:prefix(3)@last/2"


@pytest.fixture
def exported(tmp_path: Path) -> tuple[Path, torch.Tensor, torch.Tensor]:
    """A folder, images and the logits that the exported model had."""
    backbone = load_backbone("vit_mini")
    tuned = attach(backbone, DESIGN, seed=5)
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in tuned.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    head = torch.nn.Linear(backbone.width, 3)
    model = Classifier(backbone, head, tuned).eval()
    images = torch.randn(4, 3, backbone.img_size, backbone.img_size)
    save_file(model.learnt(), tmp_path / "trial.safetensors")
    card = Card(
        format=1,
        design=DESIGN,
        backbone=BackboneCard(
            name=backbone.name,
            weights=backbone.weights,
            fingerprint=backbone.fingerprint,
            img_size=backbone.img_size,
        ),
        class_names=["wren", "jay", "robin"],
        preprocessing=PreprocessingCard(
            resize=backbone.img_size, crop=backbone.img_size, mean=tuple(backbone.mean), std=tuple(backbone.std)
        ),
        metrics=Metrics(val_top1=0.5, standard_error=0.01, n_params=10, n_head=3, epoch=9, seconds=1.0, seeds=1),
        provenance={"study": "test"},
    )
    write_export(tmp_path / "out", card, tmp_path / "trial.safetensors")
    with torch.no_grad():
        return tmp_path / "out", images, model(images)


def test_loaded_model_has_the_logits_of_export_time(exported: tuple[Path, torch.Tensor, torch.Tensor]) -> None:
    folder, images, logits = exported
    model, transform, class_names, _ = utsearch.load(folder)
    with torch.no_grad():
        assert torch.equal(model(images), logits)
    assert class_names == ("wren", "jay", "robin")
    assert transform(Image.new("L", (80, 100))).shape == images.shape[1:]
    assert not any(parameter.requires_grad for parameter in model.parameters())


def test_it_loads_in_a_fresh_process(exported: tuple[Path, torch.Tensor, torch.Tensor]) -> None:
    folder, images, logits = exported
    save_file({"images": images}, folder.parent / "images.safetensors")
    code = (
        "import sys, torch, utsearch; from safetensors.torch import load_file, save_file\n"
        "images = load_file(sys.argv[2])['images']\n"
        "with torch.no_grad(): save_file({'logits': utsearch.load(sys.argv[1]).model(images)}, sys.argv[3])"
    )
    paths = [str(folder), str(folder.parent / "images.safetensors"), str(folder.parent / "logits.safetensors")]
    subprocess.run([sys.executable, "-c", code, *paths], check=True)
    from safetensors.torch import load_file

    assert torch.allclose(load_file(paths[2])["logits"], logits, atol=1e-6)


def test_readme_example_runs(exported: tuple[Path, torch.Tensor, torch.Tensor]) -> None:
    folder, _, _ = exported
    Image.new("RGB", (70, 90), (200, 30, 30)).save(folder.parent / "image.png")
    text = (folder / "README.md").read_text()
    code = text.split("```python\n")[1].split("```")[0]
    assert len(code.strip().splitlines()) == 3
    done = subprocess.run([sys.executable, "-c", code], cwd=folder.parent, capture_output=True, text=True, check=True)
    assert "robin" in done.stdout


def test_the_readme_is_a_model_card_that_says_how_sure_it_is(
    exported: tuple[Path, torch.Tensor, torch.Tensor],
) -> None:
    """Read by huggingface_hub itself."""
    folder, _, _ = exported
    text = (folder / "README.md").read_text()
    data = ModelCard(text).data
    assert data.pipeline_tag == "image-classification"
    assert set(data.tags) > {"adapter", "prefix", "utsearch"}
    assert [(r.dataset_split, r.metric_value) for r in data.eval_results] == [("validation", 0.5)]
    assert "one seed" in text
    assert "was not confirmed" in text
    assert "front.png" not in text
    card = utsearch.load(folder).card
    seen = Confirmation(test_top1=0.61, low=0.59, high=0.63, seeds=10, rate=2.0)
    sure = card.model_copy(update={"metrics": card.metrics.model_copy(update={"confirmed": seen})})
    write_export(folder, sure, folder.parent / "trial.safetensors", picture=b"png")
    text = (folder / "README.md").read_text()
    assert [r.metric_value for r in ModelCard(text).data.eval_results] == [0.5, 0.61]
    assert "mean of 10 fresh seeds (95% interval 59.0 to 63.0, over seeds and images), at 2 times" in " ".join(
        text.split()
    )
    assert "](front.png)" in text
    assert utsearch.load(folder).card.metrics.confirmed == seen


def test_a_folder_of_data_is_not_told_to_the_hub(exported: tuple[Path, torch.Tensor, torch.Tensor]) -> None:
    card = utsearch.load(exported[0]).card
    for name, shown in (("/home/me/secret/birds", "birds"), ("cub:/home/me/CUB", "cub"), ("mini-birds", "mini-birds")):
        with_data = card.model_copy(update={"provenance": {"dataset": {"name": name}}})
        text = model_card("x", with_data, with_picture=False)
        assert f"`{shown}`" in text
        assert "/home" not in text


def test_other_backbone_weights_are_refused(exported: tuple[Path, torch.Tensor, torch.Tensor]) -> None:
    folder, _, _ = exported
    card = json.loads((folder / "design.json").read_text())
    card["backbone"]["fingerprint"] = "0" * len(card["backbone"]["fingerprint"])
    (folder / "design.json").write_text(json.dumps(card))
    with pytest.raises(UserError, match="was made with weights 0000"):
        utsearch.load(folder)


@pytest.mark.parametrize("keep", [0, 4, 100, -10])
def test_truncated_weights_are_named(exported: tuple[Path, torch.Tensor, torch.Tensor], keep: int) -> None:
    path = exported[0] / "tuner.safetensors"
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(UserError, match=r"tuner\.safetensors is damaged"):
        utsearch.load(exported[0])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": 99}, "has format 99"),
        ({"class_names": []}, "class_names"),
        ({"design": "ffn:adaptor(4)"}, "adaptor"),
        ({"design": "ffn:adapter(5)"}, "does not fit the design"),
        ({"class_names": ["a", "b"]}, "does not fit the design"),
        ({"extra": 1}, "extra"),
    ],
)
def test_damaged_card_is_named(
    exported: tuple[Path, torch.Tensor, torch.Tensor], change: dict[str, object], message: str
) -> None:
    path = exported[0] / "design.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(UserError, match=message):
        utsearch.load(exported[0])


def test_missing_folder_and_missing_files_are_named(
    exported: tuple[Path, torch.Tensor, torch.Tensor], tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=r"has no design\.json"):
        utsearch.load(tmp_path / "nothing")
    (exported[0] / "tuner.safetensors").unlink()
    with pytest.raises(UserError, match=r"has no tuner\.safetensors"):
        utsearch.load(exported[0])


def test_export_does_not_write_over_other_folders(
    exported: tuple[Path, torch.Tensor, torch.Tensor], tmp_path: Path
) -> None:
    card = utsearch.load(exported[0]).card
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("…")
    with pytest.raises(UserError, match="is no export"):
        write_export(tmp_path / "mine", card, tmp_path / "trial.safetensors")
    with pytest.raises(UserError, match="are missing"):
        write_export(tmp_path / "new", card, tmp_path / "gone.safetensors")


def test_broken_image_is_named(exported: tuple[Path, torch.Tensor, torch.Tensor], tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(b"no image")
    with pytest.raises(UserError, match=r"cannot read the image .*broken\.png"):
        utsearch.load(exported[0]).classify(tmp_path / "broken.png")
