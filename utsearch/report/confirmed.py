"""Results over seeds on test, in a table and in words."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from utsearch.report.units import clean, count, percent

if TYPE_CHECKING:
    from utsearch.search.evaluation import Comparison, Result


def print_confirmed(results: Sequence[Result], comparisons: Sequence[Comparison]) -> None:
    """The table of results, then one line for every new design."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for heading in ("params", "test top-1 %", "seeds", "val top-1 %"):
        table.add_column(heading, justify="right", no_wrap=True)
    for heading in ("name", "design"):
        table.add_column(heading, overflow="fold")
    for result in results:
        subject = result.subject
        val = "-" if subject.val_top1 is None else percent(subject.val_top1)
        name = clean(subject.name) + ("" if subject.rate == 1 else f", rate ×{subject.rate:g}")
        table.add_row(count(subject.n_params), spread(result), str(len(result.seeds)), val, name, clean(subject.design))
    console = Console()
    console.print(table)
    print("95% intervals: ± is Student's t over seeds; differences are bootstrapped over seeds and images.")
    for line in verdicts(results, comparisons):
        print(line)


def spread(result: Result) -> str:
    """`65.2 ± 0.7`, of one seed `65.2 (one seed)`."""
    mean, half = result.top1
    return f"{percent(mean)} (one seed)" if math.isinf(half) else f"{percent(mean)} ± {percent(half)}"


def verdicts(results: Sequence[Result], comparisons: Sequence[Comparison]) -> list[str]:
    """For every new design what it beats among the known ones of at most its size, and what it does not."""
    lines = []
    for result in results:
        own = [c for c in comparisons if c.own == result.subject.name]
        if not own:
            continue
        better = [c for c in own if c.verdict == "better"]
        rest = [c for c in own if c.verdict != "better"]
        closest = min(own, key=lambda c: c.paired.difference)
        name = f"{clean(result.subject.name)} ({count(result.subject.n_params)} parameters)"
        against = f"the {len(own)} known designs of at most its size" if len(own) > 1 else clean(own[0].other)
        gap = f"{100 * closest.paired.difference:+.1f} points [{100 * closest.paired.low:+.1f}, "
        gap += f"{100 * closest.paired.high:+.1f}] against {clean(closest.other)}, p = {closest.p:.3f}"
        if not rest:
            lines.append(f"{name} beats {against}; closest: {gap}")
        else:
            names = ", ".join(f"{clean(c.other)} ({c.verdict})" for c in rest)
            lines.append(f"{name} beats {len(better)} of {against}, not {names}; closest: {gap}")
    return lines or ["no new design was evaluated: choose some by --front, --top, --trial or --design"]


def confirmed_json(results: Sequence[Result], comparisons: Sequence[Comparison]) -> dict[str, Any]:
    """Plain data for `--json`."""
    rows = []
    for result in results:
        mean, half = result.top1
        seeds = [{"seed": o.seed, "top1": o.top1, "balanced": o.balanced, "ece": o.ece} for o in result.outcomes]
        interval = None if math.isinf(half) else half
        rows.append({**asdict(result.subject), "test_top1": mean, "half_interval": interval, "runs": seeds})
    pairs = [
        {"own": c.own, "other": c.other, "seeds": c.seeds, **asdict(c.paired), "p_holm": c.p, "verdict": c.verdict}
        for c in comparisons
    ]
    return {"results": rows, "comparisons": pairs}
