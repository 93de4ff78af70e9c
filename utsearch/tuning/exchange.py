"""Exchange an operation's class, so that it passes its calls to its tuners.

As torch's parametrize and FSDP2 do: keys, attributes and isinstance of the backbone stay, deepcopy, compile and export
work, and giving the class back undoes it.
"""

from copy import deepcopy
from functools import cache
from typing import Any, NoReturn

from torch import Tensor, nn

from utsearch.tuning.compose import Stack

CHILD = "tuners"


def exchange(op: nn.Module, stack: Stack) -> None:
    """Give the operation its tuners as the child `tuners` and the class that calls them."""
    if hasattr(op, CHILD):
        raise ValueError(f"{type(op).__name__} has tuners already")
    op.add_module(CHILD, stack)
    op.__class__ = _tuned_class(type(op))  # type: ignore[arg-type]  # nn.Module hides that classes are hashable


def give_back(op: nn.Module) -> None:
    """The inverse of `exchange`."""
    op.__class__ = type(op).__bases__[0]
    delattr(op, CHILD)


@cache
def _tuned_class(original: type[nn.Module]) -> type[nn.Module]:
    """A subclass whose forward calls the tuners with the module itself, and `untuned` is the original's forward."""

    def forward(self: Any, x: Tensor, *args: Any, **kwargs: Any) -> Any:
        return self.tuners(self, x, *args, **kwargs)

    def copy(self: nn.Module, memo: dict[int, Any]) -> nn.Module:
        replica = self.__class__.__new__(self.__class__)
        memo[id(self)] = replica
        replica.__dict__ = deepcopy(self.__dict__, memo)
        return replica

    def refuse(self: nn.Module, protocol: Any) -> NoReturn:
        raise TypeError(
            "a tuned model cannot be pickled: save tuned.state_dict() and the design, and attach the design again"
        )

    body: dict[str, Any] = {
        "forward": forward,
        "untuned": original.forward,
        "__deepcopy__": copy,
        "__reduce_ex__": refuse,
        "__module__": original.__module__,
        "__doc__": original.__doc__,
    }
    if issubclass(original, nn.Sequential):  # whose forward calls its children in a row
        body["__iter__"] = lambda self: (module for name, module in self.named_children() if name != CHILD)
        body["__len__"] = lambda self: len(self._modules) - 1
    return type(f"Tuned{original.__name__}", (original,), body)
