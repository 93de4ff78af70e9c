"""`compare`: two studies."""

from typing import Annotated

import typer

from utsearch.cli.completing import complete_study
from utsearch.cli.options import STUDIES, AsJson, Storage, Studies
from utsearch.cli.printing import print_json


def compare(
    one: Annotated[str, typer.Argument(help="A study.", autocompletion=complete_study)],
    other: Annotated[str, typer.Argument(help="Another study.", autocompletion=complete_study)],
    as_json: AsJson = False,
    storage: Storage = None,
    studies: Studies = STUDIES,
) -> None:
    """Compare two studies: settings that differ, hypervolume in one box, designs that are in both.

    Example: python cli.py compare birds-tpe birds-random
    """
    from dataclasses import asdict

    from utsearch.report.plain import contrast_text
    from utsearch.search import open_study
    from utsearch.search.shelf import contrast

    found = contrast(*(open_study(name, storage, studies_dir=studies) for name in (one, other)))
    if as_json:
        print_json({"studies": [one, other], **asdict(found)})
    else:
        print(contrast_text((one, other), found))
