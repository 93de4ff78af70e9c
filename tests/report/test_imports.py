"""The reports cost nothing until something is drawn."""

import subprocess
import sys

MODULES = (
    "answers",
    "board",
    "callouts",
    "costs",
    "curves",
    "effects",
    "figure",
    "frame",
    "groups",
    "labels",
    "lines",
    "live",
    "lora",
    "page",
    "parts",
    "plain",
    "prior",
    "report",
    "seeds",
    "story",
    "summary",
    "table",
    "theme",
    "traces",
    "where",
)


def test_no_report_module_loads_a_drawing_or_training_library() -> None:
    code = f"""
import importlib, sys
import utsearch
for name in {MODULES!r}:
    importlib.import_module("utsearch.report." + name)
print([name for name in ("torch", "optuna", "plotly", "rich", "timm") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
