"""What `search` and `pareto` both show of a study."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from utsearch.search import Study


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
