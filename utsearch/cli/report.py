"""`report`: a study, or several side by side, as one page."""

from pathlib import Path
from typing import Annotated

import typer

from utsearch.cli.completing import complete_study
from utsearch.cli.options import STUDIES, Storage, Studies


def report(
    study: Annotated[
        list[str] | None,
        typer.Option(
            "--study",
            help="A study; given several times, they stand side by side.",
            autocompletion=complete_study,
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="The page to write. [default: STUDIES/STUDY/report.html]")] = None,
    storage: Storage = None,
    studies: Studies = STUDIES,
) -> None:
    """Write a page that tells a whole study: front, curves, where tuners sit, what decides, what it cost.

    Example: python cli.py report --study birds --study cars --out both.html
    """
    from utsearch.errors import UserError
    from utsearch.report.report import write_report
    from utsearch.report.telling import story_of
    from utsearch.search import open_study

    names: list[str | None] = [*dict.fromkeys(study)] if study else [None]
    opened = [open_study(name, storage, studies_dir=studies) for name in names]
    path = out or studies / opened[0].name / "report.html"
    try:
        write_report([story_of(each) for each in opened], path)
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror or error}") from error
    print(f"page: {path}")
