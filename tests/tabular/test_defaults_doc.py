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


def test_the_default_rule_is_as_the_text_says() -> None:
    """1.4 % lost and 59 % of the new epochs saved, which is over nine tenths of what can be saved."""
    rows = json.loads((defaults.RESULTS / "stopping.json").read_text())["rows"]
    own, best = (
        next(r for r in rows if r["baselines"] and r["rule"] == rule)
        for rule in ("forecast, margin 1", "who knows every end")
    )
    assert defaults.RULES["forecast, margin 1"] == DEFAULT_RULE == ForecastRule()
    assert own["orders"] == best["orders"] == 1000
    assert sum(own["lost"]) < 0.015
    assert own["saved"][0] / best["saved"][0] == pytest.approx(0.91, abs=0.005)
    assert best["saved_new"][0] < 0.66
    compared = [r["lost"][0] for r in rows if r["baselines"] and "η" in r["rule"]]
    assert min(compared) > 2 * own["lost"][0]
