"""`studies`: what is stored, a line each."""

import sys
from typing import TYPE_CHECKING

import typer

from utsearch.cli.options import STUDIES, AsJson, Storage, Studies
from utsearch.cli.printing import print_json

if TYPE_CHECKING:
    from utsearch.search.shelf import Glance


def studies(as_json: AsJson = False, storage: Storage = None, studies: Studies = STUDIES) -> None:
    """List the stored studies: trials, best top-1, size of the front and the file, age, settings.

    Example: python cli.py studies --json
    """
    from dataclasses import asdict

    from utsearch.report.plain import glances_text
    from utsearch.search.shelf import glances
    from utsearch.search.storage import StudyError, shown

    found = list(glances(storage, studies))
    if not found:
        where = studies if storage is None else shown(storage)
        raise StudyError(f"no studies in {where}; make one with: python cli.py search --budget 5m")
    if as_json:
        print_json([asdict(glance) for glance in found])
    else:
        print(glances_text(found, [_age(glance) for glance in found]))
    if unreadable := [glance.name for glance in found if glance.error]:
        print(f"error: cannot read {', '.join(unreadable)}", file=sys.stderr)
        raise typer.Exit(2)


def _age(glance: "Glance") -> str:
    from datetime import datetime

    from utsearch.report.units import duration

    if glance.touched is None:
        return "-"
    return duration(max((datetime.now(glance.touched.tzinfo) - glance.touched).total_seconds(), 0))
