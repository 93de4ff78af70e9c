"""What `make audit` says of pip-audit's answers."""

import importlib.util
import json
from pathlib import Path

import pytest

SPEC = importlib.util.spec_from_file_location("audit", Path(__file__).parents[1] / "tools" / "audit.py")
assert SPEC is not None
assert SPEC.loader is not None
audit = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(audit)

FINE = {"name": "a", "version": "1", "vulns": []}
SKIPPED = {"name": "b", "skip_reason": "Dependency not found on PyPI and could not be audited: b (1)"}
BAD = {"name": "c", "version": "2", "vulns": [{"id": "PYSEC-1", "fix_versions": ["3"]}]}


@pytest.mark.parametrize(
    ("packages", "code", "words"),
    [
        ([FINE, SKIPPED], 0, "audit: 1 of 2 packages checked, 0 vulnerabilities known"),
        ([SKIPPED], 0, "audit: NOTHING WAS CHECKED, the advisory service knows none of the 1 packages"),
        ([FINE, BAD], 1, "audit: c 2: PYSEC-1, mended in 3\naudit: 2 of 2 packages checked, 1 vulnerabilities known"),
    ],
)
def test_only_known_packages_count_as_checked(packages: list[object], code: int, words: str) -> None:
    assert audit.verdict(json.dumps({"dependencies": packages}), "") == (code, words)


def test_without_a_network_it_says_so_and_passes() -> None:
    code, words = audit.verdict("", "Traceback\nConnectionError: pypi.org: Name or service not known\n")
    assert code == 0
    assert words.startswith("audit: NOTHING WAS CHECKED, the advisory service cannot be reached: ConnectionError")
