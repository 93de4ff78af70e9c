"""A backbone twice over, for designs that train in turn in one process."""

from copy import copy, deepcopy

from utsearch.backbones import Backbone


def twin(backbone: Backbone) -> Backbone:
    """A backbone with modules of its own, for tuners of its own, that shares the memory of the frozen tensors."""
    tensors = (*backbone.model.parameters(), *backbone.model.buffers())
    other = copy(backbone)
    other.model = deepcopy(backbone.model, {id(tensor): tensor for tensor in tensors})
    return other
