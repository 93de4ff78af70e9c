"""The recorded benchmark: what its file holds, and searches that are played back from it."""

import sqlite3
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import optuna
import pytest

from utsearch.backbones import load_backbone
from utsearch.design import Design
from utsearch.pareto import front, hypervolume
from utsearch.search import make_rule
from utsearch.search.observed import Observed
from utsearch.search.stopping import Decision
from utsearch.tabular import Replay, Table, TableError, open_table, simulate
from utsearch.tabular.orders import judge
from utsearch.tabular.simulate import final_hypervolume, progress
from utsearch.tabular.table import SHIPPED
from utsearch.tuning.known import known

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
from stopping_rules import OracleRule


@pytest.fixture(scope="module")
def table() -> Table:
    return open_table()


def test_who_knows_every_end_loses_nothing_and_saves_most(table: Table) -> None:
    options = {"seed": 0, "designs": 40, "rungs": (1, 2, 4), "baselines": True}
    best = judge(table, OracleRule(), **options, foresight=True)
    assert best.lost == 0
    assert best.saved > judge(table, make_rule("forecast"), **options).saved


def test_baselines_are_those_that_a_search_queues_first() -> None:
    table = open_table()
    assert {entry.name for entry in table.baselines} == set(known(load_backbone("vit_mini")))
    assert Replay(table).known == {name: Design.parse(str(d)) for name, d in known(load_backbone("vit_mini")).items()}
    assert not Replay(table, baselines=False).known


def test_it_holds_every_design_of_its_space_with_two_seeds(table: Table) -> None:
    inside = [entry for entry in table.entries.values() if entry.in_space]
    assert len(inside) >= 300
    assert len(table.seeds) >= 2
    assert len(inside) == table.space.most_designs or len(inside) == 315
    assert all(len(table.curves[digest, seed]) == 4 for digest in table.entries for seed in table.seeds)
    drawn = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    depth = table.about["depth"]
    texts = {str(table.space.suggest(drawn.ask(), depth)) for _ in range(300)}
    assert texts <= table.texts.keys()


def test_sizes_are_what_the_network_has(table: Table) -> None:
    """Against tuners that are built anew, not against what the maker wrote down."""
    import utsearch

    backbone = utsearch.load_backbone("vit_mini")
    for entry in list(table.entries.values())[::23]:
        with utsearch.attached(backbone, entry.design) as tuned:
            assert tuned.n_params == entry.n_params


def test_seeds_agree_more_than_designs_differ(table: Table) -> None:
    """Else a ranking of designs would be noise, and so would all that is decided by it."""
    ends = np.array([[table.curves[d, s][-1].top1 for s in table.seeds[:2]] for d in table.entries])
    assert np.corrcoef(ends.T)[0, 1] > 0.8


def test_a_search_is_played_back_as_it_was_recorded(table: Table) -> None:
    replay = Replay(table, seed=3)
    traces = simulate(replay, table.space, epochs=120)
    assert 120 <= replay.epochs < 124 + 4
    epochs = sum(r.record.epoch for r in traces if r.record.status in ("finished", "stopped"))
    assert epochs == replay.epochs
    for trace in traces[-10:]:
        ends = [table.curves[trace.record.digest, s][-1].top1 for s in table.seeds]
        assert trace.record.status != "finished" or trace.record.top1 in ends
    first = [t.record.baseline for t in traces[:5]]
    assert None not in first, "known designs go first, as in a real search"


def test_progress_is_the_hypervolume_of_what_was_finished(table: Table) -> None:
    traces = simulate(Replay(table, seed=1, baselines=False), table.space, epochs=60, sampler="random")
    grown = progress(table, traces)
    assert list(grown.hypervolume) == sorted(grown.hypervolume)
    assert grown.at(10**6) == final_hypervolume(table, traces)
    points = [(table.entries[t.record.digest].n_params, table.mean(t.record.digest)) for t in traces]
    assert grown.at(10**6) == pytest.approx(hypervolume(points, table.scale))
    assert grown.epochs_to(grown.hypervolume[0]) == grown.epochs[0]
    assert grown.epochs_to(1.0) is None


def test_without_a_rule_nothing_is_lost_and_nothing_saved(table: Table) -> None:
    kept = judge(table, None, seed=0, designs=40, rungs=(1, 2, 4), baselines=True)
    assert (kept.lost, kept.saved, kept.saved_new) == (0, 0, 0)


def test_a_rule_that_stops_all_loses_all(table: Table) -> None:
    class Never:
        def decide(self, own: Observed, others: object) -> Decision:
            return Decision(False, 1.0, "never")

    found = judge(table, Never(), seed=0, designs=40, rungs=(1, 2, 4), baselines=False)
    assert found.saved == found.saved_new == 0.75, "one epoch of four was trained"
    assert found.lost == 1


def test_the_default_rule_keeps_the_front(table: Table) -> None:
    """A few orders of the thousand behind docs/search-defaults.md."""
    found = [
        judge(table, make_rule("forecast"), seed=s, designs=150, rungs=(1, 2, 4), baselines=True) for s in range(6)
    ]
    assert np.mean([o.lost for o in found]) < 0.02
    assert np.mean([o.saved_new for o in found]) > 0.4


def test_designs_that_it_lacks_are_refused(table: Table) -> None:
    with pytest.raises(TableError, match="the table has no ffn:lora"):
        Replay(table).resolve(Design.parse("ffn:lora(3)"))


@pytest.mark.parametrize("content", [b"notes", b""])
def test_damaged_and_missing_tables_are_one_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "table.db"
    with pytest.raises(TableError, match="no table at"):
        open_table(path)
    path.write_bytes(content)
    with pytest.raises(TableError, match="not a table"):
        open_table(path)


def test_the_file_is_small_and_says_what_made_it() -> None:
    assert SHIPPED.stat().st_size < 2**20
    with sqlite3.connect(f"{SHIPPED.as_uri()}?mode=ro&immutable=1", uri=True) as opened:
        about = dict(opened.execute("select key, value from about").fetchall())
    assert {"command", "settings", "versions", "machine", "space", "floor"} <= about.keys()


def test_a_played_study_says_so(table: Table) -> None:
    assert "played back" in Replay(table).settings["simulated"]
    assert [table.scale, replace(table.scale)] == [table.scale] * 2
    assert front([(e.n_params, table.mean(d)) for d, e in table.entries.items()])
