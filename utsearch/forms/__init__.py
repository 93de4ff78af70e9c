"""The catalogue of tuner forms: the files of this folder, and entry points of other packages; nothing else lists them.

Another package adds a form by an entry point in the group `utsearch.forms` that names its class; `register_form` adds
one to this process alone.
"""

import pkgutil
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from types import ModuleType
from typing import TypeVar

from utsearch.backbones import Tuner
from utsearch.design import FormInfo
from utsearch.errors import UserError

ENTRY_POINTS = "utsearch.forms"
Form = TypeVar("Form", bound=type)
_REGISTERED: dict[str, type[Tuner]] = {}  # of this process


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
    return {form.name: form for form in sorted((*_forms(), *_REGISTERED.values()), key=lambda form: form.name)}


def register_form(form: Form) -> Form:
    """Add a form to this process; may stand above its class as a decorator. A later class of its name replaces it.

    Worker processes do not know it: for those, a package with an entry point does (docs/new-form.md).

    Raises:
        UserError: it is no form, or its name is one of the catalogue's.
    """
    if not (isinstance(form, type) and issubclass(form, Tuner) and hasattr(form, "name")):
        raise UserError(f"{form!r} is no form: a subclass of utsearch.backbones.Tuner with a name (docs/new-form.md)")
    if form.name in {one.name for one in _forms()}:
        raise UserError(f"{form.name!r} is a form already: give yours another name")
    _REGISTERED[form.name] = form
    return form


def forget_form(name: str) -> None:
    """Undo `register_form`."""
    _REGISTERED.pop(name, None)


def info() -> dict[str, FormInfo]:
    """What a search space and the docs need to know of each form."""
    return {name: form.info() for name, form in catalogue().items()}
