"""`pareto`: the front of parameters against accuracy, as a table and a page."""

from pathlib import Path
from typing import Annotated

import typer

from utsearch.cli.options import STUDIES, Storage, Studies, StudyName
from utsearch.cli.printing import print_json


def pareto(
    study: StudyName = None,
    out: Annotated[Path | None, typer.Option(help="The page to write. [default: STUDIES/STUDY/pareto.html]")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the front as JSON and write no page.")] = False,
    storage: Storage = None,
    studies: Studies = STUDIES,
) -> None:
    """Show the Pareto front as a table, and write it as an interactive page that needs no network.

    Example: python cli.py pareto --study mini-birds-vit_mini-mini
    """
    from utsearch.cli.look import print_result
    from utsearch.errors import UserError
    from utsearch.report.page import write_page
    from utsearch.report.table import front_json
    from utsearch.report.telling import about_of
    from utsearch.search import open_study

    opened = open_study(study, storage, studies_dir=studies)
    if as_json:
        print_json(front_json(opened.records(), about_of(opened)))
        return
    print_result(opened)
    path = out or studies / opened.name / "pareto.html"
    try:
        write_page(opened.records(), about_of(opened), path)
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror or error}") from error
    print(f"\npage: {path}")
