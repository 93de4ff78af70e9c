"""A study without utsearch: plain Optuna gives the same front, and its dashboard serves it with our figures."""

import json
import re
from collections.abc import Iterator
from importlib import import_module
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from fake_problem import FakeProblem, run_fake

from utsearch.report.groups import front
from utsearch.report.report import plotly_figures
from utsearch.report.telling import story_of
from utsearch.search import Study, open_study
from utsearch.search.dashboard import OBJECTIVES, keep_figures
from utsearch.search.storage import connect

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """A search that stopped some trials and repeated others."""
    home = tmp_path_factory.mktemp("home") / "studies"
    home.mkdir()
    made = run_fake(FakeProblem(), home, "60", "birds", sampler="random")
    assert {record.status for record in made.records()} >= {"finished", "stopped"}
    return made


def points(study: Study) -> list[tuple[int, float]]:
    return sorted({(record.n_params, record.top1 or 0.0) for record in front(study.records())})


def snippet(path: Path) -> list[tuple[int, float]]:
    """What the documented lines find in a file, with nothing of utsearch at hand."""
    text = (ROOT / "docs" / "quickstart.md").read_text()
    (code,) = (block for block in re.findall(r"```python\n(.*?)```", text, re.DOTALL) if "load_study" in block)
    assert "utsearch" not in code
    assert code.count("studies/birds.db") == 1
    names: dict[str, Any] = {}
    exec(compile(code.replace("sqlite:///studies/birds.db", f"sqlite:///{path}"), "quickstart.md", "exec"), names)
    found: list[tuple[int, float, str]] = names["front"]
    return sorted({(n_params, top1) for n_params, top1, design in found if design})


def test_plain_optuna_redraws_the_front(study: Study) -> None:
    folder = Path(study.url.removeprefix("sqlite:///")).parent
    found = snippet(folder / "birds.db")
    assert found == points(study)
    assert len(found) > 3


@pytest.mark.parametrize("path", sorted((ROOT / "studies").glob("*.db")), ids=lambda path: path.stem)
def test_plain_optuna_redraws_the_reference_studies(path: Path) -> None:
    assert snippet(path) == points(open_study(path.stem, None, studies_dir=path.parent))


@pytest.fixture(scope="module")
def served(study: Study) -> Iterator[Any]:
    """The dashboard's own application, asked without a network."""
    pytest.importorskip("optuna_dashboard", reason="the extra `dashboard` is not installed")
    keep_figures(study, plotly_figures(story_of(study)))
    return import_module("optuna_dashboard").wsgi(connect(study.url))


def ask(app: Any, path: str) -> tuple[str, bytes]:
    told: list[str] = []
    environment = {
        **{"REQUEST_METHOD": "GET", "PATH_INFO": path, "QUERY_STRING": "", "SERVER_NAME": "localhost"},
        **{"SERVER_PORT": "80", "wsgi.url_scheme": "http", "wsgi.input": BytesIO(), "wsgi.errors": BytesIO()},
    }
    answer = app(environment, lambda status, headers, *rest: told.append(status))
    body = b"".join(answer)
    if hasattr(answer, "close"):  # a served file
        answer.close()
    return told[0], body


def test_the_dashboard_serves_front_attributes_and_our_figures(study: Study, served: Any) -> None:
    status, body = ask(served, "/dashboard/")
    assert status.startswith("200")
    assert b"<html" in body.lower()
    (summary,) = json.loads(ask(served, "/api/studies")[1])["study_summaries"]
    assert summary["study_name"] == "birds"
    detail = json.loads(ask(served, f"/api/studies/{summary['study_id']}")[1])
    assert detail["objective_names"] == OBJECTIVES
    records = {record.number: record for record in study.records()}
    assert {trial["number"] for trial in detail["trials"]} == set(records)
    best = {(int(trial["values"][0]), float(trial["values"][1])) for trial in detail["best_trials"]}
    assert sorted(best) == points(study)
    for trial in detail["trials"]:
        attributes = {each["key"]: each["value"] for each in trial["user_attrs"]}
        assert records[trial["number"]].design in attributes.get("design", "")
    ours = {each["id"]: json.loads(each["graph_object"]) for each in detail["plotly_graph_objects"]}
    drawn = plotly_figures(story_of(study))
    assert set(ours) == set(drawn)
    assert {name: len(figure["data"]) for name, figure in ours.items()} == {
        name: len(figure.data) for name, figure in drawn.items()
    }
