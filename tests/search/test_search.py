"""Searching with a fake problem: what counts, what is kept, what goes on."""

from collections import Counter
from pathlib import Path
from typing import Any

import optuna
import pytest
from fake_problem import SPACE, FakeProblem, fake_space, run_fake

from utsearch.errors import UserError
from utsearch.search import (
    SAMPLERS,
    Budget,
    RungReached,
    SearchEnded,
    Study,
    StudyError,
    TrialEnded,
    TrialStarted,
    front_records,
    open_study,
    prepare,
    search,
)
from utsearch.search.stopping import RegretRule


def statuses(study: Study) -> Counter[str]:
    return Counter(record.status for record in study.records())


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_every_sampler_searches_and_the_baselines_come_first(tmp_path: Path, sampler: str) -> None:
    study = run_fake(FakeProblem(), tmp_path, "14", sampler=sampler)
    records = study.records()
    assert [r.baseline for r in records[:3]] == ["linear", "lora-4", "outside"]
    assert [r.status for r in records[:3]] == ["finished"] * 3
    counted = statuses(study)
    assert counted["finished"] + counted["stopped"] == 14
    digests = [r.digest for r in records if r.status in ("finished", "stopped")]
    assert len(set(digests)) == len(digests)


def test_tpe_learns_although_a_baseline_is_outside_the_space(tmp_path: Path) -> None:
    """Optuna's own inference would find no common parameter and fall back to random."""
    study = run_fake(FakeProblem(), tmp_path, "12", sampler="tpe")
    sampled = [t for t in study.optuna.trials if t.user_attrs.get("baseline") != "outside"]
    assert all(set(t.params) == set(sampled[0].params) for t in sampled)
    assert any(t.params == {} for t in study.optuna.trials)


def test_the_same_seed_gives_the_same_search(tmp_path: Path) -> None:
    def designs(folder: str, seed: int) -> list[tuple[str, str]]:
        (tmp_path / folder).mkdir()
        return [(r.design, r.status) for r in run_fake(FakeProblem(), tmp_path / folder, "13", seed=seed).records()]

    first, again, other = designs("a", 1), designs("b", 1), designs("c", 2)
    assert first == again != other


def test_a_budget_of_trials_adds_to_what_is_there(tmp_path: Path) -> None:
    for total in (6, 12):
        counted = statuses(run_fake(FakeProblem(), tmp_path, "6"))
        assert counted["finished"] + counted["stopped"] == total


def test_a_deadline_ends_the_running_trial_at_its_next_rung(tmp_path: Path) -> None:
    """And a baseline that it cut off is trained when the search goes on."""
    study = run_fake(FakeProblem(rung_seconds=0.8), tmp_path, "1.2s")
    (cut,) = (r for r in study.records() if r.rungs)
    assert (cut.baseline, cut.status, cut.reason) == ("linear", "stopped", "the time was up")
    assert len(cut.rungs) < 3
    again = run_fake(FakeProblem(), tmp_path, "4").records()
    assert [r.status for r in again if r.baseline == "linear"] == ["stopped", "finished"]


def test_duplicates_return_the_stored_result_and_do_not_count(tmp_path: Path) -> None:
    problem = FakeProblem()
    study = run_fake(problem, tmp_path, "6")
    twin = next(r for r in study.records() if r.status == "finished" and r.n_params)
    study.optuna.enqueue_trial({}, user_attrs={"given": twin.design, "outside": True})
    before = len(problem.started)
    run_fake(problem, tmp_path, "1")
    (repeated,) = (r for r in study.records() if r.reason == f"the same design as trial {twin.number}")
    assert repeated.status == "duplicate"
    assert (repeated.top1, repeated.n_params) == (twin.top1, twin.n_params)
    assert len(problem.started) == before + 1


def test_a_space_that_is_searched_through_ends_the_search(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("utsearch.search.worker.EXHAUSTED", 25)
    text = SPACE.replace("[1, 2, 4, 8]", "[1]").replace("[0.0, 0.5]", "[0.0]").replace("[0.25, 0.5, 1.0]", "[1.0]")
    (tmp_path / "fake.toml").write_text(text)
    events: list[Any] = []
    problem = FakeProblem()
    study = run_fake(problem, tmp_path, "9999", sampler="random", on_event=events.append)
    assert isinstance(events[-1], SearchEnded)
    assert "searched through" in events[-1].reason
    assert len(set(problem.started)) == len(problem.started) == sum(statuses(study)[s] for s in ("finished", "stopped"))


def test_too_large_designs_are_infeasible_and_do_not_count(tmp_path: Path) -> None:
    study = run_fake(FakeProblem(), tmp_path, "12", max_params=2000, sampler="random")
    records = study.records()
    trained = [r for r in records if r.status in ("finished", "stopped")]
    assert len(trained) == 12
    assert max(r.n_params for r in trained) <= 2000
    refused = [r for r in records if r.status == "infeasible"]
    assert refused
    assert "more than 2,000" in str(refused[0].reason)
    assert not any(t.number in {r.number for r in refused} for t in study.optuna.best_trials)


def test_stopped_trials_are_kept_but_never_on_a_front(tmp_path: Path) -> None:
    study = run_fake(FakeProblem(), tmp_path, "40", rule=RegretRule(eta=4, grace=4), sampler="random")
    records = study.records()
    stopped = [r for r in records if r.status == "stopped"]
    assert stopped
    assert all(0 < len(r.rungs) < 3 for r in stopped)
    assert all(r.baseline is None for r in stopped)
    assert all(study.weights(r.number).read_text() == r.design for r in stopped)
    ours = {(r.n_params, r.top1) for r in front_records(records)}
    assert {r.number for r in stopped}.isdisjoint(t.number for t in study.optuna.best_trials)
    assert ours == {(int(t.values[0]), t.values[1]) for t in study.optuna.best_trials if t.values}


def test_a_failed_trial_is_recorded_and_the_search_goes_on(tmp_path: Path) -> None:
    study = run_fake(FakeProblem(failing=frozenset({"ffn:lora(4)"})), tmp_path, "8")
    failed = [r for r in study.records() if r.status == "failed"]
    assert [r.baseline for r in failed] == ["lora-4"]
    assert failed[0].reason == "the loss is not a number in epoch 1"
    assert statuses(study)["finished"] + statuses(study)["stopped"] == 8


def test_when_everything_fails_the_search_says_so(tmp_path: Path) -> None:
    class Broken(FakeProblem):
        def start(self, design: Any, seed: int = 0, **resume: Any) -> Any:
            self.failing = frozenset({str(design)})
            return super().start(design, seed, **resume)

    with pytest.raises(StudyError, match="the first 5 trials all failed, the last one because: the loss is not"):
        run_fake(Broken(), tmp_path, "50")


def test_ctrl_c_gives_the_running_trial_back(tmp_path: Path) -> None:
    problem = FakeProblem(interrupting={"ffn:lora(4)"})
    with pytest.raises(KeyboardInterrupt):
        run_fake(problem, tmp_path, "8")
    study = run_fake(problem, tmp_path, "8")
    done = [r for r in study.records() if r.baseline == "lora-4"]
    assert [r.status for r in done] == ["failed", "finished"]
    assert done[0].reason == "interrupted; queued again"


def test_events_tell_the_story_in_order(tmp_path: Path) -> None:
    events: list[Any] = []
    run_fake(FakeProblem(), tmp_path, "3", on_event=events.append)
    kinds = [type(event) for event in events]
    assert kinds == [TrialStarted, RungReached, RungReached, RungReached, TrialEnded] * 3 + [SearchEnded]
    assert events[0].record.baseline == "linear"
    assert events[0].record.status == "running"
    assert events[4].record.top1 == events[3].rung.top1


def test_other_settings_are_refused_with_the_difference(tmp_path: Path) -> None:
    run_fake(FakeProblem(), tmp_path, "3")
    other = FakeProblem()
    other.settings["recipe"] = {"epochs": 18}
    other.settings["versions"] = {"utsearch": "9"}
    with pytest.raises(StudyError, match=r"other settings.*\n  recipe\.epochs: 9 → 18$"):
        run_fake(other, tmp_path, "3")


def test_another_space_is_refused(tmp_path: Path) -> None:
    run_fake(FakeProblem(), tmp_path, "3")
    path = tmp_path / "fake.toml"
    path.write_text(path.read_text().replace("[1, 2, 4, 8]", "[1, 2]"))
    with pytest.raises(StudyError, match=r"space\.fingerprint: \w+ → \w+"):
        run_fake(FakeProblem(), tmp_path, "3")


def test_a_space_that_does_not_fit_the_backbone_is_refused_before_anything_runs(tmp_path: Path) -> None:
    class NoSSF(FakeProblem):
        def resolve(self, design: Any) -> Any:
            if "ssf" in str(design):
                from utsearch.design import DesignError

                raise DesignError("ssf cannot stand here")
            return super().resolve(design)

    with pytest.raises(UserError, match=r"slots\.ffn\.forms\.ssf does not fit here: ssf cannot stand here"):
        run_fake(NoSSF(), tmp_path, "3")
    assert not (tmp_path / "fake.db").exists()


def test_the_study_says_what_made_it(tmp_path: Path) -> None:
    run_fake(FakeProblem(), tmp_path, "3", sampler="random", seed=4)
    study = open_study(None, studies_dir=tmp_path)
    assert study.name == "fake"
    assert study.settings["dataset"] == {"name": "fake", "fingerprint": "f00d"}
    assert study.settings["space"]["name"] == "fake"
    assert study.scale.floor == 0.4
    assert study.sessions[0]["sampler"] == "random"
    assert study.sessions[0]["seed"] == 4
    assert study.sessions[0]["versions"] == {"utsearch": "0"}
    assert study.optuna.user_attrs["space_text"].startswith('\ntitle = "fake"')


def test_plain_optuna_opens_the_study(tmp_path: Path) -> None:
    ours = run_fake(FakeProblem(), tmp_path, "5")
    plain = optuna.load_study(study_name="fake", storage=f"sqlite:///{tmp_path / 'fake.db'}")
    assert [t.values for t in plain.trials] == [[r.n_params, r.top1] for r in ours.records()]


def test_a_full_disk_for_weights_leaves_no_finished_trial_without_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("fake_problem.write_atomic", full)
    (tmp_path / "fake.toml").write_text(SPACE)
    with pytest.raises(StudyError, match="No space left on device"):
        run_fake(FakeProblem(), tmp_path, "3")
    assert not [r for r in open_study("fake", studies_dir=tmp_path).records() if r.status == "finished"]


def test_prepare_queues_each_baseline_once(tmp_path: Path) -> None:
    problem, space = FakeProblem(), fake_space(tmp_path)
    for _ in range(3):
        study = prepare(problem, space, "fake", studies_dir=tmp_path)
    assert [r.baseline for r in study.records()] == ["linear", "lora-4", "outside"]
    assert all(r.status == "waiting" for r in study.records())
    search(problem, space, study, Budget(trials=3))
    assert statuses(study) == {"finished": 3}
