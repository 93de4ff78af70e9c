"""Tuners on a backbone: resolve a design, attach it, count it, check that it learns, and give the backbone back."""

from utsearch.tuning.attach import Tuned, attach, attached
from utsearch.tuning.cells import Cell
from utsearch.tuning.classifier import Classifier
from utsearch.tuning.known import Known, fits, known, known_designs, named, peers
from utsearch.tuning.learning import dead_parameters
from utsearch.tuning.merge import Merged, largest_difference, merge
from utsearch.tuning.placement import Placement, placements
from utsearch.tuning.resolve import Resolved, count, resolve

__all__ = [
    "Cell",
    "Classifier",
    "Known",
    "Merged",
    "Placement",
    "Resolved",
    "Tuned",
    "attach",
    "attached",
    "count",
    "dead_parameters",
    "fits",
    "known",
    "known_designs",
    "largest_difference",
    "merge",
    "named",
    "peers",
    "placements",
    "resolve",
]
