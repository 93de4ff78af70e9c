"""The table of form × site × insertion: where a form may stand, and the reason where it may not.

A form says it itself, by `sites`, `elsewhere` and `refuses`; errors, search spaces and docs read the same words.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from utsearch.backbones import SITES, Backbone
from utsearch.design import Design, DesignError, FormInfo, Slot
from utsearch.forms import catalogue
from utsearch.tuning.resolve import resolve

OWN = "own"  # the insertion of a form that has one only


@dataclass(frozen=True)
class Placement:
    """One row of the table; `reason` is None where the form fits."""

    form: str
    site: str
    insertion: str
    reason: str | None


def placements(backbone: Backbone) -> Iterator[Placement]:
    """Every form at every site a network has, with each way of insertion, from trying it.

    Sites a network lacks are left out; options are at their defaults, the rank is the smallest even one.
    """
    for name, form in catalogue().items():
        for site in (site for site in SITES if site in backbone.sites):
            for insertion in insertions(form.info()):
                options = () if insertion == OWN else (("insert", insertion),)
                slot = Slot((site,), name, 2 if form.info().rank else None, options)
                yield Placement(name, site, insertion, _reason(Design((slot,)), backbone))


def insertions(info: FormInfo) -> tuple[str, ...]:
    """The ways a form lets one choose from."""
    option = info.options.get("insert")
    return tuple(map(str, option.choices or ())) if option else (OWN,)


def _reason(design: Design, backbone: Backbone) -> str | None:
    try:
        resolve(design, backbone)
    except DesignError as error:
        return error.reason
    return None
