"""The race: its plain loop learns what a search's run learns, and its clock and ratios are right."""

import math
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom
from toy_problem import DESIGN, toy_problem

from utsearch.design import Design
from utsearch.pareto import Scale, front, hypervolume
from utsearch.tabular import Replay, open_table

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
from racing import plain
from racing.recorded import Costs, Lane, Trial, play, play_oracle, play_plain, timed
from racing.trace import End, Steps, median, ratio, steps

SCALE = Scale(100, 10_000, 0.5)
ENDS = st.lists(st.tuples(st.integers(1, 20_000), st.floats(0, 1), st.booleans()), min_size=1, max_size=12)


def test_a_prior_costs_epochs_of_a_middling_design_and_its_designs_go_first() -> None:
    """Six bands, one design each, the best-ranked of its band; the ranking's time is part of the lane's."""
    table = open_table()
    inside = [e for e in table.entries.values() if e.in_space and e.n_params]
    scores = {entry.digest: float(int(entry.digest[:6], 16)) for entry in inside}
    costs = Costs(table, {"cached": {entry.first_tuned: 1.0 for entry in inside}}, fill=7.0, prior=(scores, 2.0))
    middling = inside[len(inside) // 2].digest
    half = min(table.curves[middling, seed][-1].seconds for seed in table.seeds) / 2
    assert costs.setting_up == pytest.approx(7.0 + half)
    lane = Lane("ehvi", "forecast", prior=True)
    first = play(lane, table, 0, lambda trials: len(trials) >= 6, scores)
    bands = [inside[i * len(inside) // 6 : (i + 1) * len(inside) // 6] for i in range(6)]
    best = {max((e.digest for e in band), key=scores.__getitem__) for band in bands}
    assert len({trial.digest for trial in first} & best) >= 5  # bands of 314 designs may differ by one at an edge
    assert timed(first, lane, costs)[0].seconds > costs.setting_up


def test_plain_loop_ends_where_an_uncached_run_does() -> None:
    problem = toy_problem()
    *_, last = problem.start(DESIGN, 3).rungs()
    assert plain.train(problem, problem.resolve(DESIGN), 3) == pytest.approx(last.top1, abs=1e-6)


@pytest.mark.parametrize("design", ["qkv:lora(2)", "qkv:lora(4, alpha=2)@1"])
def test_peft_learns_as_many_parameters_at_the_same_places(design: str) -> None:
    problem = toy_problem()
    resolved = problem.resolve(Design.parse(design))
    with plain.model_of(problem, resolved, 0) as (model, groups):
        head = sum(p.numel() for p in model.head.parameters())
        assert sum(p.numel() for g in groups for p in g["params"]) == resolved.n_params + head
        config = plain.peft_config(resolved)
        assert config is not None
        assert config.lora_alpha == (2 if "alpha" in design else 8)
    assert 0 <= plain.train(problem, resolved, 0) <= 1


@pytest.mark.parametrize("design", ["qkv:lora(2) + ffn:ssf", "ffn:lora(2)", "qkv:lora(2, insert=sequential)", "linear"])
def test_peft_is_left_alone_where_it_has_no_such_form(design: str) -> None:
    assert plain.peft_config(toy_problem().resolve(Design.parse(design))) is None


@given(ENDS)
def test_hypervolume_is_the_area_under_the_staircase_of_what_finished(found: list[tuple[int, float, bool]]) -> None:
    ends = [End(i, str(i), n, y, "finished" if f else "stopped") for i, (n, y, f) in enumerate(found, start=1)]
    grown = steps(ends, SCALE)
    cells, area = 2_000, 0.0
    for k in range(cells):  # by columns of log size
        size = 100 * 100 ** ((k + 0.5) / cells)
        area += max([0.0, *((y - 0.5) / 0.5 for n, y, f in found if f and max(n, 100) <= size)]) / cells
    assert grown.final == pytest.approx(area, abs=1e-2)
    assert list(grown.values) == sorted(set(grown.values))
    if grown.values:
        assert grown.at(grown.seconds[-1]) == grown.final
        assert grown.reaches(grown.final) == grown.seconds[-1]


def test_a_ratio_is_of_times_to_the_same_hypervolume() -> None:
    slow, fast = Steps((10.0, 80.0), (0.1, 0.2)), Steps((2.0, 8.0, 30.0), (0.15, 0.2, 0.3))
    found = ratio(slow, 100.0, fast)
    assert (found.to_reached, found.to_spent, found.hypervolume) == pytest.approx((0.1, 0.08, 1.5))
    assert ratio(fast, 100.0, slow).to_reached == math.inf


@pytest.mark.parametrize("n", [6, 10, 30, 45])
def test_the_interval_holds_the_median_with_95_percent(n: int) -> None:
    found = median([float(k) for k in range(1, n + 1)])
    rank = int(found.low)
    assert found.high == n + 1 - rank
    assert 1 - 2 * binom.cdf(rank - 1, n, 0.5) >= 0.95
    assert 1 - 2 * binom.cdf(rank, n, 0.5) < 0.95  # and is the shortest that does


def test_a_median_of_few_or_of_infinite_values() -> None:
    assert median([1.0, math.inf, math.inf]).value == math.inf
    assert median([1.0, 2.0, 3.0]).low == -math.inf


def test_time_is_of_epochs_trained_and_of_choosing() -> None:
    table = open_table()
    entry = next(e for e in table.entries.values() if e.first_tuned == 3)
    costs = Costs(table, {"plain": {3: 2.0}, "cached": {3: 0.9}}, fill=7.0, prior=({}, 0.0))
    trials = [
        Trial(entry.digest, entry.n_params, 0.5, status, 2, c) for status, c in (("stopped", 1.0), ("duplicate", 3.0))
    ]
    least = min(table.curves[entry.digest, seed][1].seconds for seed in table.seeds)
    assert [e.seconds for e in timed(trials, Lane("tpe"), costs)] == pytest.approx([7 + least + 1, 7 + least + 3])
    repeated = timed(trials, Lane("tpe", kind="plain", repeats=True), costs)
    assert [e.seconds for e in repeated] == pytest.approx([2 * least + 1, 4 * least + 3])
    whole = Trial(entry.digest, entry.n_params, 0.5, "finished", 4, 0.0)
    least = min(table.curves[entry.digest, seed][-1].seconds for seed in table.seeds)
    assert timed([whole], Lane("tpe"), costs)[0].seconds == pytest.approx(7 + 0.9 * least)


def test_the_oracle_needs_no_more_designs_than_the_front_has() -> None:
    """Of the designs of the space, played from one of their seeds: after the front's there is nothing to gain."""
    table = open_table()
    ends = {}
    for entry in table.entries.values():
        if entry.in_space:
            *_, last = Replay(table, seed=0, baselines=False).start(Design.parse(entry.design)).rungs()
            ends[entry.digest] = (entry.n_params, last.top1)
    whole = hypervolume(list(ends.values()), table.scale)
    found = play_oracle(
        table, 0, lambda trials: hypervolume([ends[t.digest] for t in trials], table.scale) >= whole - 1e-12
    )
    assert 1 < len(found) <= len(front(list(ends.values())))
    assert (found[0].n_params, found[0].top1) == max(ends.values(), key=lambda end: hypervolume([end], table.scale))


def test_recorded_lanes_play_what_they_are_asked() -> None:
    table = open_table()
    slow = play_plain(Lane("tpe", kind="plain", repeats=True), table, 0, 12)
    assert [t.status for t in slow] == ["finished"] * 12
    quick = play(Lane("ehvi", "forecast"), table, 0, lambda trials: len(trials) >= 14, {})
    assert len(quick) == 14
    assert len({t.digest for t in quick}) == 14
    assert all(table.entries[t.digest].n_params == t.n_params for t in (*slow, *quick))
