"""`spaces`: the search spaces, and whether they are right."""

import sys
from typing import TYPE_CHECKING, Any

import typer

from utsearch.cli.options import AsJson
from utsearch.cli.printing import print_json

if TYPE_CHECKING:
    from pathlib import Path


def spaces(as_json: AsJson = False) -> None:
    """List the files of search_spaces: what each holds, how many designs at most, and its error if it is wrong.

    Example: python cli.py spaces
    """
    from utsearch.report.plain import table
    from utsearch.space import spaces as shipped

    found = [_space(name, path) for name, path in shipped().items()]
    if as_json:
        print_json(found)
    else:
        rows = [[each["name"], _count(each["designs"]), each["error"] or each["title"]] for each in found]
        print(table(("space", "designs", "what it holds"), rows, left=("space", "what it holds")))
    if wrong := [each["name"] for each in found if each["error"]]:
        print(f"error: {', '.join(wrong)} cannot be used", file=sys.stderr)
        raise typer.Exit(2)


def _space(name: str, path: "Path") -> dict[str, Any]:
    from utsearch.errors import UserError
    from utsearch.forms import info
    from utsearch.space import load_space

    found: dict[str, Any] = {"name": name, "file": str(path), "title": "", "designs": None, "error": None}
    try:
        space = load_space(str(path), info())
    except UserError as error:
        return {**found, "error": str(error).splitlines()[0]}
    return {**found, "title": space.title, "designs": space.most_designs}


def _count(n: int | None) -> str:
    return "-" if n is None else f"{n:,}" if n < 10**9 else f"{float(n):.1e}"
