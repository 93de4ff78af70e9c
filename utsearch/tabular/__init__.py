"""Recorded learning curves of every design of a small space: samplers, stopping rules and priors compared in seconds.

    from utsearch.tabular import Replay, open_table, simulate

    table = open_table()
    trials = simulate(Replay(table, seed=1), table.space, epochs=240)

The table that ships was made by `python benchmarks/tabular.py`; docs/search-defaults.md shows what it decided.
"""

from utsearch.tabular.replay import Replay
from utsearch.tabular.simulate import Trace, simulate
from utsearch.tabular.table import Entry, Epoch, Table, TableError, open_table

__all__ = ["Entry", "Epoch", "Replay", "Table", "TableError", "Trace", "open_table", "simulate"]
