"""Check-up of what is installed, against what the package asks for."""

import platform
import re
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, requires, version

from utsearch.findings import Finding

_REQUIREMENT = re.compile(r"([\w.-]+)(?:\[[^\]]*\])?\s*([^;]*)(?:;\s*extra == ['\"](\w+)['\"])?")
_CONDITION = re.compile(r"(>=|<)\s*([\d.]+)")


def check_environment() -> Iterator[Finding]:
    """Python, every requirement's version, and which extras are there."""
    yield Finding("environment", f"Python {platform.python_version()} on {platform.platform(terse=True)}")
    try:
        found = [match for line in requires("utsearch") or () if (match := _REQUIREMENT.match(line))]
    except PackageNotFoundError:
        yield Finding("environment", "utsearch runs from its folder, not installed", "note", "pip install -e .")
        return
    needed = [_state(match[1], match[2]) for match in found if not match[3]]
    yield Finding("environment", ", ".join(said for said, wrong in needed if not wrong))
    for said, wrong in needed:
        if wrong:
            yield Finding("environment", f"{said}: {wrong}", "problem", "pip install -e . (or upgrade utsearch)")
    yield from _extras([(match[3], *_state(match[1], match[2])) for match in found if match[3]])


def _extras(states: list[tuple[str, str, str]]) -> Iterator[Finding]:
    for extra in sorted({name for name, _, _ in states} - {"dev"}):
        own = [(said, wrong) for name, said, wrong in states if name == extra]
        if all(not wrong for _, wrong in own):
            yield Finding("environment", f"extra {extra}: {', '.join(said for said, _ in own)}")
        else:
            lacking = ", ".join(said for said, wrong in own if wrong)
            advice = f"pip install 'utsearch[{extra}]', if you want it"
            yield Finding("environment", f"extra {extra} is not there: {lacking}", "note", advice)


def _state(name: str, conditions: str) -> tuple[str, str]:
    """The package with its version, and what is wrong with it, if anything."""
    try:
        have = version(name)
    except PackageNotFoundError:
        return name, "is not installed"
    for sign, bound in _CONDITION.findall(conditions):
        older = _numbers(have) < _numbers(bound)
        if older != (sign == "<"):
            return f"{name} {have}", f"expected {conditions.strip()}"
    return f"{name} {have}", ""


def _numbers(text: str) -> tuple[int, ...]:
    """`2.11.0+cpu` as (2, 11, 0)."""
    return tuple(int(part) for part in re.findall(r"\d+", text.split("+")[0])[:3])
