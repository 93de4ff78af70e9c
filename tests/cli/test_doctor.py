"""`doctor` on the command line: what it prints, what it repairs, its exit codes."""

import json
from pathlib import Path

import pytest
import torch
from command_line import Run
from fake_problem import FakeProblem, run_fake
from safetensors.torch import save_file

from utsearch import environment
from utsearch.environment import check_environment


@pytest.fixture
def studies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("UTSEARCH_CACHE", str(tmp_path / "cache"))
    run_fake(FakeProblem(), tmp_path / "studies", "4", sampler="random")
    for path in (tmp_path / "studies" / "fake").iterdir():
        save_file({"a": torch.zeros(3)}, path)
    return tmp_path / "studies"


def test_it_finds_asks_and_repairs(run: Run, studies: Path) -> None:
    code, out, err = run("doctor", "--study", "fake")
    assert (code, err) == (0, "")
    assert out.endswith("\nNothing is wrong.\n")
    stray = studies / "fake" / "trial-999.safetensors"
    save_file({"a": torch.zeros(3)}, stray)
    code, out, _ = run("doctor")
    assert code == 1
    assert "PROBLEM study fake: 1 file (0.0 MB) of weights that belong to no ended trial: trial-999.safetensors" in out
    assert out.endswith("1 problems remain, 1 of them can be repaired: --yes\n")
    assert stray.exists(), "nobody was there to agree"
    code, out, _ = run("doctor", "--yes", "--json")
    assert code == 0
    (found,) = (finding for finding in json.loads(out) if finding["severity"] == "problem")
    assert (found["repair"], found["repaired"]) == ("remove 1 file", True)
    assert not stray.exists()


def test_a_study_that_is_not_there_is_a_problem(run: Run, studies: Path) -> None:
    code, out, _ = run("doctor", "--study", "banana")
    assert code == 1
    assert "PROBLEM study banana: no study 'banana' in studies; there are fake" in out


def test_versions_are_held_against_the_requirements(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = ["torch>=2.6", "timm<2,>=1.0.20", "nosuch>=1", "optuna<5,>=4", "ray>=99; extra == 'ray'"]
    have = {"torch": "2.11.0+cpu", "timm": "1.0.31", "optuna": "5.0.0", "ray": "2.60.0"}

    def version(name: str) -> str:
        if name not in have:
            raise environment.PackageNotFoundError(name)
        return have[name]

    monkeypatch.setattr(environment, "requires", lambda name: asked)
    monkeypatch.setattr(environment, "version", version)
    found = list(check_environment())[1:]
    assert [(f.severity, f.what) for f in found] == [
        ("fine", "torch 2.11.0+cpu, timm 1.0.31"),
        ("problem", "nosuch: is not installed"),
        ("problem", "optuna 5.0.0: expected <5,>=4"),
        ("note", "extra ray is not there: ray 2.60.0"),
    ]
