"""A reference study: small, whole, read by plain Optuna, and not to be written to."""

import hashlib
import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
from fake_problem import FakeProblem, fake_space, run_fake

from utsearch.report.report import report
from utsearch.search import Study, StudyError, front_records, open_study, prepare
from utsearch.search.evaluation import choose, evaluate, results

TOOL = Path(__file__).parents[2] / "tools" / "make_reference.py"


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_reference", TOOL)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory, tool: ModuleType) -> tuple[Study, Study]:
    """A study with confirmed runs, a stopped and a waiting trial, and its reference."""
    folder = tmp_path_factory.mktemp("studies")
    study = run_fake(FakeProblem(), folder, "24")
    evaluate(study, choose(study.records(), front=True), [1000, 1001], lambda seed: FakeProblem())
    study.optuna.enqueue_trial({})
    size = tool.make_reference("fake", None, folder, folder / "reference-fake.db")
    assert size == (folder / "reference-fake.db").stat().st_size < 400_000
    return study, open_study("reference-fake", studies_dir=folder)


def test_everything_that_is_looked_at_is_there(pair: tuple[Study, Study]) -> None:
    study, reference = pair
    before, after = study.records(), reference.records()
    assert before[-1].status == "waiting"
    assert after[:-1] == before[:-1]
    assert after[-1].status == "failed"
    assert (reference.settings, reference.scale, reference.sessions) == (study.settings, study.scale, study.sessions)
    assert [(r.subject, r.top1, r.interval) for r in results(reference)] == [
        (r.subject, r.top1, r.interval) for r in results(study)
    ]


def test_plain_optuna_draws_the_same_front(pair: tuple[Study, Study]) -> None:
    """In a process that has never heard of utsearch."""
    _, reference = pair
    path = reference.studies_dir / "reference-fake.db"
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    code = (
        "import sys, optuna\n"
        "study = optuna.load_study(study_name='reference-fake', storage=f'sqlite:///{sys.argv[1]}')\n"
        "print(sorted({tuple(t.values) for t in study.best_trials}))\n"
        "assert 'utsearch' not in sys.modules"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code, str(path)], capture_output=True, text=True, check=True
    )
    ours = sorted({(float(r.n_params), r.top1) for r in front_records(reference.records())})
    assert done.stdout.strip() == str(ours)
    assert len(ours) > 2
    assert hashlib.sha256(path.read_bytes()).hexdigest() == digest  # looking leaves a fresh clone clean


def test_nothing_is_searched_or_confirmed_in_it(pair: tuple[Study, Study]) -> None:
    _, reference = pair
    folder = reference.studies_dir
    with pytest.raises(StudyError, match="'reference-fake' is a reference study, which is only looked at"):
        prepare(FakeProblem(), fake_space(folder), "reference-fake", studies_dir=folder)
    subjects = choose(reference.records(), front=True)
    assert evaluate(reference, subjects, [1000, 1001], lambda seed: FakeProblem())  # is all there
    with pytest.raises(StudyError, match="only looked at"):
        evaluate(reference, subjects, [1002], lambda seed: FakeProblem())


def test_one_that_is_too_large_is_refused(
    pair: tuple[Study, Study], tool: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    study, _ = pair
    monkeypatch.setattr(tool, "MOST_BYTES", 1000)
    with pytest.raises(SystemExit, match="at most 1,000"):
        tool.make_reference("fake", None, study.studies_dir, study.studies_dir / "reference-big.db")
    assert not list(study.studies_dir.glob("reference-big*"))


def test_its_report_is_that_of_the_study(pair: tuple[Study, Study]) -> None:
    from utsearch.report.telling import story_of

    html = report([story_of(pair[1])])
    assert "Confirmed over seeds" in html
    assert "cli.py train --design" in html
    assert "cli.py export" not in html, "it has no weights"
    assert "cli.py export --study fake" in report([story_of(pair[0])])
