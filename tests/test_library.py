"""The library's own surface: a search, a look, an export, a form of one's own, without the command line."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch import Tensor, nn

import utsearch as ut
from utsearch.backbones import Operation, Tuner


class Shift(Tuner):
    """x' = OP(x) + b."""

    name = "shift"
    summary = "OP(x) + b"
    source = "this test"
    sites = ("mha", "ffn", "block")

    def __init__(self, op: Operation) -> None:
        super().__init__()
        self.b = nn.Parameter(torch.zeros(op.d_out))

    def delta(self, x: Tensor) -> Tensor:
        return self.b.expand(*x.shape[:-1], -1)

    @classmethod
    def num_params(cls, op: Operation, rank: int = 0, **options: Any) -> int:
        return op.d_out


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> ut.Study:
    folder = tmp_path_factory.mktemp("home")
    for i in range(32):
        (folder / "data" / f"kind{i % 4}").mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (70, 64), (60 * (i % 4), 7 * i, 99)).save(folder / "data" / f"kind{i % 4}" / f"{i}.png")
    return ut.search(
        str(folder / "data"),
        budget="2",
        shots=4,
        recipe="epochs=1, rungs=1",
        device="cpu",
        studies=folder / "studies",
        study="mine",
        sampler="random",
    )


def test_what_is_searched_is_stored_and_opened_again(study: ut.Study) -> None:
    again = ut.open_study("mine", studies=study.stored.studies_dir)
    assert again.records() == study.records()
    assert len([r for r in study.records() if r.status == "finished"]) == 2
    front = study.front()
    assert front == sorted(front, key=lambda r: r.n_params)
    assert study.best() in front
    assert study.best("under=0").n_params == 0
    with pytest.raises(ut.UserError, match="none of best"):
        study.best("largest")


def test_search_is_a_function_whatever_was_imported_before() -> None:
    code = "{}import utsearch as ut; ut.search('mini-fish')"
    for before in ("", "import utsearch.search;"):
        done = subprocess.run([sys.executable, "-c", code.format(before)], capture_output=True, text=True)
        assert "no data set or folder 'mini-fish'" in done.stderr


def test_it_is_drawn_told_and_taken_away(study: ut.Study, tmp_path: Path) -> None:
    assert len(study.figure().data) > 0
    assert (study._repr_png_() or b"").startswith(b"\x89PNG")
    assert "Tuner designs on" in study.report(tmp_path / "report.html").read_text()
    loaded = study.export(tmp_path / "out", "best")
    Image.new("RGB", (70, 70), "red").save(tmp_path / "red.png")
    ranked = loaded.classify(tmp_path / "red.png")
    assert sum(probability for _, probability in ranked) == pytest.approx(1)
    assert len(ranked) == 4


def test_a_form_of_ones_own_is_a_form() -> None:
    try:
        assert ut.register_form(Shift) is Shift
        ut.register_form(Shift)  # a notebook runs a cell twice
        backbone = ut.load_backbone("vit_mini", pretrained=False)
        assert ut.count("ffn:shift@last/2 + mha:lora(2)@0", backbone) > 2 * 96
        with ut.attached(backbone, "ffn:shift") as tuned:
            assert tuned.n_params == backbone.depth * 96
        with pytest.raises(ut.UserError, match="'lora' is a form already"):
            ut.register_form(type("Other", (Shift,), {"name": "lora"}))
        with pytest.raises(ut.UserError, match="is no form"):
            ut.register_form(nn.Linear)
    finally:
        from utsearch.forms import forget_form

        forget_form("shift")
    with pytest.raises(ut.UserError, match="'shift'"):
        ut.Design.parse("ffn:shift") and ut.count("ffn:shift", backbone)
