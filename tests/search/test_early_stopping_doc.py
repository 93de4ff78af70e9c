"""The example of docs/early-stopping.md runs, stops much, and loses nothing of the front that full training has."""

import math
import re
from pathlib import Path

import optuna
import pytest

from utsearch.pareto import front
from utsearch.search import RULES

DOC = Path(__file__).parents[2] / "docs" / "early-stopping.md"


def test_the_example_runs(capsys: pytest.CaptureFixture[str]) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", DOC.read_text(), re.DOTALL)
    verbosity = optuna.logging.get_verbosity()
    names: dict[str, object] = {}
    try:
        exec(compile(code, str(DOC), "exec"), names)
    finally:
        optuna.logging.set_verbosity(verbosity)
    said = capsys.readouterr().out
    found = re.search(r"(\d+) designs on the front after (\d+) of 300 epochs", said)
    assert found, said
    assert int(found[2]) < 0.6 * 300
    study = names["study"]
    assert isinstance(study, optuna.Study)
    ends = [
        (t.params["width"], 0.3 + 0.1 * math.log10(t.params["width"]) - 0.05 * abs(math.log10(t.params["rate"]) + 2))
        for t in study.trials
    ]
    assert {t.number for t in study.best_trials} == set(front(ends))


def test_every_rule_is_explained() -> None:
    named = re.findall(r"^\| `(\w+)`", DOC.read_text(), re.MULTILINE)
    assert set(named) == set(RULES)
