"""Frozen backbones, the operations where tuners may stand, and the base class of tuners."""

from utsearch.backbones.load import Backbone, load_backbone
from utsearch.backbones.operation import PLAIN_ATTENTION, BackboneError, Layout, Operation
from utsearch.backbones.probe import describe
from utsearch.backbones.sites import GROUPS, LINEAR_SITES, LINEARS, NORM_SITES, QKV, SITES, TRUNK
from utsearch.backbones.tuner import Stage, Tuner, states

__all__ = [
    "GROUPS",
    "LINEARS",
    "LINEAR_SITES",
    "NORM_SITES",
    "PLAIN_ATTENTION",
    "QKV",
    "SITES",
    "TRUNK",
    "Backbone",
    "BackboneError",
    "Layout",
    "Operation",
    "Stage",
    "Tuner",
    "describe",
    "load_backbone",
    "states",
]
