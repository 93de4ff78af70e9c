"""Random designs over all forms, sites, insertions and gates: what holds for every one of them."""

import copy
import random

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor

from utsearch.backbones import Backbone, Tuner
from utsearch.design import Blocks, Design, DesignError, Slot
from utsearch.forms import catalogue
from utsearch.tuning import attached, dead_parameters, placements, resolve

QUICK = settings(
    max_examples=30, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
_PLACES: dict[int, list[tuple[str, str, str]]] = {}


def places(backbone: Backbone) -> list[tuple[str, str, str]]:
    found = _PLACES.setdefault(backbone.depth, [])
    found += [] if found else [(p.form, p.site, p.insertion) for p in placements(backbone) if p.reason is None]
    return found


def draw_slot(data: st.DataObject, backbone: Backbone) -> Slot:
    form, site, insertion = data.draw(st.sampled_from(places(backbone)))
    options = {} if insertion == "own" else {"insert": insertion}
    gate = data.draw(st.sampled_from(["none", "none", "scalar", "sigmoid"]))
    options |= {} if gate == "none" or site == "stem" else {"gate": gate}
    rank = data.draw(st.sampled_from([2, 4])) if catalogue()[form].info().rank else None
    inside = (site, None) not in backbone.operations
    blocks = data.draw(st.sampled_from(["all", "first/2", "last/2", "1,3"])) if inside else "all"
    return Slot((site,), form, rank, tuple(options.items()), Blocks.parse(blocks))


def draw_design(data: st.DataObject, backbone: Backbone) -> Design:
    """Slots that go together: one after another, leaving out those that are refused beside the others."""
    design = Design()
    for _ in range(data.draw(st.integers(1, 4))):
        longer = Design((*design.slots, draw_slot(data, backbone)))
        try:
            resolve(longer, backbone)
        except DesignError as error:
            if not any(word in error.reason for word in ("twice", "both replace", "could not learn")):
                raise
            continue
        design = longer
    return design


@QUICK
@given(data=st.data())
def test_what_holds_for_every_design(backbone: Backbone, images: Tensor, data: st.DataObject) -> None:
    design = draw_design(data, backbone)
    assert Design.parse(str(design)) == design
    resolved = resolve(design, backbone)
    slots = list(design.slots)
    random.Random(len(slots)).shuffle(slots)
    shuffled = Design(tuple(slots))
    assert resolve(shuffled, backbone).digest == resolved.digest == resolve(resolved.design, backbone).digest
    bare = backbone.model(images)
    with attached(backbone, design) as tuned:
        assert tuned.n_params == resolved.n_params
        tuners = [module for module in backbone.model.modules() if isinstance(module, Tuner)]
        if all(tuner.identity for tuner in tuners):
            torch.testing.assert_close(backbone.model(images), bare, rtol=0, atol=1e-5)
        for value in tuned.state_dict().values():
            value.add_(0.05)
        state, logits = copy.deepcopy(tuned.state_dict()), backbone.model(images)
    with attached(backbone, shuffled) as again:
        again.load_state_dict(state)
        assert torch.equal(backbone.model(images), logits)
    assert torch.equal(backbone.model(images), bare)
    assert dead_parameters(backbone, design) == []


def test_every_place_is_drawn_from(backbone: Backbone) -> None:
    assert {form for form, _, _ in places(backbone)} == set(catalogue())


def test_the_reasons_are_those_of_the_errors(backbone: Backbone) -> None:
    for row in placements(backbone):
        insert = "" if row.insertion == "own" else f"insert={row.insertion}"
        rank = "2" if catalogue()[row.form].info().rank else ""
        text = f"{row.site}:{row.form}({', '.join(filter(None, (rank, insert)))})"
        if row.reason is not None:
            with pytest.raises(DesignError) as caught:
                resolve(text, backbone)
            assert caught.value.reason == row.reason
