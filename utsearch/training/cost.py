"""What a design costs to train and to use, apart from its parameters."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks
from torch.utils.flop_counter import FlopCounterMode

from utsearch.training.stepper import Stepper
from utsearch.tuning import merge


def cost_of(stepper: Stepper, images: Tensor, labels: Tensor) -> Mapping[str, float]:
    """FLOPs of one image's forward and bytes of one training step, from one batch that nothing is learnt from.

    `mergeable` is 1 where all tuners fold into the frozen weights: the FLOPs of use are those of the bare network then.
    """
    tuned = stepper.model.tuned
    return {
        "flops": forward_flops(stepper.model, images[:1]),
        "memory": training_bytes(stepper, images, labels),
        "mergeable": float(tuned is None or not merge(tuned).stays),
    }


def forward_flops(model: torch.nn.Module, image: Tensor) -> int:
    """Floating-point operations of one image (1, 3, h, w): matrix products, convolutions and attention alone."""
    model.eval()  # with gradients: torch's counter fails on a parameter that reaches a module where there are none
    fused = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu  # the one attention that torch does not count
    counter = FlopCounterMode(display=False, custom_mapping={fused: _attention_flops})
    with counter:
        model(image)
    return int(counter.get_total_flops())


def _attention_flops(query: torch.Size, key: torch.Size, value: torch.Size, *_: Any, **__: Any) -> int:
    """Of scores and of their product with the values; shapes are (batch, heads, tokens, channels)."""
    batch, heads, queries, channels = query
    return 2 * batch * heads * queries * key[2] * (channels + value[3])


def training_bytes(stepper: Stepper, images: Tensor, labels: Tensor) -> int:
    """Memory of a training step beyond the frozen network: activations that its backward needs, gradients, moments.

    Counted from the tensors that autograd saves, so it is the same on every device and trials of different machines can
    be compared; an allocator's peak also holds the frozen weights and what kernels use for a moment. Where a whole
    batch does not fit (`stepper.micro`), it is drawn out from two smaller ones, since activations grow by the image.

    Args:
        stepper: nothing is learnt.
        images: one batch (images, 3, h, w).
        labels: its classes.
    """
    n, some = len(images), min(stepper.micro, len(images))
    saved = _saved_bytes(stepper, images[:some], labels[:some])
    if some < n:
        fewer = some // 2
        less = _saved_bytes(stepper, images[:fewer], labels[:fewer]) if fewer else 0
        saved += (saved - less) * (n - some) // (some - fewer)
    return saved + 3 * sum(p.numel() * p.element_size() for p in stepper.learning)


def _saved_bytes(stepper: Stepper, images: Tensor, labels: Tensor) -> int:
    """What autograd keeps of the loss of these images, apart from parameters."""
    own = {parameter.untyped_storage().data_ptr() for parameter in stepper.model.parameters()}
    kept: dict[int, int] = {}

    def keep(saved: Tensor) -> Tensor:
        storage = saved.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage.nbytes()
        return saved

    stepper.model.train()
    with saved_tensors_hooks(keep, _same):
        loss = stepper.loss(images, labels)
    del loss
    return sum(kept.values())


def _same(saved: Any) -> Any:
    return saved
