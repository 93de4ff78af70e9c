"""The front in a terminal, in a pipe, as JSON."""

import io
import json
from collections.abc import Callable, Sequence

import pytest
from rich.console import Console

from utsearch.report.groups import About, front
from utsearch.report.table import front_json, front_table, front_text, print_front
from utsearch.search import Record

LONG = "mha:prefix(10)@all + ffn:adapter(8, act=relu, insert=parallel, scale=0.1)@last/2 + qkv:lora(4)@0-2,5"


def rendered(records: Sequence[Record], width: int) -> str:
    console = Console(width=width, file=io.StringIO(), force_terminal=True, color_system=None)
    console.print(front_table(records))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@pytest.mark.parametrize("width", [60, 100, 200])
def test_numbers_stay_whole_and_only_the_design_wraps(record: Callable[..., Record], width: int) -> None:
    wide = record(123, design=LONG, n_params=1_234_567, top1=0.8123, seconds=3750.0)
    lines = rendered([wide], width).splitlines()
    assert max(map(len, lines)) <= width
    for word in ("#123", "1,234,567", "81.2 ± 0.9", "1 h 02 min"):
        assert any(word in line for line in lines)
    words = "".join("".join(lines).split())
    assert all(part in words for part in ("mha:prefix(10)@all", "last/2", "qkv:lora(4)@0-2,5"))
    assert (len(lines) > 5) == (width < 200)


def test_rows_are_the_front_from_small_to_large(study: Sequence[Record]) -> None:
    numbers = [line.split()[0] for line in front_text(study).splitlines()[1:]]
    assert numbers == [f"#{record.number}" for record in front(study)]
    params = [record.n_params for record in front(study)]
    assert params == sorted(params)


def test_plain_lines_are_aligned_unwrapped_and_name_the_catalogue(record: Callable[..., Record]) -> None:
    records = [record(0, baseline="lora-8", n_params=5), record(1, design=LONG, n_params=60_000, top1=0.9)]
    head, first, second = front_text(records).splitlines()
    assert second.endswith(LONG)
    assert "lora-8" in first
    assert head.index("design") == first.index("ffn:adapter") == second.index(LONG)


def test_markup_and_control_characters_of_a_design_are_shown_not_obeyed(record: Callable[..., Record]) -> None:
    text = rendered([record(0, design="[red]a[/]\x1b[2Jb")], 100)
    assert "[red]a[/]" in text
    assert "\x1b[2J" not in text


def test_a_pipe_gets_plain_lines(study: Sequence[Record]) -> None:
    console = Console(file=io.StringIO(), width=20)
    print_front(study, console)
    assert isinstance(console.file, io.StringIO)
    assert console.file.getvalue() == front_text(study) + "\n"


def test_json_holds_the_records_in_the_units_of_the_library(study: Sequence[Record], about: About) -> None:
    values = json.loads(json.dumps(front_json(study, about)))
    assert [item["number"] for item in values["front"]] == [record.number for record in front(study)]
    assert values["front"][0]["top1"] == front(study)[0].top1
    assert 0 < values["hypervolume"] < 1
    assert values["verdict"].startswith("New design #")


def test_an_empty_front_prints_its_headings() -> None:
    assert "params" in rendered([], 80)
    assert front_text([]).split()[:2] == ["trial", "params"]
