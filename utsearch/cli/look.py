"""What `search` and `pareto` both show of a study."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from utsearch.search import Study


def print_result(study: "Study") -> None:
    """The front as a table and drawn in letters, and the result in words."""
    from rich.console import Console

    from utsearch.report.plain import drawing
    from utsearch.report.summary import summary
    from utsearch.report.table import print_front

    records = study.records()
    print_front(records, Console())
    print(f"\n{drawing(records, _width())}\n")
    print(summary(records))


def _width() -> int:
    """Letters for the plot beside its labels, of which the last may stand out; no wider than the eye follows."""
    import shutil

    return min(max(shutil.get_terminal_size().columns - 12, 40), 112)
