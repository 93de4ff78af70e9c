"""One digest however a design is written, and errors that point at what does not fit."""

import pytest
import timm
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

import utsearch.forms
from utsearch.backbones import Backbone, Operation, Stage, Tuner
from utsearch.design import Design, DesignError, Slot
from utsearch.tuning import Cell, count, resolve


@pytest.fixture(scope="module")
def vit() -> Backbone:
    with torch.device("meta"):
        return Backbone("vit", "none", timm.create_model("vit_tiny_patch16_224", num_classes=0), 224)


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ("mha:lora(8)", "mha:lora(8)@0-11"),
        ("mha:lora(8)@first/2 + mha:lora(8)@last/2", "mha:lora(8)@all"),
        ("mha:lora(8)@last/2", "mha:lora(8)@6-11"),
        ("mha:lora(8) + ffn:adapter(4)", "ffn:adapter(4) + mha:lora(8)"),
        ("mha:lora(8) + ffn:lora(8)", "ffn|mha:lora(8)"),
        ("linears|norms:ssf", "norm1:ssf + norm2:ssf + qkv:ssf + proj|fc2|fc1:ssf"),
        ("stem|tail|linears:ssf", "linears:ssf + tail:ssf + stem:ssf@all"),
        ("ffn:adapter(8, act=gelu, scale=1)", "ffn:adapter(8)"),
        ("ffn:lora(8, alpha=8)", "ffn:lora(8, alpha=8.0)"),
        ("ffn:lora(8, alpha=16)", "ffn:lora(8, alpha=16.0)"),
        ("mha:lora(8)@0,2 + ffn:lora(8)@0,2 + mha:lora(8)@1", "mha:lora(8)@0-2 + ffn:lora(8)@2,0"),
    ],
)
def test_the_same_design_has_one_digest(vit: Backbone, one: str, two: str) -> None:
    first, second = resolve(one, vit), resolve(two, vit)
    assert first == second
    assert len(first.digest) == 16


def test_other_designs_have_other_digests(vit: Backbone) -> None:
    texts = [
        "linear",
        "mha:lora(8)",
        "mha:lora(4)",
        "ffn:lora(8)",
        "mha:lora(8)@0-10",
        "mha:lora(8, alpha=4)",
        "mha:lora(8, insert=sequential)",
        "mha:adapter(8)",
        "mha:adapter(8)@0 + mha:adapter(8, act=relu)@1",
        "mha:adapter(8)@1 + mha:adapter(8, act=relu)@0",
        "stem:ssf",
        "tail:ssf",
    ]
    assert len({resolve(text, vit).digest for text in texts}) == len(texts)


def test_a_digest_known_by_heart(vit: Backbone) -> None:
    """Studies store digests: they must not move from version to version."""
    assert resolve("mha:prefix(10) + ffn:adapter(8, act=relu)@last/2 + stem:ssf", vit).digest == "0363b18adf95f91c"


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("linear", "linear"),
        ("mha:lora(8)@0-11", "mha:lora(8)"),
        ("mha:lora(8)@last/3", "mha:lora(8)@8-11"),
        ("ffn:adapter(4)@3 + ffn|mha:adapter(4)@0", "mha:adapter(4)@0 + ffn:adapter(4)@0,3"),
        ("tail|fc2|fc1|proj|qkv:ssf + stem:ssf", "linears|stem|tail:ssf"),
        ("qkv|proj|fc1:ssf", "qkv|proj|fc1:ssf"),
        ("block:adapter(8, scale=1.0, act=relu)", "block:adapter(8, act=relu)"),
    ],
)
def test_the_canonical_text(vit: Backbone, text: str, canonical: str) -> None:
    assert str(resolve(text, vit).design) == canonical


CELLS = st.lists(
    st.builds(
        Cell,
        block=st.integers(0, 11),
        site=st.sampled_from(["mha", "ffn", "qkv", "proj", "fc1", "fc2"]),
        form=st.sampled_from(["lora", "ssf"]),
        rank=st.integers(1, 3),
        options=st.sampled_from([(), (("alpha", 2.0),)]),
    ).map(lambda cell: Cell(cell.block, cell.site, "ssf") if cell.form == "ssf" else cell),
    unique_by=lambda cell: (cell.block, cell.site, cell.form, cell.options),
    max_size=12,
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(CELLS, st.randoms(use_true_random=False))
def test_cells_in_any_order_are_one_design(vit: Backbone, cells: list[Cell], random: object) -> None:
    expected = resolve(_design(cells), vit)
    random.shuffle(cells)  # type: ignore[attr-defined]
    assert resolve(_design(cells), vit) == expected
    assert resolve(expected.design, vit) == expected
    assert resolve(str(expected.design), vit) == expected
    assert set(expected.cells) == set(cells)


def _design(cells: list[Cell]) -> Design:
    """One slot for each cell."""
    slots = [str(Slot((c.site,), c.form, c.rank, c.options)) + f"@{c.block}" for c in cells]
    return Design.parse(" + ".join(slots) or "linear")


@pytest.mark.parametrize(
    ("text", "bad", "reason"),
    [
        ("mha:lora(8) + mha:lorra(8)", "lorra", "did you mean lora"),
        ("mhaa:lora(8)", "mhaa", "did you mean mha"),
        ("gate:lora(8)", "gate", "it has mha, ffn, block"),
        ("mha|qkv:adapter(8)", "qkv", "adapter cannot stand at qkv, only at mha, mixer, ffn, block"),
        ("norms:lora(8)", "norms", "lora cannot stand at norm1"),
        ("mha:lora", "lora", "needs a rank"),
        ("stem:ssf(3)", "ssf(3", "ssf has no rank, got 3"),
        ("mha:lora(8)@0-12", "@0-12", "blocks 0-11"),
        ("mha:lora(8) + ffn|mha:lora(4)@5", "ffn|mha", "lora is given twice at the mha of block 5"),
        ("linears|qkv:ssf", "qkv", "qkv is given twice"),
        ("stem:ssf@0-3", "stem", "stands outside the blocks"),
        ("mha:adapter(8, act=tanh)", "act=", "one of gelu, relu, silu, none, got 'tanh'"),
        ("mha:adapter(8, akt=relu)", "akt=", "did you mean act"),
        ("mha:ssf(a=1)", "a=", "there are gate"),
        ("mha:lora(8, alpha=true)", "alpha=", "a number, got True"),
        ("mha:adapter(8, read=pre)", "adapter", "insert=parallel"),
        ("mha:adapter(8, act=relu, ct=relu)", "ct=", "no option 'ct'"),
        ("mha:adapter(8, scale=0)", "adapter", "never learns"),
        ("mha:lora(8, alpha=0.0)", "lora", "never learns"),
        (f"mha:lora(8, alpha={10**400})", str(10**400), "at most 18 digits"),
        ("block:adapter(8, insert=parallel, read=pre)", "adapter", "no norm feeds the block of block 0"),
    ],
)
def test_an_error_points_at_what_does_not_fit(vit: Backbone, text: str, bad: str, reason: str) -> None:
    with pytest.raises(DesignError) as caught:
        resolve(text, vit)
    error = caught.value
    assert reason in error.reason
    assert error.text[error.start : error.end] == bad


def _without(backbone: Backbone, site: str, block: int) -> Backbone:
    """The backbone lacking one operation."""
    partial = Backbone.__new__(Backbone)
    partial.__dict__ = backbone.__dict__ | {
        "operations": {key: op for key, op in backbone.operations.items() if key != (site, block)}
    }
    return partial


def test_a_site_missing_in_some_blocks_is_said(vit: Backbone) -> None:
    partial = _without(vit, "proj", 3)
    with pytest.raises(DesignError, match="no proj in block 3, only in 0-2,4-11"):
        resolve("proj:lora(8)@2-4", partial)
    assert len(resolve("proj:lora(8)", partial).cells) == 11
    assert str(resolve("proj:lora(8)", partial).design) == "proj:lora(8)"
    with pytest.raises(DesignError, match="no proj in first/12, only in"):
        resolve("proj:lora(8)@first/12", _without(partial, "proj", 0))


def test_a_group_without_members_is_said(vit: Backbone) -> None:
    operations = {key: op for key, op in vit.operations.items() if key[0] in ("mha", "norm1", "block")}
    partial = Backbone.__new__(Backbone)
    partial.__dict__ = vit.__dict__ | {"operations": operations}
    with pytest.raises(
        DesignError,
        match=r"no site 'linears' \(.* called once, on tokens or a map\); it has mha, block, norm1, norms\n",
    ):
        resolve("linears:lora(8)", partial)
    assert str(resolve("norms:ssf", partial).design) == "norm1:ssf"


def test_two_forms_cannot_both_replace_the_weights(vit: Backbone, monkeypatch: pytest.MonkeyPatch) -> None:
    class Twice(Tuner):
        name, summary, source, sites, stage = "twice", "2·OP(x)", "this test", ("mha",), Stage.WEIGHTS

        def __init__(self, op: Operation) -> None:
            super().__init__()

        def forward(self, op: nn.Module, x: Tensor) -> Tensor:  # type: ignore[override]
            return 2 * op.untuned(x)

    own = utsearch.forms.catalogue()
    with pytest.raises(DesignError, match="prefix and twice both replace the weights of the mha of block 3"):
        resolve("mha:prefix(4) + mha:twice@3", vit, own | {"twice": Twice})


def test_several_tuners_of_one_form_with_other_options(vit: Backbone) -> None:
    both = resolve("ffn:adapter(8) + ffn:adapter(8, insert=parallel)", vit)
    assert len(both.cells) == 24


def test_a_design_or_its_text(vit: Backbone) -> None:
    assert count("mha:lora(8)", vit) == count(Design.parse("mha:lora(8)"), vit) == 12 * 8 * 2 * 192
