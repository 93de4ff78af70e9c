"""Write docs/api.md from the docstrings of `utsearch.__all__`; a test keeps it true.

python tools/make_api_doc.py
"""

import inspect
import re
from collections.abc import Iterator
from pathlib import Path

import utsearch

PAGE = Path(__file__).parents[1] / "docs" / "api.md"
HEAD = """# The library

`import utsearch as ut` loads no library; each of these names is imported when it is first used. Written by
`python tools/make_api_doc.py` from the docstrings. [examples/quickstart.ipynb](../examples/quickstart.ipynb) uses them.

"""


def page() -> str:
    """The page."""
    return HEAD + "\n".join(part for name in utsearch.__all__ for part in _section(name))


def _section(name: str) -> Iterator[str]:
    value = getattr(utsearch, name)
    if name == "search":
        value = inspect.getattr_static(__import__("utsearch.library", fromlist=["search"]), "search")
    if not inspect.isclass(value):
        yield f"## ut.{name}\n\n```python\n{_signature(name, value)}\n```\n\n{_text(value)}"
        return
    yield f"## ut.{name}\n\n{_text(value)}"
    for member, found in vars(value).items():
        plain = found.__func__ if isinstance(found, classmethod | staticmethod) else found
        if (
            member.startswith("_")
            or not plain.__doc__
            or not (inspect.isfunction(plain) or isinstance(plain, property))
        ):
            continue
        title = member if isinstance(plain, property) else _signature(member, plain)
        yield f"**`{' '.join(title.split())}`**: {_text(plain)}"


def _signature(name: str, function: object) -> str:
    """As it is written, without what is bound."""
    assert callable(function)
    signature = inspect.signature(function)
    parameters = [p for p in signature.parameters.values() if p.name not in ("self", "cls")]
    words = str(signature.replace(parameters=parameters))
    words = re.sub(r"<function .*? at 0x[0-9a-f]+>", "…", words)
    words = re.sub(r"\b(utsearch(\.\w+)*|collections\.abc|pathlib(\._local)?|typing)\.(?=\w)", "", words)
    return f"{name}{words}".replace("'", '"')


def _text(value: object) -> str:
    """The docstring; Args and Raises as lists."""
    lines: list[str] = []
    for line in (inspect.getdoc(value) or "").splitlines():
        if re.fullmatch(r"(Args|Returns|Raises|Attributes):", line):
            lines.append(f"{line}\n")
        elif found := re.fullmatch(r"    (\w+): (.*)", line):
            lines.append(f"- `{found[1]}`: {found[2]}")
        elif line.startswith(">>>") or (lines and lines[-1].startswith("    >>>")):
            lines.append(f"    {line}")  # code, by its indent
        elif line.startswith("        "):
            lines.append(f"  {line.strip()}")
        else:
            lines.append(line)
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
