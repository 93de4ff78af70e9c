"""The final evaluation: what is chosen, kept, gone on with and compared."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from fake_problem import FakeProblem, run_fake

from utsearch.report.confirmed import confirmed_json, confirmed_of, rivalries_of, verdicts
from utsearch.search import Study, open_study
from utsearch.search.comparing import comparisons
from utsearch.search.evaluation import (
    FULL,
    Outcome,
    Result,
    Subject,
    best_rates,
    choose,
    evaluate,
    outcomes,
    results,
)
from utsearch.search.storage import StudyError


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    return run_fake(FakeProblem(), tmp_path_factory.mktemp("studies"), "12")


def subject(name: str, n_params: int, *, known: bool) -> Subject:
    return Subject(name, f"ffn:lora({n_params})", name, n_params, known)


def result(subject: Subject, top1: float, seeds: int = 5, images: int = 1000) -> Result:
    def outcome(seed: int) -> Outcome:
        correct = np.random.default_rng([seed, int(1e4 * top1)]).random(images) < top1
        return Outcome(subject, seed, float(correct.mean()), 0.0, 0.0, 0.0, 0.0, correct)

    return Result(subject, tuple(outcome(seed) for seed in range(seeds)))


def test_baselines_are_always_there_and_the_front_is_chosen_on_validation(study: Study) -> None:
    records = study.records()
    chosen = choose(records, front=True)
    assert {s.name for s in chosen if s.known} == {r.baseline for r in records if r.baseline}
    assert len({s.digest for s in chosen}) == len(chosen)
    new = [r for r in records if r.status == "finished" and r.baseline is None][-1]
    assert f"trial {new.number}" in [s.name for s in choose(records, trials=[new.number])]


def test_a_trial_that_is_not_there_is_one_line(study: Study) -> None:
    with pytest.raises(StudyError, match="trial 999 has not finished; those that have: 0, 1"):
        choose(study.records(), trials=[999])


def test_every_outcome_is_kept_at_once_and_nothing_runs_twice(tmp_path: Path) -> None:
    study = run_fake(FakeProblem(), tmp_path, "4")
    subjects = choose(study.records(), top=2)
    first = FakeProblem(interrupting={subjects[-1].design})
    with pytest.raises(KeyboardInterrupt):
        evaluate(study, subjects, [1000, 1001], lambda seed: first)
    kept = len(outcomes(open_study("fake", studies_dir=tmp_path)))
    assert kept == len(subjects) - 1
    second = FakeProblem()
    found = evaluate(study, subjects, [1000, 1001], lambda seed: second)
    assert len(second.started) == 2 * len(subjects) - kept
    assert [r.seeds for r in found] == [(1000, 1001)] * len(subjects)
    third = FakeProblem()
    assert len(evaluate(study, subjects, [1000, 1001], lambda seed: third)) == len(subjects)
    assert not third.started


def test_stored_images_come_back_bit_for_bit(tmp_path: Path) -> None:
    study = run_fake(FakeProblem(), tmp_path, "3")
    seen: list[Outcome] = []
    evaluate(study, choose(study.records()), [7], lambda seed: FakeProblem(), lambda o, done, total: seen.append(o))
    read = {outcome.subject.digest: outcome for outcome in outcomes(study)}
    assert seen
    for outcome in seen:
        assert np.array_equal(read[outcome.subject.digest].correct, outcome.correct)
        assert replace(read[outcome.subject.digest], correct=outcome.correct) == outcome


def test_a_run_that_fails_is_told_and_the_others_go_on(tmp_path: Path) -> None:
    study = run_fake(FakeProblem(), tmp_path, "3")
    subjects = choose(study.records())
    broken = FakeProblem(failing=frozenset({subjects[0].design}))
    said: list[str] = []
    found = evaluate(study, subjects, [1], lambda seed: broken, on_failure=lambda s, seed, why: said.append(why))
    assert said == ["the loss is not a number in epoch 1"]
    assert len(found) == len(subjects) - 1


def test_every_design_gets_the_rate_that_is_best_on_validation(tmp_path: Path) -> None:
    study = run_fake(FakeProblem(), tmp_path, "3")
    subjects = [s for s in choose(study.records()) if s.n_params]
    tried: list[float] = []
    chosen = best_rates(study, subjects, (0.5, 2.0), FakeProblem(), lambda s, rate, top1: tried.append(rate))
    assert tried == [0.5, 2.0] * len(subjects)
    assert [s.rate for s in chosen] == [2.0] * len(subjects)  # the fake problem is best at twice the rate
    again = FakeProblem()
    assert best_rates(study, subjects, (0.5, 2.0), again) == chosen
    assert not again.started
    evaluate(study, subjects, [1], lambda seed: FakeProblem())
    found = results(study, chosen)
    assert found == []  # another rate is another result


def test_a_new_design_is_compared_with_known_ones_of_at_most_its_size() -> None:
    own = result(subject("trial 3", 500, known=False), 0.7)
    small = result(subject("lora", 400, known=True), 0.6)
    equal = result(subject("ssf", 500, known=True), 0.7)
    large = result(subject(FULL, 9000, known=True), 0.9)
    pairs = comparisons([own, small, equal, large])
    assert {c.other: c.verdict for c in pairs} == {"lora": "better", "ssf": "not distinguishable"}
    first, line = verdicts(confirmed_of([own, small, equal, large]), rivalries_of(pairs))
    assert first == "Of 1 new design, none beats every known form of its size."
    assert re.match(r"trial 3 \(500 parameters, 7\d\.\d \[.*\] % test top-1\) beats 1 of 2, not ssf \(not dist", line)


def test_only_the_largest_of_a_family_within_the_size_is_a_rival() -> None:
    own = result(subject("trial 3", 500, known=False), 0.7)
    loras = [result(subject(f"lora-{n}", 100 * n, known=True), 0.6) for n in (1, 4, 8)]
    pairs = comparisons([own, *loras])
    assert [c.other for c in pairs] == ["lora-4"]
    first, _ = verdicts(confirmed_of([own, *loras]), rivalries_of(pairs))
    assert first == "Of 1 new design, 1 beat every known form of their size: trial 3."


def test_of_the_front_those_that_gain_most_are_confirmed(study: Study) -> None:
    records = study.records()
    whole = [s for s in choose(records, front=True, baselines=False) if not s.known]
    one = [s for s in choose(records, front=True, baselines=False, most=1) if not s.known]
    assert len(whole) > 1
    assert len(one) == 1
    assert one[0] in whole
    finished = [r for r in records if r.status == "finished"]

    def gain(s: Subject) -> float:
        return (s.val_top1 or 0) - max((r.top1 or 0) for r in finished if r.baseline and r.n_params <= s.n_params)

    assert gain(one[0]) == max(map(gain, whole))


def test_a_design_stands_once_at_the_rate_with_most_seeds(tmp_path: Path) -> None:
    study = run_fake(FakeProblem(), tmp_path, "3")
    own = choose(study.records(), baselines=False, top=1)[0]
    evaluate(study, [own], [1, 2], lambda seed: FakeProblem())
    evaluate(study, [replace(own, rate=2.0)], [1, 2, 3], lambda seed: FakeProblem())
    (found,) = results(study)
    assert (found.subject.rate, found.seeds) == (2.0, (1, 2, 3))


def test_one_seed_says_so_in_json() -> None:
    own = result(subject("trial 3", 500, known=False), 0.7, seeds=1)
    row = confirmed_json([own], [])["results"][0]
    assert row["interval"] is None
    assert len(row["runs"]) == 1
