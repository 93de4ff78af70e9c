"""The page: one file, no network, nothing from data obeyed."""

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from utsearch.report.groups import About, front
from utsearch.report.page import flatten, page, write_page
from utsearch.search import Record

HOSTILE = '<script>alert(1)</script><img src=x onerror=alert(2)>" onload="alert(3)'


@pytest.fixture(scope="module")
def html(study: Sequence[Record], about: About) -> str:
    return page(study, about)


def without_plotly(html: str) -> str:
    """The page without the library, which is some megabytes of text of its own."""
    from plotly.offline import get_plotlyjs

    assert get_plotlyjs() in html
    return html.replace(get_plotlyjs(), "")


def test_it_is_self_contained_and_small(html: str) -> None:
    assert len(html.encode()) <= 6_000_000
    rest = without_plotly(html)
    assert not re.findall(r"(?:https?:)?//[\w.-]+\.\w+", rest)
    assert all(value.startswith("data:") for value in re.findall(r'(?:src|href)="([^"]*)"', rest))
    assert "default-src 'none'" in rest


def test_it_says_what_was_searched_and_what_came_out(html: str, study: Sequence[Record]) -> None:
    text = re.sub(r"<[^>]*>", "", without_plotly(html))
    for words in ("mini-birds", "vit_mini", "space mini", "58 trials", "hypervolume 0.", "New design #", "1 failed"):
        assert words in text
    for record in front(study):
        assert f"#{record.number}</td>" in html


def test_settings_and_fingerprints_are_listed(html: str, about: About) -> None:
    assert "<dt>dataset.fingerprint</dt><dd>6a1f0c52d9e37b84</dd>" in html
    assert dict(flatten(about.settings))["recipe.rungs"] == "[1, 3, 6, 12]"
    assert dict(flatten({"names": list("abcdefghijklmnop")})) == {"names": "a, b, c, … (16 in all)"}


def test_names_from_data_are_shown_not_obeyed(record: Callable[..., Record], about: About) -> None:
    records = [
        record(0, design=HOSTILE, baseline=HOSTILE, n_params=0),
        record(1, design=HOSTILE, top1=0.9),
        record(2, design=HOSTILE, status="stopped", top1=0.5, epoch=1),
    ]
    hostile = replace(
        about, study=HOSTILE, dataset=HOSTILE, backbone=HOSTILE, space=HOSTILE, settings={HOSTILE: {"a": HOSTILE}}
    )
    rest = without_plotly(page(records, hostile))
    assert "alert(1)" in rest
    assert "<script>alert" not in rest
    assert "<img" not in rest
    assert 'onload="' not in rest


def test_a_study_without_results_has_a_page(about: About) -> None:
    assert "No trial has finished yet." in page([], replace(about, scale=None))


def test_writing_leaves_one_whole_file(study: Sequence[Record], about: About, tmp_path: Path) -> None:
    path = write_page(study, about, tmp_path / "made" / "front.html")
    assert path.read_text(encoding="utf-8").rstrip().endswith("</html>")
    assert [file.name for file in path.parent.iterdir()] == ["front.html"]
