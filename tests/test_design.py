"""The text form of a design: inverse of itself, and errors that point at the bad part."""

import pickle
import string
import subprocess
import sys

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from utsearch.design import ALL, Blocks, Design, DesignError, Slot, Value, format_value, parse_value

PATIENT = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # machines may be slow
NAMES = st.from_regex(r"[a-z][a-z0-9_-]{0,6}", fullmatch=True)
VALUES: st.SearchStrategy[Value] = st.one_of(
    st.booleans(),
    st.integers(-(10**6), 10**6),
    st.floats(allow_nan=False, allow_infinity=False),
    st.from_regex(r"[A-Za-z_][A-Za-z0-9_.-]{0,8}", fullmatch=True).filter(lambda word: word not in ("true", "false")),
)
BLOCKS = st.one_of(
    st.just(ALL),
    st.lists(st.integers(0, 30), min_size=1, unique=True).map(lambda indices: Blocks("list", tuple(indices))),
    st.builds(Blocks, st.sampled_from(["first", "last"]), parts=st.integers(2, 9)),
)
SLOTS = st.builds(
    Slot,
    sites=st.lists(NAMES, min_size=1, max_size=3, unique=True).map(tuple),
    form=NAMES,
    rank=st.none() | st.integers(1, 999),
    options=st.dictionaries(NAMES, VALUES, max_size=3).map(lambda options: tuple(options.items())),
    blocks=BLOCKS,
)
DESIGNS = st.lists(SLOTS, max_size=4).map(lambda slots: Design(tuple(slots)))


@PATIENT
@given(DESIGNS)
def test_parse_is_the_inverse_of_str(design: Design) -> None:
    assert Design.parse(str(design)) == design
    assert str(Design.parse(str(design))) == str(design)


@PATIENT
@given(DESIGNS, st.sampled_from(["", " ", "  "]))
def test_white_space_between_the_parts_means_nothing(design: Design, space: str) -> None:
    text = str(design)
    for mark in "|:(),=@":
        text = text.replace(f"{mark} ", mark).replace(mark, f"{space}{mark}{space}")
    assert Design.parse(f"{space}{text}{space}") == design


@PATIENT
@given(VALUES)
def test_a_value_comes_back_with_its_type(value: Value) -> None:
    back = parse_value(format_value(value))
    assert back == value
    assert type(back) is type(value)


@PATIENT
@given(st.text(string.ascii_lowercase + string.digits + "+-_|:(),=@/. ", max_size=30))
def test_any_text_is_a_design_or_a_design_error(text: str) -> None:
    try:
        design = Design.parse(text)
    except DesignError as error:
        assert 0 <= error.start <= len(text)  # noqa: PT017
    else:
        assert Design.parse(str(design)) == design


@pytest.mark.parametrize(
    ("text", "bad", "reason"),
    [
        ("mha:lora(8)@fist/2", "fist/2", "first/2"),
        ("mha:lora(8)@3-1", "3-1", "blocks are"),
        ("mha:lora(8)@0,0", "0,0", "twice"),
        ("mha:lora(8)@last/1", "last/1", "2 or more"),
        ("mha:lora(8)@", "", "blocks are"),
        ("mha:lora(0)", "0", "from 1"),
        ("mha:lora(-3)", "-3", "from 1"),
        ("mha:lora(2.5)", "2.5", "from 1"),
        ("mha:lora(8, a=1, a=2)", "a", "twice"),
        ("mha:lora(8, a=)", "", "a number, true, false or a word"),
        ("mha:lora(8, a=1e999)", "1e999", "finite"),
        ("mha:lora(8, =3)", "", "an option"),
        ("mha:lora(8", "", "another option, or )"),
        ("mha:lora(8 act=relu)", "act", "another option, or )"),
        ("mha:lora(8) ffn:lora(8)", "ffn", 'expected "+"'),
        ("mha:lora(8) +", "", "a site"),
        ("mha lora", "lora", 'expected ":"'),
        ("mha|:lora", "", "a site after |"),
        ("mha|mha:lora", "mha|mha:lora", "each once"),
        ("mha:LoRA(8)", "LoRA", "a form"),
        ("linear + mha:lora(8)", "", 'expected ":"'),
        ("", "", "a site"),
    ],
)
def test_an_error_underlines_the_bad_part(text: str, bad: str, reason: str) -> None:
    with pytest.raises(DesignError) as caught:
        Design.parse(text)
    error = caught.value
    assert reason in error.reason
    assert text[error.start : error.end] == bad
    if text:
        shown, carets = str(error).splitlines()[-2:]
        assert shown == f"  {text}"
        assert carets.index("^") - 2 == error.start
        assert carets.count("^") == max(1, len(bad))


def test_an_error_survives_the_way_from_a_worker() -> None:
    with pytest.raises(DesignError) as caught:
        Design.parse("mha:lora(0)")
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


@pytest.mark.parametrize(
    ("blocks", "depth", "expected"),
    [
        ("all", 3, (0, 1, 2)),
        ("0-2,5", 6, (0, 1, 2, 5)),
        ("5,1", 6, (1, 5)),
        ("first/2", 12, (0, 1, 2, 3, 4, 5)),
        ("first/2", 7, (0, 1, 2, 3)),
        ("last/3", 12, (8, 9, 10, 11)),
        ("last/3", 7, (5, 6)),
        ("last/9", 2, (1,)),
    ],
)
def test_blocks_on_a_depth(blocks: str, depth: int, expected: tuple[int, ...]) -> None:
    assert Blocks.parse(blocks).resolve(depth) == expected


def test_a_block_beyond_the_depth_is_an_error() -> None:
    with pytest.raises(DesignError, match="blocks 0-5, got 4-6"):
        Blocks.parse("4-6").resolve(6)


def test_text_is_normalised() -> None:
    design = Design.parse("  ffn:adapter( 8,scale=2,act=relu )@5,0-1,2 +mha:prefix(10)@all")
    assert str(design) == "ffn:adapter(8, act=relu, scale=2)@0-2,5 + mha:prefix(10)"
    assert Design.parse(" linear ") == Design()
    assert str(Design()) == "linear"


@pytest.mark.parametrize(
    "build",
    [
        lambda: Slot((), "lora"),
        lambda: Slot(("MHA",), "lora"),
        lambda: Slot(("mha",), "lora", 0),
        lambda: Slot(("mha",), "lora", True),
        lambda: Slot(("mha",), "lora", options=(("a", float("nan")),)),
        lambda: Slot(("mha",), "lora", options=(("a", "two words"),)),
        lambda: Slot(("mha",), "lora", options=(("a", "true"),)),
        lambda: Slot(("mha",), "lora", options=(("a", 1), ("a", 2))),
        lambda: Blocks("list"),
        lambda: Blocks("all", (1,)),
        lambda: Blocks("first"),
        lambda: Blocks("list", (-1,)),
        lambda: Blocks("some"),  # type: ignore[arg-type]
    ],
)
def test_what_has_no_text_form_cannot_be_built(build: object) -> None:
    with pytest.raises(DesignError):
        build()  # type: ignore[operator]


def test_designs_need_no_torch() -> None:
    code = "import sys, utsearch.design; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("blocks", ["0-999999999", "999999999999", "5,0-1000", "first/99999999999999999999"])
def test_a_strangers_huge_range_takes_no_memory(blocks: str) -> None:
    with pytest.raises(DesignError):
        Design.parse(f"ffn:adapter(1)@{blocks}")
