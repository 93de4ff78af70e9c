"""Priors queue the best designs of every size as trials."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise, product
from pathlib import Path

from fake_problem import FakeProblem, FakeResolved, fake_space
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import spearmanr

from utsearch.design import Design, DesignError
from utsearch.search import Budget, Study, open_study, prepare, search
from utsearch.search.prior import Plan, best_of_bands, draw, enqueue_prior, spread_scores

PLAN = Plan(candidates=60, bands=4, each=2)


@dataclass
class Oracle:
    """Scores a design by what its training would give."""

    problem: FakeProblem
    asked: list[str] = field(default_factory=list)

    def scores(self, designs: Sequence[FakeResolved], on_progress: Callable[[float], None]) -> list[float]:
        self.asked += [design.digest for design in designs]
        on_progress(1.0)
        return [self.problem.quality(design.design) for design in designs]


def prepared(folder: Path, problem: FakeProblem) -> Study:
    return prepare(problem, fake_space(folder), "fake", studies_dir=folder)


def queued(folder: Path, problem: FakeProblem, study: Study, max_params: int | None = None) -> int:
    oracle = Oracle(problem)
    return enqueue_prior(study, problem, fake_space(folder), "oracle", oracle, plan=PLAN, max_params=max_params)


@given(st.lists(st.tuples(st.integers(1, 50), st.floats(0, 1)), min_size=1, max_size=30), st.integers(1, 6))
def test_nothing_left_in_a_band_is_better_than_what_is_chosen(designs: list[tuple[int, float]], bands: int) -> None:
    sizes, scores = [size for size, _ in designs], [score for _, score in designs]
    order = sorted(range(len(sizes)), key=lambda i: sizes[i])
    chosen = list(best_of_bands(sizes, scores, bands=bands, each=2))
    assert len(set(chosen)) == len(chosen)
    longer = len(order) % bands  # the first bands have one more
    edges = [k * (len(order) // bands) + min(k, longer) for k in range(bands + 1)]
    for first, end in pairwise(edges):
        band = order[first:end]
        taken = [i for i in band if i in chosen]
        assert len(taken) == min(2, len(band))
        assert all(scores[i] >= scores[j] for i in taken for j in band if j not in taken)


def test_the_best_of_each_band_are_trained_after_the_baselines(tmp_path: Path) -> None:
    problem = FakeProblem()
    study = prepared(tmp_path, problem)
    assert queued(tmp_path, problem, study) == 8
    search(problem, fake_space(tmp_path), study, Budget(trials=12), sampler="random")
    records = study.records()
    assert [r.baseline for r in records[:3]] == ["linear", "lora-4", "outside"]
    assert [r.prior for r in records[3:12]] == ["oracle"] * 8 + [None]
    proposed = records[3:11]
    assert {r.status for r in proposed} <= {"finished", "stopped"}
    drawn = draw(problem, fake_space(tmp_path), 60)
    names = {problem.resolve(design).digest for design in problem.known.values()}
    new = [one.resolved for one in drawn if one.resolved.digest not in names]
    best = max(new, key=lambda one: problem.quality(one.design))
    assert best.digest in {r.digest for r in proposed}


def test_its_trials_have_the_parameters_that_samplers_learn_from(tmp_path: Path) -> None:
    problem = FakeProblem()
    study = prepared(tmp_path, problem)
    queued(tmp_path, problem, study)
    search(problem, fake_space(tmp_path), study, Budget(trials=11), sampler="random")
    trials = [t for t in study.optuna.trials if t.user_attrs.get("prior") == "oracle"]
    assert {frozenset(t.params) for t in trials} == {frozenset(fake_space(tmp_path).parameters)}
    assert all(0 < t.user_attrs["prior_score"] < 1 for t in trials)


def test_going_on_with_a_study_queues_nothing_again(tmp_path: Path) -> None:
    problem = FakeProblem()
    queued(tmp_path, problem, prepared(tmp_path, problem))
    again = open_study("fake", studies_dir=tmp_path)
    before = len(again.records())
    assert queued(tmp_path, problem, again) == 0
    assert len(again.records()) == before


def test_known_and_trained_designs_are_not_ranked(tmp_path: Path) -> None:
    problem = FakeProblem()
    study = prepared(tmp_path, problem)
    search(problem, fake_space(tmp_path), study, Budget(trials=6), sampler="random")
    oracle = Oracle(problem)
    enqueue_prior(study, problem, fake_space(tmp_path), "oracle", oracle, plan=PLAN)
    assert oracle.asked
    assert not {r.digest for r in study.records() if r.digest} & set(oracle.asked)


def test_a_surrogate_ranks_what_the_prior_did_not_score(tmp_path: Path) -> None:
    """Of scores that are the designs' sizes it must find the order, from 30 of 200 designs."""
    problem, space = FakeProblem(), fake_space(tmp_path)
    designs = [one.resolved for one in draw(problem, space, 200)]

    @dataclass
    class Sizes:
        asked: int = 0

        def scores(self, designs: Sequence[FakeResolved], on_progress: Callable[[float], None]) -> list[float]:
            self.asked += len(designs)
            return [float(design.n_params) for design in designs]

    prior = Sizes()
    spread = spread_scores(prior, designs, problem.depth, 30)
    assert prior.asked == 30 < len(designs) == len(spread)
    assert spearmanr(spread, [one.n_params for one in designs]).statistic > 0.85
    assert spread_scores(prior, designs[:20], problem.depth, 30) == [one.n_params for one in designs[:20]]


def test_larger_designs_than_allowed_are_not_drawn(tmp_path: Path) -> None:
    problem = FakeProblem()
    drawn = draw(problem, fake_space(tmp_path), 60, max_params=1500)
    assert drawn
    assert all(0 < one.resolved.n_params <= 1500 for one in drawn)
    assert draw(problem, fake_space(tmp_path), 60, max_params=50) == []
    assert queued(tmp_path, problem, prepared(tmp_path, problem), max_params=50) == 0


def test_a_small_space_is_drawn_whole_and_designs_that_fit_nowhere_are_left_out(tmp_path: Path) -> None:
    """By brute force: every choice of every parameter."""
    space = fake_space(tmp_path)

    class Strict(FakeProblem):
        asked = 0

        def resolve(self, design: Design) -> FakeResolved:
            self.asked += 1
            if any(slot.form == "ssf" for slot in design.slots):
                raise DesignError("no ssf here")
            return super().resolve(design)

    problem, every = Strict(), set()
    for values in product(*space.parameters.values()):
        design = space.design(dict(zip(space.parameters, values, strict=True)), problem.depth)
        if design.slots and not any(slot.form == "ssf" for slot in design.slots):
            every.add(problem.resolve(design).digest)
    problem.asked = 0
    drawn = {one.resolved.digest for one in draw(problem, space, 100_000)}
    assert drawn <= every
    assert len(drawn) > 0.98 * len(every)  # the last few may not turn up
    assert problem.asked < 3 * len(every)
