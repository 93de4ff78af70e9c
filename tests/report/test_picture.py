"""The front's PNG: points where the numbers say, in colours of its own."""

import io
from collections.abc import Callable, Sequence

import pytest
from PIL import Image

from utsearch.report.picture import HEIGHT, NEW, SCALE, WIDTH, front_picture
from utsearch.search import Record

Make = Callable[..., Record]


def colours(data: bytes) -> dict[tuple[int, ...], int]:
    image = Image.open(io.BytesIO(data)).convert("RGB")
    assert image.size == (WIDTH * SCALE, HEIGHT * SCALE)
    return {colour: n for n, colour in image.getcolors(1 << 24) or []}


def test_it_is_small_and_the_marked_trial_has_a_ring(study: Sequence[Record]) -> None:
    new = next(r for r in study if r.status == "finished" and not r.baseline)
    plain, marked = front_picture(study), front_picture(study, new.number)
    assert len(plain) < 60_000
    assert plain != marked
    assert plain == front_picture(study)


def test_a_new_design_has_its_colour_and_a_name_cannot_do_harm(record: Make) -> None:
    known = record(0, design="linear", baseline="linear\x1b[2J<b>", n_params=0, top1=0.5)
    alone = colours(front_picture([known]))
    both = colours(front_picture([known, record(1, n_params=1000, top1=0.6)]))
    wanted = tuple(int(NEW[i : i + 2], 16) for i in (1, 3, 5))

    def near(found: dict[tuple[int, ...], int]) -> int:
        return sum(n for c, n in found.items() if sum(abs(a - b) for a, b in zip(c, wanted, strict=True)) < 30)

    assert near(both) > near(alone) + 80  # a disc of six pixels in radius


def test_nothing_finished_is_no_picture(record: Make) -> None:
    with pytest.raises(ValueError, match="finished"):
        front_picture([record(0, status="failed", top1=None)])
