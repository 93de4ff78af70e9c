"""Results over seeds on test, in a table and in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from utsearch.report.story import Confirmed, Rivalry
from utsearch.report.units import clean, count, percent, plural, points

if TYPE_CHECKING:
    from utsearch.search.comparing import Comparison
    from utsearch.search.evaluation import Result

HOW = "95% intervals are bootstrapped over seeds and images, p-values corrected for all comparisons together (Holm)."


def confirmed_of(results: Sequence[Result]) -> list[Confirmed]:
    """What a report tells of results."""
    return [
        Confirmed(
            name=r.subject.name,
            design=r.subject.design,
            n_params=r.subject.n_params,
            known=r.subject.known,
            top1=r.top1,
            interval=r.interval,
            seeds=len(r.seeds),
            rate=r.subject.rate,
            val_top1=r.subject.val_top1,
        )
        for r in results
    ]


def rivalries_of(pairs: Sequence[Comparison]) -> list[Rivalry]:
    """What a report tells of comparisons."""
    return [
        Rivalry(c.own, c.other, c.paired.difference, c.paired.low, c.paired.high, c.p, c.verdict, c.seeds)
        for c in pairs
    ]


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
    confirmed = confirmed_of(results)
    for each in confirmed:
        val = "-" if each.val_top1 is None else percent(each.val_top1)
        name = clean(each.name) + ("" if each.rate == 1 else f", rate ×{each.rate:g}")
        table.add_row(count(each.n_params), spread(each), str(each.seeds), val, name, clean(each.design))
    Console(markup=False, highlight=False).print(table)
    print(HOW)
    for line in verdicts(confirmed, rivalries_of(comparisons)):
        print(line)


def spread(result: Confirmed) -> str:
    """`65.2 [63.9, 66.4]`, of one seed `65.2 (one seed)`."""
    if result.interval is None:
        return f"{percent(result.top1)} (one seed)"
    return f"{percent(result.top1)} [{percent(result.interval[0])}, {percent(result.interval[1])}]"


def verdicts(confirmed: Sequence[Confirmed], rivalries: Sequence[Rivalry]) -> list[str]:
    """First how many new designs beat all known forms of their size; then for each what it beats and what not."""
    new = [result for result in confirmed if not result.known]
    if not new:
        return ["No new design was retrained: choose some by --front, --trial or --design."]
    lines, champions = [], []
    for result in new:
        own = [rivalry for rivalry in rivalries if rivalry.own == result.name]
        if own and all(rivalry.verdict == "better" for rivalry in own):
            champions.append(clean(result.name))
        lines.append(_line(result, own))
    total = plural(len(new), "new design")
    if champions:
        return [f"Of {total}, {len(champions)} beat every known form of their size: {', '.join(champions)}.", *lines]
    return [f"Of {total}, none beats every known form of its size.", *lines]


def _line(result: Confirmed, own: Sequence[Rivalry]) -> str:
    name = f"{clean(result.name)} ({count(result.n_params)} parameters, {spread(result)} % test top-1)"
    if not own:
        return f"{name} has no known form of its size beside it."
    rest = [rivalry for rivalry in own if rivalry.verdict != "better"]
    closest = min(own, key=lambda rivalry: rivalry.difference)
    gap = f"closest: {clean(closest.other)}, {difference(closest)}"
    if not rest:
        return f"{name} beats all {len(own)}; {gap}." if len(own) > 1 else f"{name} beats the only one; {gap}."
    names = ", ".join(f"{clean(r.other)} ({r.verdict})" for r in rest)
    return f"{name} beats {len(own) - len(rest)} of {len(own)}, not {names}; {gap}."


def difference(rivalry: Rivalry) -> str:
    """`+1.2 points [+0.1, +2.3], p = 0.004`."""
    interval = f"[{points(rivalry.low)}, {points(rivalry.high)}]"
    return f"{points(rivalry.difference)} points {interval}, p = {rivalry.p:.3f}"


def confirmed_json(results: Sequence[Result], comparisons: Sequence[Comparison]) -> dict[str, Any]:
    """Plain data for `--json`."""
    rows = []
    for result in results:
        seeds = [{"seed": o.seed, "top1": o.top1, "balanced": o.balanced, "ece": o.ece} for o in result.outcomes]
        rows.append({**asdict(result.subject), "test_top1": result.top1, "interval": result.interval, "runs": seeds})
    pairs = [
        {"own": c.own, "other": c.other, "seeds": c.seeds, **asdict(c.paired), "p_holm": c.p, "verdict": c.verdict}
        for c in comparisons
    ]
    return {
        "results": rows,
        "comparisons": pairs,
        "verdicts": verdicts(confirmed_of(results), rivalries_of(comparisons)),
    }
