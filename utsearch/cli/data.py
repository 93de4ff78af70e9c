"""`data`: which data sets can be read, is one whole, and download one."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from utsearch.cli.completing import complete_reader
from utsearch.cli.printing import print_json

if TYPE_CHECKING:
    from utsearch.data.check import Check

data = typer.Typer(
    name="data",
    help="Data sets: which can be read, is one whole, download one. Example: python cli.py data check cub --root /data",
    no_args_is_help=True,
)

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
ReaderName = Annotated[
    str,
    typer.Argument(
        help="As `data list` shows it, such as cub; for a library torchvision:NAME.", autocompletion=complete_reader
    ),
]
SHOWN = 10  # of many unreadable files or duplicates


@data.command("list")
def list_(as_json: AsJson = False) -> None:
    """Show the data sets that can be read, with their layouts and where they come from.

    Example: python cli.py data list
    """
    from utsearch.data import procedural
    from utsearch.data.readers import readers

    if as_json:
        rows = [
            {
                "name": reader.name,
                "title": reader.title,
                "classes": reader.classes or None,
                "images": dict(reader.official),
                "layout": reader.layout,
                "get": reader.get,
                "fetch": bool(reader.archives),
                "notes": list(reader.notes),
            }
            for reader in readers().values()
        ]
        print_json({"synthetic": list(procedural.NAMES), "readers": rows})
        return
    print(f"Rendered, nothing to download: {', '.join(procedural.NAMES)}\n")
    print("Read from ROOT as --dataset NAME:ROOT; a plain folder path is read as folder:PATH.\n")
    for reader in readers().values():
        counts = ", ".join(f"{n:,} {part}" for part, n in reader.official.items())
        size = f" ({reader.classes} classes; {counts})" if reader.classes else ""
        print(f"{reader.name:12}{reader.title}{size}\n{'':12}{reader.layout}")
        how = f"python cli.py data fetch {reader.name} --root ROOT" if reader.archives else reader.get
        print(f"{'':12}get it: {how}\n" if how else "")


@data.command("check")
def check_(
    name: Annotated[
        str,
        typer.Argument(
            help="As --dataset takes it: a folder or NAME:ROOT; or NAME with --root.", autocompletion=complete_reader
        ),
    ],
    root: Annotated[str | None, typer.Option(help="Where the set is, if NAME does not say it.")] = None,
    readable: Annotated[
        Path | None, typer.Option(help="Write the readable images to this CSV, to be used as --dataset list:CSV.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Read every image of a set; exit code 1 where counts, files or splits are not as they should be.

    Example: python cli.py data check cub --root /data/CUB_200_2011
    """
    from utsearch.cli.progress import bar
    from utsearch.data.check import check, write_readable
    from utsearch.data.readers import placed, reader

    head, colon, rest = name.partition(":")
    if root is None:
        chosen, where = placed(name)
    else:
        chosen, where = reader(head), f"{rest}:{root}" if colon else root
    with bar() as progress:
        found = check(chosen, where, progress)
    if as_json:
        print_json(found.to_dict())
    else:
        print(_text(found))
    if readable is not None:
        n = write_readable(chosen, where, found, readable)
        print(f"wrote {readable}: {n:,} readable images; use --dataset list:{readable}", file=sys.stderr)
    if not found.good:
        raise typer.Exit(1)


def _text(found: "Check") -> str:
    """A check in words."""
    lines = [f"{found.name} at {found.root}: {found.classes} classes, "]
    lines[0] += ", ".join(f"{n:,} {part}" for part, n in found.images.items())
    low, median, high = found.per_class
    lines.append(f"training images of a class: {low} to {high}, median {median}")
    lines += [f"differs: {problem}" for problem in found.problems]
    lines += _some("unreadable", [f"{file}: {why}" for file, why in found.unreadable])
    lines += _some("in two splits", [f"{one} = {other}" for one, other in found.duplicates])
    if found.repeats:
        lines.append(f"{found.repeats} images repeat another one of their split")
    lines += [f"note: {note}" for note in found.notes]
    lines.append("ready to use" if found.good else "mend what is named above, or use the set knowing it")
    return "\n".join(lines)


def _some(what: str, rows: list[str]) -> list[str]:
    """The first rows of many, each with what it is."""
    more = [f"{what}: and {len(rows) - SHOWN} more (--json shows all)"] if len(rows) > SHOWN else []
    return [f"{what}: {row}" for row in rows[:SHOWN]] + more


@data.command("fetch")
def fetch_(name: ReaderName, root: Annotated[Path, typer.Option(help="Folder to put it into.")]) -> None:
    """Download and unpack a set where its source allows it; the same command goes on after a break.

    Example: python cli.py data fetch flowers --root /data
    """
    from utsearch.cli.progress import bar
    from utsearch.data.fetch import fetch
    from utsearch.data.readers import reader

    with bar() as progress:
        new = fetch(reader(name), root.expanduser(), progress)
    print(f"{'fetched' if new else 'already there'}: use --dataset {name}:{root}")
