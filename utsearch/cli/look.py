"""What `search` and `pareto` both show of a study."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from utsearch.report.groups import About
    from utsearch.search import Study


def about_of(study: "Study") -> "About":
    """The words of a study for headings."""
    from utsearch.report.groups import About

    return About.of(study.name, study.settings, study.scale)


def print_result(study: "Study") -> None:
    """The front as a table, and the result in words."""
    from rich.console import Console

    from utsearch.report.summary import summary
    from utsearch.report.table import print_front

    records = study.records()
    print_front(records, Console())
    print(summary(records))
