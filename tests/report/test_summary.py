"""The sentence of result, in each case that can occur."""

from collections.abc import Callable, Sequence

import pytest

from utsearch.report.summary import caution, comparisons, summary, verdict
from utsearch.search import Record

Make = Callable[..., Record]


@pytest.fixture
def catalogue(record: Make) -> list[Record]:
    return [
        record(0, baseline="linear", design="linear", n_params=0, top1=0.50),
        record(1, baseline="lora-1", design="qkv:lora(1)@all", n_params=1000, top1=0.70),
        record(2, baseline="lora-8", design="qkv:lora(8)@all", n_params=8000, top1=0.80),
    ]


def test_a_clear_win_names_both_designs_and_the_noise(record: Make, catalogue: list[Record]) -> None:
    new = record(3, design="ffn:adapter(2)@0", n_params=1234, top1=0.75)
    text = verdict([*catalogue, new])
    assert text.startswith("New design #3 ffn:adapter(2)@0 (1,234 params): 75.0 % val top-1, +5.0 points over ")
    assert "at most that size (lora-1, 1,000 params, 70.0 %)" in text
    assert "3.5 times the standard error of the difference (1.4)" in text
    assert caution([*catalogue, new]).startswith("One seed, picked as the best of 1 new design,")
    assert "−5.0 against lora-8, the best of any size" in summary([*catalogue, new])


def test_within_the_noise_is_no_win(record: Make, catalogue: list[Record]) -> None:
    records = [*catalogue, record(3, design="ffn:adapter(2)@0", n_params=1234, top1=0.705)]
    assert verdict(records).startswith("No new design beat the catalogue's: the nearest, #3 ffn:adapter(2)@0")
    assert "+0.5 points" in verdict(records)
    assert "within the standard error" in verdict(records)
    assert caution(records) == ""


def test_one_standard_error_is_not_enough(record: Make, catalogue: list[Record]) -> None:
    records = [*catalogue, record(3, n_params=1234, top1=0.72)]
    assert verdict(records).startswith("No new design beat the catalogue's")
    assert "1.4 times the standard error of the difference (1.4)" in verdict(records)


def test_no_new_design_on_the_front(record: Make, catalogue: list[Record]) -> None:
    records = [*catalogue, record(3, design="ffn:adapter(2)@0", n_params=1234, top1=0.6)]
    assert verdict(records).startswith("No new design beat the catalogue's: none is on the front")
    assert "#3 ffn:adapter(2)@0, 1,234 params, 60.0 %" in verdict(records)
    assert not comparisons(records)


def test_beating_the_linear_probe_only_is_said_so(record: Make, catalogue: list[Record]) -> None:
    records = [*catalogue, record(3, n_params=500, top1=0.65)]
    assert "the only catalogue design of at most that size (linear, 0 params, 50.0 %)" in verdict(records)


def test_a_win_over_a_tuner_is_reported_before_a_larger_one_over_the_probe(
    record: Make, catalogue: list[Record]
) -> None:
    records = [*catalogue, record(3, n_params=500, top1=0.69), record(4, n_params=2000, top1=0.73)]
    assert verdict(records).startswith("New design #4 ")


def test_further_wins_are_counted(record: Make, catalogue: list[Record]) -> None:
    records = [*catalogue, record(3, n_params=1500, top1=0.76), record(4, n_params=9000, top1=0.83)]
    assert verdict(records).endswith("1 more design of the front beats its rival.")


@pytest.mark.parametrize(
    ("kept", "start"),
    [
        ([], "No trial has finished yet."),
        (["known"], "No new design has finished yet"),
        (["new"], "No catalogue design has finished"),
    ],
)
def test_unfinished_searches(record: Make, catalogue: list[Record], kept: list[str], start: str) -> None:
    groups: dict[str, Sequence[Record]] = {"known": catalogue, "new": [record(3, top1=0.9)]}
    unfinished = [record(8, status="stopped", top1=0.99), record(9, status="failed", top1=None, epoch=0)]
    assert verdict([*unfinished, *(r for name in kept for r in groups[name])]).startswith(start)


def test_stopped_and_failed_baselines_are_named_as_missing(record: Make, catalogue: list[Record]) -> None:
    records = [*catalogue, record(5, baseline="ssf", status="stopped"), record(6, n_params=9, top1=0.9)]
    assert summary(records).endswith("Not compared, since not finished: ssf.")


def test_unknown_standard_errors_are_admitted(record: Make) -> None:
    pair = [record(0, baseline="linear", n_params=0, standard_error=None), record(1, top1=0.8, standard_error=None)]
    assert "standard error unknown" in verdict(pair)


def test_control_characters_never_reach_the_terminal(record: Make, catalogue: list[Record]) -> None:
    assert "\x1b" not in summary([*catalogue, record(3, design="evil\x1b[2J", n_params=2000, top1=0.9)])
