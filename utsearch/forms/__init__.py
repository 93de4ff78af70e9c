"""The catalogue of tuner forms: the files of this folder, and entry points of other packages; nothing else lists them.

Another package adds a form by an entry point in the group `utsearch.forms` that names its class.
"""

import pkgutil
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from types import ModuleType

from utsearch.backbones import Tuner
from utsearch.design import FormInfo

ENTRY_POINTS = "utsearch.forms"


@cache
def _forms() -> tuple[type[Tuner], ...]:
    modules = [import_module(f"{__name__}.{found.name}") for found in pkgutil.iter_modules(__path__)]
    own = [form for module in modules for form in _defined(module)]
    others = [point.load() for point in entry_points(group=ENTRY_POINTS)]
    names = [form.name for form in (*own, *others)]
    if double := {name for name in names if names.count(name) > 1}:
        raise TypeError(f"two forms have the name {', '.join(sorted(double))}")
    return (*own, *others)


def _defined(module: ModuleType) -> list[type[Tuner]]:
    """The forms that a file itself defines, not those it imports."""
    classes = [value for value in vars(module).values() if isinstance(value, type) and issubclass(value, Tuner)]
    return [value for value in classes if value.__module__ == module.__name__ and hasattr(value, "name")]


def catalogue() -> dict[str, type[Tuner]]:
    """The forms by name, in alphabetical order."""
    return {form.name: form for form in sorted(_forms(), key=lambda form: form.name)}


def info() -> dict[str, FormInfo]:
    """What a search space and the docs need to know of each form."""
    return {name: form.info() for name, form in catalogue().items()}
