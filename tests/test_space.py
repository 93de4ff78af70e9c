"""Spaces: flat choices to designs and back, and errors that name file, line and key."""

from pathlib import Path
from typing import Any

import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from utsearch.design import Design, FormInfo, OptionInfo
from utsearch.space import Space, SpaceError, load_space, spaces

CATALOGUE = {
    "adapter": FormInfo(
        "adapter",
        ("mha", "ffn", "block"),
        True,
        {
            "insert": OptionInfo(str, "sequential", ("sequential", "parallel")),
            "scale": OptionInfo(float, 1.0),
        },
    ),
    "ssf": FormInfo("ssf", ("mha", "ffn"), False),
}
GOOD = """\
title = "a test"

[hypervolume]
p0 = 100
p_max = 10_000

[positions]
first = [0.0, 0.5]
count = [0.5, 1.0]

[slots.ffn]
sites = ["ffn"]

[slots.ffn.forms.adapter]
rank = [1, 2, 4]
insert = ["sequential", "parallel"]

[slots.ffn.forms.ssf]

[slots.mha]
sites = ["mha"]
optional = false

[slots.mha.forms.adapter]
rank = [8, 16]
scale = 0.1
"""


def write(tmp_path: Path, text: str) -> str:
    path = tmp_path / "test.toml"
    path.write_text(text)
    return str(path)


@pytest.fixture
def space(tmp_path: Path) -> Space:
    return load_space(write(tmp_path, GOOD), CATALOGUE)


class Choices:
    """A trial that takes its choices from a dictionary."""

    def __init__(self, chosen: dict[str, Any]) -> None:
        self.chosen = chosen

    def suggest_categorical(self, name: str, choices: Any) -> Any:
        assert self.chosen[name] in choices
        return self.chosen[name]

    def suggest_int(self, name: str, low: int, high: int) -> int:
        assert low <= self.chosen[name] <= high
        return self.chosen[name]


def test_every_trial_has_the_same_parameters_and_rebuilds_its_design(space: Space) -> None:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    for _ in range(40):
        trial = study.ask()
        design = space.suggest(trial, 12)
        assert set(trial.params) == set(space.parameters)
        assert space.suggest(study.trials[trial.number], 12) == design
        assert Design.parse(str(design)) == design


def test_a_design_is_what_was_chosen(space: Space) -> None:
    chosen = {name: choices[-1] for name, choices in space.parameters.items()}
    assert str(space.suggest(Choices(chosen), 12)) == "ffn:ssf@6-11 + mha:adapter(16, scale=0.1)@6-11"
    chosen |= {"ffn.form": "adapter", "ffn.rank": 0, "ffn.first": 0, "mha.first": 0, "mha.count": 0}
    text = "ffn:adapter(1, insert=parallel) + mha:adapter(16, scale=0.1)@0-5"
    assert str(space.suggest(Choices(chosen), 12)) == text


def test_rank_index_reaches_every_rank_of_a_shorter_list(space: Space) -> None:
    base = {name: choices[0] for name, choices in space.parameters.items()}
    ranks = {
        slot.rank
        for index in range(3)
        for slot in space.suggest(Choices(base | {"ffn.form": "adapter", "ffn.rank": index}), 12).slots
        if slot.sites == ("ffn",)
    }
    assert ranks == {1, 2, 4}


@given(st.data())
@settings(max_examples=60)
def test_choices_of_is_the_inverse_of_suggest(data: st.DataObject) -> None:
    space = load_space("mini", _forms())
    chosen = {name: data.draw(st.sampled_from(choices)) for name, choices in space.parameters.items()}
    design = space.suggest(Choices(chosen), 6)
    found = space.choices_of(design, 6)
    assert found is not None
    assert space.suggest(Choices(found), 6) == design


def test_a_design_from_outside_has_no_choices(space: Space) -> None:
    for text in ("ffn:adapter(3)", "qkv:lora(8)", "ffn:adapter(2)@3"):
        assert space.choices_of(Design.parse(text), 12) is None


def test_groups_have_choices_of_their_own(tmp_path: Path) -> None:
    space = load_space(write(tmp_path, GOOD.replace('"a test"', '"a test"\ngroups = 3')), CATALOGUE)
    assert len(space.parameters) == 3 * len(load_space(write(tmp_path, GOOD), CATALOGUE).parameters)
    chosen = {name: choices[0] for name, choices in space.parameters.items()}
    chosen |= {"g0.ffn.form": "ssf", "g0.ffn.count": 1, "g2.ffn.form": "adapter", "g2.ffn.count": 1}
    design = space.suggest(Choices(chosen), 12)
    assert "ffn:ssf@0-3" in str(design)
    assert "ffn:adapter(1)@8-11" in str(design)


def test_fingerprint_ignores_comments_and_sees_values(tmp_path: Path) -> None:
    first = load_space(write(tmp_path, GOOD), CATALOGUE).fingerprint
    assert load_space(write(tmp_path, "# hello\n" + GOOD), CATALOGUE).fingerprint == first
    assert load_space(write(tmp_path, GOOD.replace("[1, 2, 4]", "[1, 2, 8]")), CATALOGUE).fingerprint != first


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("[slots.ffn.forms.adapter]", "[slots.ffn.forms.adaptor]", r"test\.toml:14: .*no form 'adaptor'.*adapter"),
        ("insert = [", "isnert = [", r"test\.toml:16: .*no option 'isnert'.*insert"),
        ('"parallel"]', '"paralel"]', r"test\.toml:16: .*insert of adapter is one of.*'paralel'"),
        ("rank = [1, 2, 4]", "rank = [0, 2]", r"test\.toml:15: .*ranks are whole numbers from 1"),
        ("rank = [1, 2, 4]\n", "", r"test\.toml:14: .*adapter needs rank"),
        ("[slots.ffn.forms.ssf]", "[slots.ffn.forms.ssf]\nrank = [1]", r"test\.toml:18: .*ssf has no rank"),
        ("optional = false", "optionnal = false", r"test\.toml:22: .*unknown key.*optional"),
        ("p_max = 10_000", 'p_max = "many"', r"test\.toml:5: hypervolume\.p_max"),
        ("p_max = 10_000", "p_max = 10", r"test\.toml:3: .*p_max must be larger"),
        ("p0 = 100\n", "", r"test\.toml:3: hypervolume\.p0: this key is missing"),
        ("first = [0.0, 0.5]", "first = [0.0, 7]", r"test\.toml:8: positions\.first"),
        ('title = "a test"', "title = ", r"test\.toml: .*line 1"),
    ],
)
def test_errors_name_file_line_and_key(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in GOOD
    with pytest.raises(SpaceError, match=message):
        load_space(write(tmp_path, GOOD.replace(old, new)), CATALOGUE)


def test_unknown_site_is_named(tmp_path: Path) -> None:
    with pytest.raises(SpaceError, match=r"test\.toml:12: slots\.ffn\.sites: no site 'ffn'; there are attn"):
        load_space(write(tmp_path, GOOD), CATALOGUE, {"attn"})


def test_missing_space_lists_those_there_are() -> None:
    assert {"mini", "utuning"} <= set(spaces())
    with pytest.raises(SpaceError, match="no space 'utunning'; did you mean utuning"):
        load_space("utunning", CATALOGUE)


def test_binary_file_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "space.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SpaceError, match="is not a text file"):
        load_space(str(tmp_path / "space.toml"), CATALOGUE)


@pytest.mark.parametrize("name", sorted(spaces()))
def test_shipped_spaces_fit_the_forms_and_say_their_command(name: str) -> None:
    space = load_space(name, _forms())
    assert f"python cli.py search --space {name}" in space.text
    assert space.title
    assert {name for name, _, _ in space.examples()} == set(space.slots)


def _forms() -> dict[str, FormInfo]:
    from utsearch.forms import info

    return dict(info())


def test_a_slot_around_the_blocks_has_no_position(tmp_path: Path) -> None:
    """The trunk stands there once, in the first group, whatever the positions say."""
    text = GOOD.replace(
        "[positions]", "[slots.trunk]\nsites = ['trunk']\n[slots.trunk.forms.prompt]\nrank = 5\n[positions]"
    )
    catalogue = CATALOGUE | {"prompt": FormInfo("prompt", ("trunk",), True)}
    for groups in (1, 3):
        space = load_space(write(tmp_path, f"groups = {groups}\n{text}"), catalogue)
        chosen = {name: choices[-1] for name, choices in space.parameters.items()}
        design = space.suggest(optuna.trial.FixedTrial(chosen), 12)
        assert str(design).count("trunk:prompt(5)") == 1
        assert "trunk:prompt(5)@" not in str(design)


def test_a_form_where_it_cannot_stand_is_a_mistake_in_the_file(tmp_path: Path) -> None:
    text = GOOD.replace('sites = ["ffn"]', 'sites = ["ffn", "qkv"]')
    catalogue = {**CATALOGUE, "ssf": FormInfo("ssf", ("mha", "ffn"), False, elsewhere="it says so")}
    catalogue["lora"] = FormInfo("lora", ("qkv",), True)
    with pytest.raises(SpaceError, match=r"test\.toml:\d+: .*adapter cannot stand at qkv, only at mha, ffn, block"):
        load_space(write(tmp_path, text), catalogue)
    del_adapter = text.replace('[slots.ffn.forms.adapter]\nrank = [1, 2, 4]\ninsert = ["sequential", "parallel"]\n', "")
    with pytest.raises(SpaceError, match="ssf cannot stand at qkv, only at mha, ffn: it says so"):
        load_space(write(tmp_path, del_adapter), catalogue)
