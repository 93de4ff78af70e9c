"""A warm start queues the front of another study, on a problem of its own."""

from pathlib import Path

from fake_problem import FakeProblem, fake_space, run_fake

from utsearch.design import Design
from utsearch.errors import UserError
from utsearch.search import Budget, enqueue_front, front_records, open_study, prepare, search


def test_the_front_is_queued_once_after_the_baselines(tmp_path: Path) -> None:
    source = run_fake(FakeProblem(), tmp_path, "12", "old", sampler="random", rule=None)
    problem, space = FakeProblem(), fake_space(tmp_path)
    study = prepare(problem, space, "new", studies_dir=tmp_path)
    named = {str(design) for design in problem.known.values()}
    expected = [r.design for r in front_records(source.records()) if r.design not in named]
    assert enqueue_front(study, problem, space, source) == len(expected) > 0
    assert enqueue_front(study, problem, space, source) == 0, "asking again queues nothing twice"
    search(problem, space, study, Budget(trials=3 + len(expected)), sampler="random", rule=None)
    trained = [(r.design, r.prior) for r in study.records() if r.baseline is None]
    assert trained == [(design, "warm start") for design in expected]


def test_what_does_not_fit_is_left_out(tmp_path: Path) -> None:
    class Picky(FakeProblem):
        def resolve(self, design: Design) -> object:  # type: ignore[override]
            if any(slot.form == "ssf" for slot in design.slots):
                raise UserError("no ssf here")
            return super().resolve(design)

    run_fake(FakeProblem(), tmp_path, "12", "old", sampler="random", rule=None)
    problem, space = FakeProblem(), fake_space(tmp_path)
    study = prepare(problem, space, "new", studies_dir=tmp_path)
    source = open_study("old", None, studies_dir=tmp_path)
    front = {r.design: r.n_params for r in front_records(source.records())}
    enqueue_front(study, Picky(), space, source, max_params=2_000)  # type: ignore[arg-type]
    queued = [t.user_attrs["given"] for t in study.optuna.trials if "queued_digest" in t.user_attrs]
    assert all("ssf" not in text and front[text] <= 2_000 for text in queued)
