"""Does every tuner tensor learn? Having a gradient is not enough: two zeroed projections have one, and never move."""

import torch
from torch.nn import functional as F

from utsearch.backbones import Backbone
from utsearch.design import Design
from utsearch.tuning.attach import attached


def dead_parameters(
    backbone: Backbone, design: Design | str, *, seed: int = 0, steps: int = 3, images: int = 8
) -> list[str]:
    """Names of tuner tensors that some optimiser steps without weight decay leave as they were.

    Three steps, since with B = 0 a LoRA's A has an exactly zero gradient at the first. The task is to tell a few random
    images apart through a random head; tuners are thrown away afterwards, and the backbone is as before.
    """
    like = next(backbone.model.parameters())
    draw = torch.Generator().manual_seed(seed)
    x = torch.randn(images, 3, backbone.img_size, backbone.img_size, generator=draw).to(like)
    head = torch.randn(images, backbone.width, generator=draw).to(like)
    with attached(backbone, design, seed=seed) as tuned:
        start = {name: value.detach().clone() for name, value in tuned.named_parameters()}
        if not start:
            return []
        optimiser = torch.optim.AdamW(tuned.train().parameters(), lr=1e-2, weight_decay=0.0)
        for _ in range(steps):
            optimiser.zero_grad()
            logits = F.linear(backbone.model(x), head)
            logits = logits / logits.detach().std()  # else the first step may fit so well that no slope is left
            loss = F.cross_entropy(logits, torch.arange(images, device=like.device))
            loss.backward()
            optimiser.step()
        return [name for name, value in tuned.named_parameters() if torch.equal(value, start[name])]
