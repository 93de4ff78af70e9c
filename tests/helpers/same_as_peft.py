"""A tuned network and its twin in HF peft, compared."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from utsearch.tuning import Tuned


def assert_same(tuned: Tuned, other: Any, images: Tensor, theirs: Callable[[str], Tensor], close: float) -> None:
    """Logits, number of learnt values and, in float64, gradients: in float32 those of a saturated softmax cancel.

    Args:
        tuned: with the values that the twin has too.
        other: peft's model.
        images: of the precision to compare in.
        theirs: peft's parameter for the name of one of ours.
        close: allowed difference, relative to the largest logit.
    """
    logits, expected = tuned.backbone.model(images), other(images)
    torch.testing.assert_close(logits, expected, rtol=close, atol=close * float(expected.detach().abs().max()))
    assert tuned.n_params == other.get_nb_trainable_parameters()[0]
    if images.dtype == torch.float32:
        return
    logits.square().sum().backward()
    expected.square().sum().backward()
    for name, parameter in tuned.named_parameters():
        torch.testing.assert_close(parameter.grad, theirs(name).grad, rtol=1e-9, atol=1e-9)
