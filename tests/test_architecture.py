"""The floors: a module imports from floors below its own, and importing utsearch loads no library."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "utsearch"
FLOORS = {
    "__main__": 8,
    "cli": 7,
    "tabular": 6,
    "library": 6,
    "search": 5,
    "launch": 5,
    "report": 5,
    "training": 4,
    "card": 2,
    "model_card": 3,
    "export": 4,
    "hub": 5,
    "formats": 5,
    "tuning": 3,
    "forms": 2,
    "backbones": 1,
    "data": 1,
    "design": 0,
    "grammar": 0,
    "space": 0,
    "space_file": 0,
    "pareto": 0,
    "stats": 0,
    "errors": 0,
    "files": 0,
    "findings": 0,
    "tensors": 0,
    "environment": 0,
    "__init__": 0,
}
SAME_FLOOR = {("design", "grammar"), ("search", "report"), ("report", "search"), ("grammar", "design")}
DOORS = {
    "timm": {"backbones", "data"},
    "optuna": {"search"},
    "plotly": {"report"},
    "ray": {"launch"},
    "submitit": {"launch"},
    "huggingface_hub": {"backbones", "model_card", "hub"},
}
MODULES = sorted(PACKAGE.rglob("*.py"))


def room(path: Path) -> str:
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def imports(path: Path) -> Iterator[str]:
    """Full names of what a module imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: imports are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_go_down(path: Path) -> None:
    mine = room(path)
    for name in imports(path):
        parts = name.split(".")
        if parts[0] == "utsearch" and len(parts) > 1 and parts[1] in FLOORS and parts[1] != mine:
            below = FLOORS[parts[1]] < FLOORS[mine] or FLOORS[mine] == FLOORS[parts[1]] == 0
            lazy_api = mine == "__init__"
            assert below or lazy_api or (mine, parts[1]) in SAME_FLOOR, f"{path} imports {name}"


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_every_library_has_one_door_and_the_ground_floor_no_torch(path: Path) -> None:
    for name in imports(path):
        library = name.split(".")[0]
        assert room(path) in DOORS.get(library, {room(path)}), f"{path} imports {name}"
        assert not (library == "torch" and FLOORS[room(path)] == 0), f"{path} imports {name}"


def test_importing_utsearch_loads_no_library() -> None:
    code = (
        "import sys, utsearch; print(sorted({'torch', 'timm', 'optuna', 'plotly', 'numpy', 'rich'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_name_of_the_library_is_there() -> None:
    import utsearch

    assert all(getattr(utsearch, name) is not None for name in utsearch.__all__)
    with pytest.raises(AttributeError, match="has no attribute 'banana'; it has Design"):
        _ = utsearch.banana
