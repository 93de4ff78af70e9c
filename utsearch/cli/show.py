"""`show`: everything of one trial."""

from typing import Annotated

import typer

from utsearch.cli.options import STUDIES, AsJson, Storage, Studies, StudyName
from utsearch.cli.printing import print_json


def show(
    trial: Annotated[int, typer.Argument(help="The trial's number.")],
    study: StudyName = None,
    as_json: AsJson = False,
    storage: Storage = None,
    studies: Studies = STUDIES,
) -> None:
    """Show one trial: its design, where it sits, its rungs, what it cost, and why it was stopped.

    Example: python cli.py show 17
    """
    from dataclasses import asdict

    from utsearch.report.answers import where
    from utsearch.report.plain import trial_text
    from utsearch.search import StudyError, open_study

    opened = open_study(study, storage, studies_dir=studies)
    records = {record.number: record for record in opened.records()}
    if trial not in records:
        there = f"there are 0 to {max(records)}" if records else "it has none yet"
        raise StudyError(f"study {opened.name!r} has no trial {trial}; {there}")
    record = records[trial]
    if as_json:
        print_json(asdict(record))
        return
    print(trial_text(record))
    print(f"\n  {where(record)}")
    if (weights := opened.weights(trial)).exists():
        print(f"  weights: {weights}")
