"""The recipe's text form and what it refuses."""

import re
from dataclasses import asdict
from pathlib import Path

import pytest

from utsearch.backbones import load_backbone
from utsearch.errors import UserError
from utsearch.forms import catalogue
from utsearch.training import Recipe
from utsearch.tuning import attached


def test_changes_of_the_default() -> None:
    assert Recipe.parse("") == Recipe()
    changed = Recipe.parse("batch_size=64, mixup=0.2,precision=bfloat16")
    assert (changed.batch_size, changed.mixup, changed.precision) == (64, 0.2, "bfloat16")
    assert changed.epochs == Recipe().epochs


@pytest.mark.parametrize(("epochs", "rungs"), [(1, (1,)), (3, (1, 3)), (5, (1, 2, 5)), (100, (20, 40, 100))])
def test_rungs_move_with_the_epochs(epochs: int, rungs: tuple[int, ...]) -> None:
    assert Recipe.parse(f"epochs={epochs}").rungs == rungs


def test_rungs_may_be_given() -> None:
    assert Recipe.parse("epochs=9, rungs=3/9").rungs == (3, 9)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("epoch=3", "no field 'epoch'; there are epochs, rungs"),
        ("epochs=many", "epochs='many' is no int"),
        ("epochs=0", "epochs=0 is not at least 1"),
        ("ema=1.0", "ema=1.0 is not a share from 0 to below 1"),
        ("precision=fp8", "precision=fp8 is not one of auto, float32, bfloat16"),
        ("epochs=9, rungs=3/5", "the last rung is 5, not the last epoch 9"),
        ("rungs=2/2/5", "are not rising epochs"),
        ("rungs=0/5", "are not rising epochs"),
    ],
)
def test_what_cannot_be_trained_is_one_line(text: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        Recipe.parse(text)


def test_stored_and_read_again() -> None:
    recipe = Recipe.parse("epochs=9, ema=0.9")
    stored = {**asdict(recipe), "rungs": list(recipe.rungs), "fingerprint": recipe.fingerprint}
    assert Recipe.from_dict(stored) == recipe
    assert Recipe.from_dict(stored).fingerprint == recipe.fingerprint


def test_the_page_has_the_rate_of_every_form() -> None:
    page = (
        (Path(__file__).parents[2] / "docs" / "recipe.md").read_text().split("| forms | factor |")[1].split("\n\n")[0]
    )
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in page.splitlines()[2:]]
    told = {word: float(factor) for names, factor in rows for word in re.findall(r"[a-z0-9]+", names)}
    assert {name: form.rate for name, form in catalogue().items()} == {
        name: told.get(name, 1.0) for name in catalogue()
    }


def test_an_adapter_of_small_scale_learns_faster() -> None:
    with attached(load_backbone(pretrained=False), "ffn:adapter(2, scale=0.1)@0 + mha:adapter(2)@0 + qkv:ssf") as tuned:
        assert {rate: len(params) for rate, params in tuned.by_rate().items()} == {2.0: 4 + 2 * 6, 0.5: 4}
