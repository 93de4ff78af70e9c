"""Options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

STUDIES = Path("studies")

StudyName = Annotated[str | None, typer.Option("--study", help="Name of the study; without it, the latest one.")]
Storage = Annotated[
    str | None,
    typer.Option(help="Any SQLAlchemy URL, such as postgresql+psycopg://user@host/db. [default: SQLite in --studies]"),
]
Studies = Annotated[Path, typer.Option("--studies", help="Folder of SQLite studies and of trials' weights.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, …")]
