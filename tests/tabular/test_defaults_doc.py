"""docs/search-defaults.md shows the committed results, and the defaults are what they say."""

import json
import sys
from pathlib import Path

import pytest

from utsearch.search.samplers import AUTO
from utsearch.search.stopping import DEFAULT_RULE, ForecastRule

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
import defaults

DOC = Path(__file__).parents[2] / "docs" / "search-defaults.md"


def test_its_tables_are_the_results(capsys: pytest.CaptureFixture[str]) -> None:
    defaults.show()
    lines = [line for line in capsys.readouterr().out.splitlines() if line]
    assert len(lines) > 10
    assert set(lines) <= set(DOC.read_text().splitlines())


def test_auto_is_the_sampler_with_the_largest_hypervolume() -> None:
    rows = json.loads((defaults.RESULTS / "samplers.json").read_text())["rows"]
    assert max(rows, key=lambda row: row["hv_end"][0])["sampler"] == AUTO


def test_the_default_rule_loses_little_in_a_search_as_it_is() -> None:
    rows = json.loads((defaults.RESULTS / "stopping.json").read_text())["rows"]
    (row,) = [r for r in rows if r["baselines"] and r["rule"] == "forecast, margin 1"]
    assert defaults.RULES["forecast, margin 1"] == DEFAULT_RULE == ForecastRule()
    assert sum(row["lost"]) < 0.01
    assert row["saved_new"][0] - row["saved_new"][1] > 0.6
