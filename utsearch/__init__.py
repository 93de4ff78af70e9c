"""utsearch: search parameter-efficient tuner designs for a frozen vision backbone.

Importing this package loads none of its libraries; each name below is imported when it is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from utsearch.backbones import load_backbone
    from utsearch.design import Design
    from utsearch.errors import UserError
    from utsearch.export import load
    from utsearch.forms import register_form
    from utsearch.library import Study, open_study, search
    from utsearch.training import open_problem
    from utsearch.tuning import attach, attached, count, merge

__version__ = "0.1.0"

_HOME = {
    "Design": "utsearch.design",
    "Study": "utsearch.library",
    "UserError": "utsearch.errors",
    "attach": "utsearch.tuning",
    "attached": "utsearch.tuning",
    "count": "utsearch.tuning",
    "load": "utsearch.export",
    "load_backbone": "utsearch.backbones",
    "merge": "utsearch.tuning",
    "open_problem": "utsearch.training",
    "open_study": "utsearch.library",
    "register_form": "utsearch.forms",
    "search": "utsearch.library",
}

__all__ = [
    "Design",
    "Study",
    "UserError",
    "attach",
    "attached",
    "count",
    "load",
    "load_backbone",
    "merge",
    "open_problem",
    "open_study",
    "register_form",
    "search",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'utsearch' has no attribute {name!r}; it has {', '.join(__all__)}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
