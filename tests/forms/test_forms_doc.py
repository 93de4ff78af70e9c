"""docs/forms.md is what the forms say."""

import importlib.util
from pathlib import Path

from utsearch.forms import catalogue

ROOT = Path(__file__).parents[2]


def test_the_page_of_forms_is_up_to_date() -> None:
    spec = importlib.util.spec_from_file_location("make_forms_doc", ROOT / "tools" / "make_forms_doc.py")
    assert spec
    assert spec.loader
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    written = (ROOT / "docs" / "forms.md").read_text(encoding="utf-8")
    assert written == tool.page(), "run python tools/make_forms_doc.py"
    assert all(f"## {name}\n" in written for name in catalogue())
