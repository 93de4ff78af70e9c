"""The form that docs/new-form.md adds, from the document itself: count, attach, learn, suggest, state, load."""

import importlib.util
import re
import sys
from pathlib import Path

import optuna
import pytest
import torch
from PIL import Image
from torch import Tensor

import utsearch
import utsearch.forms
from utsearch.backbones import Backbone
from utsearch.cli import main
from utsearch.space import load_space
from utsearch.tuning import attached, dead_parameters, placements, resolve

DOC = Path(__file__).parents[2] / "docs" / "new-form.md"
SPACE = """title = "toy"
[hypervolume]
p0 = 10
p_max = 1000
[slots.ffn]
sites = ["ffn"]
"""


def block_of(language: str) -> str:
    found = re.search(rf"```{language}\n(.*?)```", DOC.read_text(), re.DOTALL)
    assert found
    return found[1]


@pytest.fixture(autouse=True)
def offset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> type:
    """The document's file, as another package's entry point."""
    path = tmp_path / "offset.py"
    path.write_text(block_of("python"))
    spec = importlib.util.spec_from_file_location("offset", path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    class Point:
        def load(self) -> type:
            return module.Offset

    monkeypatch.setattr(utsearch.forms, "entry_points", lambda group: [Point()])
    monkeypatch.setattr(utsearch.forms, "_forms", utsearch.forms._forms.__wrapped__)
    return module.Offset


def test_it_is_about_thirty_lines() -> None:
    assert len([line for line in block_of("python").splitlines() if line]) <= 32


def test_count_attach_learn_and_gate(backbone: Backbone, images: Tensor) -> None:
    bare = backbone.model(images)
    with attached(backbone, "ffn|block:offset@0-1") as tuned:
        assert tuned.n_params == resolve("ffn|block:offset@0-1", backbone).n_params == 4 * 24
        assert torch.equal(backbone.model(images), bare)
    assert dead_parameters(backbone, "mha:offset(scale=0.5) + ffn:offset(gate=sigmoid)") == []
    assert {row.site for row in placements(backbone) if row.form == "offset" and not row.reason} == {
        "mha",
        "ffn",
        "block",
    }


def test_a_space_suggests_it(tmp_path: Path, backbone: Backbone) -> None:
    path = tmp_path / "toy.toml"
    path.write_text(SPACE + block_of("toml"))
    space = load_space(str(path), utsearch.forms.info(), backbone.sites)
    design = space.suggest(optuna.trial.FixedTrial({"ffn.form": "offset", "ffn.offset.scale": 0.1}), 3)
    assert str(design) == "ffn:offset(scale=0.1)"
    assert space.choices_of(design, 3) == {"ffn.form": "offset", "ffn.offset.scale": 0.1}


def test_its_state_loads_again(backbone: Backbone, images: Tensor) -> None:
    with attached(backbone, "ffn:offset") as tuned:
        for value in tuned.state_dict().values():
            value.normal_()
        state = {name: value.clone() for name, value in tuned.state_dict().items()}
        logits = backbone.model(images)
    with attached(backbone, "ffn:offset", seed=1) as again:
        again.load_state_dict(state)
        assert torch.equal(backbone.model(images), logits)


@pytest.mark.timeout(120)
def test_it_is_trained_exported_and_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the command line, on a few coloured squares; a search accepts a space that names it."""
    for c in range(2):
        (tmp_path / "data" / f"kind{c}").mkdir(parents=True)
        for i in range(6):
            Image.new("RGB", (64, 64), (200 * c, 30 * i, 90)).save(tmp_path / "data" / f"kind{c}" / f"{i}.png")
    (tmp_path / "toy.toml").write_text(SPACE + block_of("toml"))
    monkeypatch.chdir(tmp_path)
    common = ["--dataset", "data", "--device", "cpu"]
    for words in (
        ["search", "--space", "toy.toml", "--budget", "1", *common],
        ["train", "--design", "ffn:offset(scale=0.5)", "--out", "mine", *common],
    ):
        monkeypatch.setattr(sys, "argv", ["utsearch", *words])
        with pytest.raises(SystemExit) as left:
            main()
        assert not left.value.code
    loaded = utsearch.load(tmp_path / "mine")
    assert loaded.card.design == "ffn:offset(scale=0.5)"
    assert loaded.model(torch.zeros(1, 3, 64, 64)).shape == (1, 2)
