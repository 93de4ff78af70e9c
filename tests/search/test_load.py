"""The simulated load of benchmarks/load.py is a search like any other, and its count finds what is broken."""

import sys
from argparse import Namespace
from dataclasses import replace
from pathlib import Path

import pytest

from utsearch.search import open_study

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
import load


def test_workers_of_a_simulated_load_count_right(tmp_path: Path) -> None:
    """The rule stops trials and sends some on: both are counted once."""
    url = f"sqlite:///{tmp_path / 'load.db'}"
    told = load.measure(Namespace(storage=url, folder=tmp_path, seconds=0.02), 30, 2)
    assert told["problems"] == []
    assert told["per_second"] > 0
    assert told["cpu_ms_per_trial"] > 0
    records = open_study(None, url, studies_dir=tmp_path).records()
    assert {"finished", "stopped"} <= {record.status for record in records}
    counted = next(i for i, record in enumerate(records) if record.status == "finished")
    # four workers: two may have trained one more than asked for, and here comes another
    doubled = [*records, replace(records[counted], number=len(records))]
    assert load.problems(doubled, 30, 4) == [f"{records[counted].digest} was trained 2 times"]
    lost = [replace(records[counted], status="running"), *(r for i, r in enumerate(records) if i != counted)]
    assert f"trial {counted} is running" in load.problems(lost, 30, 2)


@pytest.mark.parametrize("done", [1, 3])
def test_a_simulated_run_goes_on_where_it_was_left(done: int, tmp_path: Path) -> None:
    problem, _ = load.simulated(0.0, tmp_path)
    design = load.Design.parse("ffn:lora(4)")
    whole = [rung.top1 for rung in problem.start(design).rungs()]
    left = problem.start(design)
    steps = left.rungs()
    began = [next(steps).top1 for _ in range(done)]
    left.save(tmp_path / "weights")
    assert [*began, *(rung.top1 for rung in problem.start(design, resume=tmp_path / "weights").rungs())] == whole
