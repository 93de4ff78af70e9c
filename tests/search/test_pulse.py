"""Dead workers are found within a minute; an outage makes nobody dead; half a journal line spoils nothing."""

import errno
import os
from pathlib import Path

import pytest
from fake_problem import FakeProblem, run_fake
from hypothesis import given
from hypothesis import strategies as st

from utsearch.search import StudyError
from utsearch.search.journal import Journal
from utsearch.search.pulse import BEAT_SECONDS, Pulse


@given(died=st.floats(0, 100), phase=st.floats(0, BEAT_SECONDS), late=st.floats(0, 2))
def test_a_dead_worker_is_found_within_a_minute_and_a_living_one_never(died: float, phase: float, late: float) -> None:
    now = 0.0
    pulse = Pulse(clock=lambda: now)
    last, found = (died // BEAT_SECONDS) * BEAT_SECONDS, None
    for look in range(30):
        now = phase + look * (BEAT_SECONDS + late)
        silent = pulse.silent({1: min(now, died) // BEAT_SECONDS, 2: now // BEAT_SECONDS})
        assert 2 not in silent
        if 1 in silent:
            found = now
            break
    assert found is not None
    assert found > died
    assert found - max(last, phase) <= 60


def test_an_outage_counts_for_nobody() -> None:
    now = 0.0
    pulse = Pulse(clock=lambda: now)
    assert pulse.silent({1: 7}) == set()
    now = 90.0  # nobody could show a sign
    assert pulse.silent({1: 7}) == set()
    now = 100.0
    assert pulse.silent({1: 8}) == set()


def test_half_a_line_of_a_killed_writer_is_dropped(tmp_path: Path) -> None:
    path = tmp_path / "log"
    journal = Journal(str(path))
    journal.append_logs([{"a": 1}])
    with path.open("ab") as file:
        file.write(b'{"b": 2, "half')
    journal.append_logs([{"c": 3}, {"d": 4}])
    assert list(Journal(str(path)).read_logs(0)) == [{"a": 1}, {"c": 3}, {"d": 4}]


def test_a_full_disk_leaves_the_journal_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = Journal(str(tmp_path / "log"))
    journal.append_logs([{"a": 1}])
    real = os.pwrite

    def half(file: int, content: bytes, at: int) -> int:
        real(file, content[: len(content) // 2], at)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "pwrite", half)
    with pytest.raises(OSError, match="No space left"):
        journal.append_logs([{"b": 2}])
    monkeypatch.undo()
    assert list(journal.read_logs(0)) == [{"a": 1}]


@pytest.mark.parametrize("fault", ["disk full", "data gone"])
def test_a_fault_of_files_gives_the_trial_back_twice_and_then_fails_it(tmp_path: Path, fault: str) -> None:
    class Broken(FakeProblem):
        def start(self, design: object, seed: int = 0, rate: float = 1.0, **resume: object) -> object:
            if str(design) == "ffn:lora(4)":
                code = errno.ENOSPC if fault == "disk full" else errno.ENOENT
                raise OSError(code, os.strerror(code), "/data/image.png")
            return super().start(design, seed, rate, **resume)  # type: ignore[arg-type]

    for _ in range(3):
        with pytest.raises(StudyError, match=r"cannot use /data/image.png: .*; mend that"):
            run_fake(Broken(), tmp_path, "20", sampler="random")
    study = run_fake(Broken(), tmp_path, "3", sampler="random")
    broken = [r for r in study.records() if r.design == "ffn:lora(4)"]
    assert [r.status for r in broken] == ["failed"] * 3
    assert [str(r.reason).endswith("; queued again") for r in broken] == [True, True, False]
    assert str(broken[-1].reason).endswith(", 3 times")
    assert not [r for r in study.records() if r.status in ("running", "waiting")]
