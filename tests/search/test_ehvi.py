"""The closed-form expected hypervolume improvement against sampling, and the samplers in a search."""

from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from fake_problem import FakeProblem, fake_space

from utsearch.design import Design
from utsearch.errors import UserError
from utsearch.pareto import Scale, hypervolume
from utsearch.search import SAMPLERS, Budget, Study, search, unstored
from utsearch.search.ehvi import GRACE, expected_hypervolume_improvement
from utsearch.search.samplers import make_sampler

SCALE = Scale(100, 100_000, 0.3)
KNOWN = [(500.0, 0.4), (2_000.0, 0.5), (9_000.0, 0.62), (50_000.0, 0.65), (3_000.0, 0.45)]


@pytest.mark.parametrize("known", [[], KNOWN])
@pytest.mark.parametrize(("size", "mean", "spread"), [(50, 0.35, 0.05), (1_500, 0.52, 0.1), (60_000, 0.6, 0.03)])
def test_closed_form_is_what_sampling_gives(
    known: list[tuple[float, float]], size: float, mean: float, spread: float
) -> None:
    before = hypervolume(known, SCALE)
    draws = np.random.default_rng(0).normal(mean, spread, 20_000)
    gains = [hypervolume([*known, (size, value)], SCALE) - before for value in draws]
    (found,) = expected_hypervolume_improvement([size], np.array([mean]), np.array([spread]), known, SCALE)
    error = np.std(gains) / np.sqrt(len(gains))
    assert found == pytest.approx(np.mean(gains), abs=4 * error + 1e-9)


def test_larger_than_the_box_gains_nothing() -> None:
    found = expected_hypervolume_improvement([10**6], np.array([0.9]), np.array([0.1]), KNOWN, SCALE)
    assert found[0] == 0


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fake run saves to the working folder where the study has none."""
    monkeypatch.chdir(tmp_path)


def in_memory(folder: Path, trials: int, **options: Any) -> Study:
    """A search of the fake problem that writes nothing."""
    problem, space = FakeProblem(), fake_space(folder)
    study = unstored(problem, space)
    search(problem, space, study, Budget(trials=trials), **options)
    return study


@pytest.mark.parametrize("name", SAMPLERS)
def test_every_sampler_searches_and_repeats_itself(tmp_path: Path, name: str) -> None:
    """Two studies of one seed draw the same designs; what is drawn is in the space."""
    drawn = [[r.design for r in in_memory(tmp_path, 8, sampler=name).records()] for _ in range(2)]
    assert drawn[0] == drawn[1]
    assert len(set(drawn[0])) >= 6


def test_it_beats_chance(tmp_path: Path) -> None:
    """Mean over four seeds after the same number of trials; the formula of the fake is smooth but for a wobble."""

    def volume(sampler: str, seed: int) -> float:
        study = in_memory(tmp_path, 30, sampler=sampler, seed=seed, rule=None)
        done = [(r.n_params, r.top1 or 0.0) for r in study.records() if r.status == "finished"]
        return hypervolume(done, study.scale)

    means = {s: np.mean([volume(s, seed) for seed in range(4)]) for s in ("ehvi", "random")}
    assert means["ehvi"] > means["random"]


def test_it_proposes_nothing_twice_and_nothing_too_large(tmp_path: Path) -> None:
    study = in_memory(tmp_path, 40, sampler="ehvi", max_params=2_000, rule=None)
    sampled = [r for r in study.records() if r.baseline is None]
    late = [r for r in sampled if r.number > 3 * GRACE]
    assert len(late) > 5
    assert all(r.n_params <= 2_000 for r in late)
    assert not [r for r in late if r.status in ("duplicate", "infeasible")]


def test_slots_that_do_not_fit_are_left_out(tmp_path: Path) -> None:
    class Picky(FakeProblem):
        def resolve(self, design: Design) -> object:  # type: ignore[override]
            if any(slot.form == "ssf" for slot in design.slots):
                raise UserError("no ssf here")
            return super().resolve(design)

    problem, space = Picky(), fake_space(tmp_path)
    sampler = make_sampler("ehvi", problem, space, seed=0)  # type: ignore[arg-type]
    study = optuna.create_study(directions=["minimize", "maximize"], sampler=sampler)
    study.set_user_attr("scale", SCALE.to_dict())
    for i in range(25):
        trial = study.ask()
        design = space.suggest(trial, problem.depth)
        ssf = any(slot.form == "ssf" for slot in design.slots)
        if i > 3 * GRACE:
            assert not ssf
        facts = {"design": str(design), "digest": str(design), "n_params": 100 + i, "status": "finished"}
        facts |= {"rungs": [{"top1": 0.5, "loss": 1.0, "standard_error": 0.01}]}
        for key, value in facts.items():
            trial.set_user_attr(key, value)
        study.tell(trial, (100 + i, 0.5))
