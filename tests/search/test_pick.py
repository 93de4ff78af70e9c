"""Which trial a wish names."""

import pytest

from utsearch.errors import UserError
from utsearch.search import Record, parse_bytes, parse_size, pick_record


def record(number: int, n_params: int, top1: float | None, status: str = "finished") -> Record:
    return Record(
        number=number,
        design=f"ffn:lora({number + 1})",
        digest=str(number),
        n_params=n_params,
        n_head=10,
        top1=top1,
        standard_error=0.01,
        epoch=9,
        status=status,  # type: ignore[arg-type]
        baseline=None,
        seconds=1.0,
        rungs=(),
        reason=None,
        seed=0,
        started=None,
    )


RECORDS = [
    record(0, 0, 0.50),
    record(1, 1_000, 0.78),
    record(2, 40_000, 0.80),
    record(3, 60_000, 0.82),
    record(4, 50_000, 0.79),
    record(5, 500, 0.99, "stopped"),
    record(6, 500, None, "failed"),
]


@pytest.mark.parametrize(
    ("wish", "number"),
    [("best", 3), ("knee", 1), ("under=50k", 2), ("under=999", 0), ("under=0.04M", 2), ("trial=4", 4), ("trial=5", 5)],
)
def test_wishes(wish: str, number: int) -> None:
    assert pick_record(RECORDS, wish).number == number


@pytest.mark.parametrize(
    ("wish", "message"),
    [
        ("fastest", "none of best, knee, under=50k, trial=7"),
        ("under=few", "no number of parameters"),
        ("trial=99", "no trial 99; there are 0 to 6"),
        ("trial=6", "trial 6 is failed and has no weights"),
        ("best=3", "none of best"),
    ],
)
def test_wrong_wishes_say_what_there_is(wish: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        pick_record(RECORDS, wish)


def test_nothing_finished_or_nothing_small_enough() -> None:
    with pytest.raises(UserError, match="no trial has finished yet"):
        pick_record(RECORDS[5:], "best")
    with pytest.raises(UserError, match="at most 5 parameters; the smallest has 1,000"):
        pick_record(RECORDS[1:], "under=5")


@pytest.mark.parametrize(("text", "size"), [("50000", 50_000), ("50k", 50_000), ("1.5M", 1_500_000), (" 7K ", 7_000)])
def test_sizes(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize(
    ("text", "expected"), [("0", 0), ("500m", 5 * 10**8), ("1.5GB", 15 * 10**8), ("2t", 2 * 10**12)]
)
def test_amounts_of_memory(text: str, expected: int) -> None:
    assert parse_bytes(text) == expected


@pytest.mark.parametrize("text", ["lots", "-1g", "1e9", ""])
def test_what_is_no_amount_of_memory_is_one_line(text: str) -> None:
    with pytest.raises(UserError, match="is no amount of memory, such as 500m"):
        parse_bytes(text)
