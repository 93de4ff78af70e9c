"""Studies at a glance, two compared, the dashboard's figures, and which parameter decides."""

import random
import sys
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import optuna
import pytest
from fake_problem import FakeProblem, run_fake
from optuna.distributions import IntDistribution
from optuna.trial import FrozenTrial, create_trial

from utsearch import pareto
from utsearch.search import Study, StudyError, open_study
from utsearch.search.dashboard import OBJECTIVES, keep_figures
from utsearch.search.importance import FEWEST, GOALS, importance
from utsearch.search.record import finished, front_records
from utsearch.search.shelf import contrast, glances
from utsearch.search.study import DIRECTIONS


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shelf")
    run_fake(FakeProblem(), folder, "5", "one", sampler="random")
    other = FakeProblem()
    other.settings = {**other.settings, "recipe": {"epochs": 20}}
    run_fake(replace(other, floor=0.3), folder, "6", "two", sampler="random")
    return folder


@pytest.fixture(scope="module")
def studies(folder: Path) -> tuple[Study, Study]:
    return open_study("one", studies_dir=folder), open_study("two", studies_dir=folder)


def test_a_glance_counts_what_the_study_holds(folder: Path, studies: tuple[Study, Study]) -> None:
    found = {glance.name: glance for glance in glances(None, folder)}
    assert set(found) == {"one", "two"}
    records = studies[0].records()
    one = found["one"]
    assert (one.trials, one.front) == (len(records), len(front_records(records)))
    assert one.best == max(r.top1 or 0 for r in finished(records))
    assert one.size == (folder / "one.db").stat().st_size
    assert (one.dataset, one.backbone, one.space) == ("fake", "fake", "fake")


def test_a_damaged_study_does_not_hide_the_others(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "good.db").write_bytes((folder / "one.db").read_bytes())  # holds another name: an error of its own
    (tmp_path / "bad.db").write_bytes(b"SQLite format 3\0" + b"\xff" * 5000)
    errors = {glance.name: glance.error or "" for glance in glances(None, tmp_path)}
    assert "cannot use the database" in errors["bad"]
    assert "no study 'good'" in errors["good"]


def test_two_studies_are_measured_in_one_box(studies: tuple[Study, Study]) -> None:
    found = contrast(*studies)
    assert found.settings == ["recipe.epochs: 9 → 20"]
    assert found.scale == pareto.Scale(100, 100_000, 0.3)
    points = [(r.n_params, r.top1 or 0.0) for r in finished(studies[0].records())]
    assert found.volumes[0] == pytest.approx(pareto.hypervolume(points, found.scale))
    assert found.volumes[0] > pareto.hypervolume(points, studies[0].scale)
    assert {a.baseline for a, _ in found.shared} >= {"linear", "lora-4"}
    assert all(a.digest == b.digest and a.status == b.status == "finished" for a, b in found.shared)


def trials_of(n: int) -> Iterator[FrozenTrial]:
    """Random trials whose top-1 depends on the rank alone, and whose size on the number of blocks alone."""
    rng = random.Random(0)
    for i in range(n):
        params = {name: rng.randrange(4) for name in ("ffn.rank", "ffn.count", "mha.rank")}
        values = [100.0 * (1 + params["ffn.count"]) + i / n, 0.5 + 0.1 * params["ffn.rank"] + 0.001 * i / n]
        yield create_trial(
            params=params,
            distributions=dict.fromkeys(params, IntDistribution(0, 3)),
            values=values,
            user_attrs={"status": "stopped" if i % 3 else "finished"},
        )


def study_of(trials: Iterable[FrozenTrial]) -> Study:
    stored = optuna.create_study(directions=DIRECTIONS)
    stored.add_trials(trials)
    return Study("made", "sqlite://", Path(), stored)


@pytest.mark.parametrize("most", [2000, 70])  # the second takes every third trial
def test_the_parameter_that_alone_matters_is_the_most_important(most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("utsearch.search.importance.MOST", most)
    shares = importance(study_of(trials_of(200)))
    assert set(shares) == set(GOALS)
    assert max(shares["top-1"], key=shares["top-1"].__getitem__) == "ffn.rank"
    assert max(shares["few parameters"], key=shares["few parameters"].__getitem__) == "ffn.count"
    assert min(shares["reaching the front"], key=shares["reaching the front"].__getitem__) == "mha.rank"
    assert all(sum(each.values()) == pytest.approx(1) for each in shares.values())


def test_repeated_and_unsampled_trials_do_not_count() -> None:
    trials = list(trials_of(FEWEST))
    assert importance(study_of(trials))
    trials[0].set_user_attr("status", "duplicate")
    assert importance(study_of(trials)) == {}
    given = create_trial(params={}, distributions={}, values=[0.0, 0.5], user_attrs={"status": "finished"})
    assert importance(study_of([*trials[1:], given])) == {}


def test_few_trials_have_no_importance(studies: tuple[Study, Study]) -> None:
    assert len(studies[0].records()) < FEWEST
    assert importance(studies[0]) == {}


def test_the_study_remembers_its_depth(studies: tuple[Study, Study]) -> None:
    assert studies[0].depth == FakeProblem().depth


def test_figures_and_objectives_are_kept_where_the_dashboard_looks(tmp_path: Path) -> None:
    pytest.importorskip("optuna_dashboard")
    from optuna_dashboard._custom_plot_data import get_plotly_graph_objects

    from utsearch.report.report import plotly_figures
    from utsearch.report.telling import story_of

    study = run_fake(FakeProblem(), tmp_path, "4", sampler="random")
    figures = plotly_figures(story_of(study))
    keep_figures(study, figures)
    keep_figures(study, figures)
    again = open_study("fake", studies_dir=tmp_path).optuna
    assert again.metric_names == OBJECTIVES
    kept = get_plotly_graph_objects(again._storage.get_study_system_attrs(again._study_id))
    assert set(kept) == set(figures)
    assert "#0" in kept["front"]


def test_a_missing_dashboard_is_one_clear_line(studies: tuple[Study, Study], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna_dashboard", None)
    with pytest.raises(StudyError, match=r"pip install 'utsearch\[dashboard\]'"):
        keep_figures(studies[0], {})
