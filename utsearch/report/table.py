"""The front as a table: for a terminal (rich), for a pipe (plain lines), for a program (JSON)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, astuple, dataclass
from typing import TYPE_CHECKING, Any

from utsearch.report.groups import About, accuracy, error, front, hypervolume
from utsearch.report.summary import verdict
from utsearch.report.units import clean, count, duration, percent

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from utsearch.search import Record


@dataclass(frozen=True)
class Row:
    """One design as it is printed; `design` and `name` come from data and are cleaned where they are drawn."""

    trial: str
    params: str
    top1: str
    time: str
    name: str
    design: str

    @classmethod
    def of(cls, record: Record) -> Row:
        """The words for one record."""
        return cls(
            trial=f"#{record.number}",
            params=count(record.n_params),
            top1=f"{percent(accuracy(record))} ± {percent(error(record))}",
            time=duration(record.seconds),
            name=clean(record.baseline or "-"),
            design=clean(record.design),
        )


HEADINGS = Row("trial", "params", "top-1 %", "time", "catalogue", "design")


def rows(records: Sequence[Record]) -> list[Row]:
    """The front from small to large."""
    return [Row.of(record) for record in front(records)]


def front_table(records: Sequence[Record]) -> Table:
    """A rich table; in a narrow terminal only the design wraps, numbers stay whole."""
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for heading in (HEADINGS.trial, HEADINGS.params, HEADINGS.top1, HEADINGS.time):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column(HEADINGS.design, overflow="fold", min_width=12)
    for row in rows(records):
        table.add_row(row.trial, row.params, row.top1, row.time, _design(row))
    return table


def front_text(records: Sequence[Record]) -> str:
    """Plain aligned lines without colours or limits of width, the design last: for pipes and logs."""
    lines = [HEADINGS, *rows(records)]
    widths = [max(len(cell) for cell in column) for column in zip(*map(astuple, lines), strict=True)]
    return "\n".join(_aligned(astuple(line), widths) for line in lines)


def front_json(records: Sequence[Record], about: About) -> dict[str, Any]:
    """What the table says, in the units of the library (top-1 in 0…1, seconds)."""
    return {
        "study": about.study,
        "dataset": about.dataset,
        "backbone": about.backbone,
        "space": about.space,
        "hypervolume": hypervolume(records, about.scale),
        "verdict": verdict(records),
        "front": [_plain(asdict(record)) for record in front(records)],
    }


def print_front(records: Sequence[Record], console: Console) -> None:
    """The table for a terminal, plain lines for anything else."""
    if console.is_terminal:
        console.print(front_table(records))
    else:
        console.file.write(front_text(records) + "\n")


def _design(row: Row) -> Text:
    """New designs bold, as on the live display; a `Text`, since rich reads brackets in a plain string as markup."""
    from rich.text import Text

    if row.name == "-":
        return Text(row.design, style="bold")
    return Text.assemble(row.name, ("" if row.design == row.name else f"  {row.design}", "dim"))


def _aligned(cells: Iterable[str], widths: Sequence[int]) -> str:
    """Numbers (the first four) to the right, names to the left."""
    pairs = enumerate(zip(cells, widths, strict=True))
    return "  ".join(cell.rjust(width) if i < 4 else cell.ljust(width) for i, (cell, width) in pairs).rstrip()


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    """A record's fields as JSON knows them: a date in ISO form."""
    return {key: value.isoformat() if hasattr(value, "isoformat") else value for key, value in values.items()}
