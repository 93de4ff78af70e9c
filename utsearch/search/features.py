"""What a design is, as numbers that a surrogate can learn from; designs from outside the space have them too."""

import math

from utsearch.design import OUTSIDE, Design


def features_of(design: Design, depth: int) -> dict[str, float]:
    """Named features of about 0…1: for each site and form the share of the blocks, how late they are, rank, options.

    >>> features_of(Design.parse("qkv:lora(3)@last/2"), 12)
    {'qkv:lora': 0.5, 'qkv:lora rank': 0.25, 'qkv:lora late': 0.25}

    Ranks are in log2(1 + rank) / 4, weighted like lateness by the share of the blocks.
    """
    found: dict[str, float] = {}

    def add(name: str, value: float) -> None:
        found[name] = found.get(name, 0.0) + value

    for slot in design.slots:
        for site in slot.sites:
            blocks = range(depth) if site in OUTSIDE else slot.blocks.resolve(depth)
            share, name = len(blocks) / depth, f"{site}:{slot.form}"
            add(name, share)
            if slot.rank is not None:
                add(f"{name} rank", share * math.log2(1 + slot.rank) / 4)
            if blocks[0] > 0:
                add(f"{name} late", share * blocks[0] / depth)
            for key, value in slot.options:
                add(f"{name} {key}={value}", share)
    return found
