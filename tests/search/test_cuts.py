"""Cuts of the prefix cache chosen from a space."""

from pathlib import Path

from fake_problem import FakeProblem, fake_space

from utsearch.design import Design, DesignError
from utsearch.search.cuts import useful_cuts


def first(design: Design) -> int:
    problem = FakeProblem()
    return min((slot.blocks.resolve(problem.depth)[0] for slot in design.slots), default=problem.depth)


def test_only_cuts_where_designs_begin_are_useful(tmp_path: Path) -> None:
    """The fake space begins at block 0 or 4 of 8; the linear probe needs no block at all."""
    assert set(useful_cuts(fake_space(tmp_path), 8, first)) <= {4, 8}
    assert 8 in useful_cuts(fake_space(tmp_path), 8, first, [Design()] * 3)


def test_the_most_useful_cut_is_first(tmp_path: Path) -> None:
    late = Design.parse("ffn:ssf@6-7")
    assert useful_cuts(fake_space(tmp_path), 8, first, [late] * 2000)[0] == 6


def test_designs_that_do_not_fit_count_nothing(tmp_path: Path) -> None:
    def fails(design: Design) -> int:
        raise DesignError("no such site")

    assert useful_cuts(fake_space(tmp_path), 8, fails) == ()
