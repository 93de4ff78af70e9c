"""What `search` and `pareto` both show of a study."""

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from utsearch.report.groups import About
    from utsearch.report.story import Story
    from utsearch.search import Study


def about_of(study: "Study") -> "About":
    """The words of a study for headings."""
    from utsearch.report.groups import About

    return About.of(study.name, study.settings, study.scale)


def print_result(study: "Study") -> None:
    """The front as a table, and the result in words."""
    from rich.console import Console

    from utsearch.report.plain import drawing
    from utsearch.report.summary import summary
    from utsearch.report.table import print_front

    records = study.records()
    print_front(records, Console())
    print(f"\n{drawing(records)}\n")
    print(summary(records))


def story_of(study: "Study") -> "Story":
    """All that a report tells of a study, as plain data."""
    from utsearch.report.story import Confirmed, Rivalry, Story
    from utsearch.search.evaluation import comparisons, results
    from utsearch.search.importance import importance

    found = results(study)
    confirmed = []
    for result in found:
        (mean, half), subject = result.top1, result.subject
        spread = half if math.isfinite(half) else None
        confirmed.append(
            Confirmed(subject.name, subject.design, subject.n_params, subject.known, mean, spread, len(result.seeds))
        )
    rivalries = [
        Rivalry(c.own, c.other, c.paired.difference, c.paired.low, c.paired.high, c.p, c.verdict)
        for c in comparisons(found)
    ]
    return Story(
        about_of(study),
        study.records(),
        depth=study.depth,
        importance=importance(study),
        confirmed=confirmed,
        rivalries=rivalries,
        sessions=study.sessions,
    )
