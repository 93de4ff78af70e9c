"""The race of benchmarks/race.py: lanes, clocks, cost model and figures."""
