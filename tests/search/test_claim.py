"""No two workers train one design at the same time, whatever the order of their steps."""

import itertools
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import optuna
import pytest
from fake_problem import FakeProblem, fake_space
from optuna.trial import FrozenTrial, Trial, TrialState

from utsearch.search import Budget, prepare, search
from utsearch.search.claim import CLAIM, rival_of

KEY = ("digest", 0)


def running(study: optuna.Study) -> list[FrozenTrial]:
    return study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))


def asked(study: optuna.Study, n: int) -> list[Trial]:
    return [study.ask() for _ in range(n)]


@pytest.fixture
def study() -> optuna.Study:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna.create_study()


def test_alone_it_is_mine(study: optuna.Study) -> None:
    (trial,) = asked(study, 1)
    assert rival_of(trial, KEY, lambda: running(study)) is None
    assert study.trials[0].user_attrs[CLAIM]["state"] == "training"


def test_another_design_is_no_rival(study: optuna.Study) -> None:
    first, second = asked(study, 2)
    assert rival_of(first, KEY, lambda: running(study)) is None
    assert rival_of(second, ("other", 0), lambda: running(study)) is None
    third = study.ask()
    assert rival_of(third, ("digest", 1), lambda: running(study)) is None  # another seed is another training


def test_the_later_gives_way_and_the_earlier_waits_for_it_to_look(study: optuna.Study) -> None:
    first, second = asked(study, 2)
    second.set_user_attr(CLAIM, {"key": list(KEY), "state": "asking"})
    naps: list[float] = []

    def sleep(seconds: float) -> None:
        naps.append(seconds)
        rival = rival_of(second, KEY, lambda: running(study))  # it looks at last, and sees the first
        assert rival is not None
        assert rival.number == first.number

    assert rival_of(first, KEY, lambda: running(study), sleep=sleep) is None
    assert len(naps) == 1


def test_the_earlier_gives_way_to_one_that_looked_too_early(study: optuna.Study) -> None:
    first, second = asked(study, 2)
    assert rival_of(second, KEY, lambda: running(study)) is None
    rival = rival_of(first, KEY, lambda: running(study))
    assert rival is not None
    assert rival.number == second.number


def test_a_dead_asker_is_waited_for_no_longer_than_patience(study: optuna.Study) -> None:
    first, second = asked(study, 2)
    second.set_user_attr(CLAIM, {"key": list(KEY), "state": "asking"})
    clock = itertools.count(0, 10.0)
    found = rival_of(first, KEY, lambda: running(study), clock=lambda: next(clock), sleep=lambda seconds: None)
    assert found is None


def test_many_at_once_and_one_trains(study: optuna.Study) -> None:
    """Threads in any order: exactly one of them gets the design, every time."""
    for _ in range(20):
        trials = asked(study, 4)
        ready = threading.Barrier(len(trials))
        won: list[int] = []

        def claim(trial: Trial, ready: threading.Barrier = ready, won: list[int] = won) -> None:
            ready.wait()
            if rival_of(trial, KEY, lambda: running(study), pause=0.001) is None:
                won.append(trial.number)

        threads = [threading.Thread(target=claim, args=(trial,)) for trial in trials]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(won) == 1
        for trial in trials:
            study.tell(trial, 0.0)


def test_workers_that_share_a_study_train_no_design_twice(tmp_path: Path) -> None:
    problems = [FakeProblem(rung_seconds=0.002) for _ in range(4)]
    space = fake_space(tmp_path)
    studies = [prepare(problem, space, "shared", studies_dir=tmp_path) for problem in problems]

    def work(i: int) -> str:
        return search(problems[i], space, studies[i], Budget(seconds=60), sampler="random", until=30, stream=i + 1)

    with ThreadPoolExecutor(4) as pool:
        ends = list(pool.map(work, range(4)))
    assert set(ends) == {"the budget is used up"}
    records = studies[0].records()
    counted = [r for r in records if r.status in ("finished", "stopped")]
    assert 30 <= len(counted) <= 33
    assert len({r.digest for r in counted}) == len(counted)
    assert not [r for r in records if r.status in ("running", "waiting") and r.started]
    started = [text for problem in problems for text in problem.started]
    assert len(started) == len(set(started))
