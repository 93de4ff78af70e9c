"""What every form must do; a new form is found by its file and tested by this suite."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import utsearch.forms
from utsearch.backbones import SITES, Backbone, Operation, Tuner
from utsearch.design import Design, DesignError
from utsearch.forms import catalogue, info
from utsearch.tuning import attached, dead_parameters, fits, resolve


def variants(form: type[Tuner]) -> Iterator[str]:
    """The form with its defaults, and with each other value of a closed list of options."""
    rank = ["8"] if form.info().rank else []
    options = form.info().options.items()
    for chosen in [[], *([f"{key}={value}"] for key, o in options for value in o.choices or () if value != o.default)]:
        if chosen == ["read=pre"]:
            chosen = ["insert=parallel", "read=pre"]
        yield f"{form.name}({', '.join(rank + chosen)})"


CASES = [(site, text) for form in catalogue().values() for site in form.sites for text in variants(form)]


def test_the_forms_of_the_folder() -> None:
    own = {path.stem for path in Path(utsearch.forms.__file__).parent.glob("[a-z]*.py")}
    assert set(catalogue()) == own
    assert list(info()) == list(catalogue())


@pytest.mark.parametrize("form", catalogue().values(), ids=str)
def test_a_form_says_what_it_is(form: type[Tuner]) -> None:
    assert form.summary
    assert "arXiv" in form.source
    assert set(form.sites) <= set(SITES)
    assert form.__doc__
    assert "nitial values" in form.__doc__


@pytest.mark.parametrize(("site", "text"), CASES)
def test_every_form_at_every_site(backbone: Backbone, images: Tensor, site: str, text: str) -> None:
    """Counted as built, the identity if it says so, alive, and gone without a trace."""
    design = f"{site}:{text}"
    if site not in backbone.sites:
        pytest.skip("other backbones have it, see tests/tuning/test_families.py")
    if not fits(Design.parse(design), backbone):
        with pytest.raises(DesignError, match="cannot stand at the") as refused:
            resolve(design, backbone)
        assert refused.value.reason.split(": ")[1]
        assert ("read=pre" in text and site == "block") or (site, "gate=sigmoid" in text) == ("stem", True)
        return
    bare = backbone.model(images)
    with attached(backbone, design) as tuned:
        assert tuned.n_params == resolve(design, backbone).n_params > 0
        tuners = [m for m in backbone.model.modules() if isinstance(m, Tuner)]
        same = torch.equal(backbone.model(images), bare)
        assert same is all(tuner.identity for tuner in tuners)
    assert torch.equal(backbone.model(images), bare)
    assert dead_parameters(backbone, design) == []


class Offset(Tuner):
    """x' = OP(x) + b. Initial values: b = 0."""

    name = "offset"
    summary = "OP(x) + b"
    source = "this test"
    sites = ("ffn", "block")

    def __init__(self, op: Operation) -> None:
        super().__init__()
        self.b = torch.nn.Parameter(torch.zeros(op.d_out))

    def delta(self, x: Tensor) -> Tensor:
        return self.b.expand(*x.shape[:-1], -1)

    @classmethod
    def num_params(cls, op: Operation, rank: int = 0, **options: Any) -> int:
        return op.d_out


class Point:
    """An entry point that names a form of another package."""

    def load(self) -> type[Tuner]:
        return Offset


def test_another_package_adds_a_form_by_an_entry_point(
    monkeypatch: pytest.MonkeyPatch, backbone: Backbone, images: Tensor
) -> None:
    monkeypatch.setattr(utsearch.forms, "entry_points", lambda group: [Point()] if group == "utsearch.forms" else [])
    monkeypatch.setattr(utsearch.forms, "_forms", utsearch.forms._forms.__wrapped__)
    assert catalogue()["offset"] is Offset
    assert dead_parameters(backbone, "ffn|block:offset") == []
    assert resolve("ffn:offset@0,2", backbone).n_params == 48


def test_a_name_taken_twice_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Offset, "name", "lora")
    monkeypatch.setattr(utsearch.forms, "entry_points", lambda group: [Point()])
    with pytest.raises(TypeError, match="two forms have the name lora"):
        utsearch.forms._forms.__wrapped__()
