"""Frozen backbones, the operations where tuners may stand, and the base class of tuners."""

from utsearch.backbones.load import Backbone, load_backbone
from utsearch.backbones.operation import PLAIN_ATTENTION, BackboneError, Layout, Operation
from utsearch.backbones.probe import describe
from utsearch.backbones.sites import GROUPS, LINEAR_SITES, QKV, SITES
from utsearch.backbones.tuner import Stage, Tuner

__all__ = [
    "GROUPS",
    "LINEAR_SITES",
    "PLAIN_ATTENTION",
    "QKV",
    "SITES",
    "Backbone",
    "BackboneError",
    "Layout",
    "Operation",
    "Stage",
    "Tuner",
    "describe",
    "load_backbone",
]
