"""`doctor`: check everything, and repair what may be repaired."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from utsearch.cli.options import STUDIES, AsJson, Storage, Studies
from utsearch.cli.printing import print_json

if TYPE_CHECKING:
    from utsearch.findings import Finding

MARKS = {"fine": "ok     ", "note": "note   ", "problem": "PROBLEM"}


def doctor(
    study: Annotated[str | None, typer.Option("--study", help="Check this study. [default: all of them]")] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Repair without asking.")] = False,
    as_json: AsJson = False,
    storage: Storage = None,
    studies: Studies = STUDIES,
) -> None:
    """Check environment, devices, storage, caches and studies; repairs are made after asking. Exit code 1: problems.

    Example: python cli.py doctor --study cars --yes
    """
    from itertools import chain

    from utsearch.data.doctor import check_cache
    from utsearch.environment import check_environment
    from utsearch.search.doctor import check_storage, check_studies
    from utsearch.training.devices import check_devices
    from utsearch.training.prefix import disk_cache

    found: list[Finding] = []
    checks = chain(
        check_environment(),
        check_devices(),
        check_storage(storage, studies),
        check_cache(),
        check_cache(disk_cache, "activations", "computes"),
        check_studies(study, storage, studies),
    )
    for finding in checks:
        found.append(finding)
        if not as_json:
            print(_line(finding), flush=True)
    done = [finding for finding in found if finding.repair and (yes or _asked(finding, as_json)) and _repair(finding)]
    if as_json:
        print_json([_plain(f, f in done) for f in found])
    left = [finding for finding in found if finding.severity == "problem" and finding not in done]
    if not as_json:
        print(f"\n{_conclusion(found, done, left)}")
    if left:
        raise typer.Exit(1)


def _line(finding: "Finding") -> str:
    advice = f"\n{' ' * 8}→ {finding.advice}" if finding.advice else ""
    return f"{MARKS[finding.severity]} {finding.area}: {finding.what}{advice}"


def _asked(finding: "Finding", as_json: bool) -> bool:
    """Whether the user agrees; where nobody can be asked, nothing is done."""
    import sys

    if as_json or not sys.stdin.isatty() or finding.repair is None:
        return False
    return typer.confirm(f"{finding.area}: {finding.repair.what}?")


def _repair(finding: "Finding") -> bool:
    """Whether it worked."""
    import sys

    from utsearch.errors import UserError

    assert finding.repair is not None, "only those with a repair come here"
    try:
        finding.repair.do()
    except (OSError, UserError) as error:
        print(f"error: cannot {finding.repair.what}: {error}", file=sys.stderr)
        return False
    return True


def _plain(finding: "Finding", repaired: bool) -> dict[str, object]:
    return {
        "area": finding.area,
        "what": finding.what,
        "severity": finding.severity,
        "advice": finding.advice,
        "repair": finding.repair.what if finding.repair else None,
        "repaired": repaired,
    }


def _conclusion(found: Sequence["Finding"], done: Sequence["Finding"], left: Sequence["Finding"]) -> str:
    if not left and not done:
        return "Nothing is wrong."
    made = [f"{finding.area}: {finding.repair.what}, done" for finding in done if finding.repair]
    repairable = sum(finding.repair is not None for finding in left)
    if left:
        hint = f", {repairable} of them can be repaired: --yes" if repairable else ""
        made.append(f"{len(left)} problems remain{hint}")
    return "\n".join(made)
