"""What made a result file: command, machine, versions; no password."""

import os
import platform
import sys
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from utsearch.search.storage import shown


def made_by(packages: Iterable[str]) -> dict[str, Any]:
    """For the key of this name; packages that are not installed are left out."""
    words = [shown(word) if "@" in word else word for word in sys.argv[1:]]
    return {
        "command": " ".join(["python", f"benchmarks/{Path(sys.argv[0]).name}", *words]),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "versions": {"python": platform.python_version(), **_versions(packages)},
    }


def _versions(packages: Iterable[str]) -> dict[str, str]:
    found = {}
    for name in packages:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
