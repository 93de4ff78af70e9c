"""Splits that a set lacks are drawn from train, stratified over the classes and fixed by a seed."""

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from utsearch.data.dataset import DataError
from utsearch.data.listing import SPLITS, Listing, Sample, check_apart


def complete(listing: Listing, *, seed: int) -> Listing:
    """The listing with train, val and test.

    Raises:
        DataError: a class has too few images, or none to train on.
    """
    splits = {part: list(samples) for part, samples in listing.splits.items()}
    for part in ("test", "val"):
        if part not in splits:
            splits["train"], splits[part] = _draw(splits["train"], listing, part, seed)
    missing = set(range(len(listing.class_names))) - {label for _, label in splits["train"]}
    if missing and not listing.sparse:
        raise DataError(f"{listing.where}: no training image of class {listing.class_names[min(missing)]!r}")
    check_apart(listing.where, splits)
    return replace(listing, splits={part: tuple(splits[part]) for part in SPLITS})


def _draw(samples: Sequence[Sample], listing: Listing, part: str, seed: int) -> tuple[list[Sample], list[Sample]]:
    """Move a share of each class to another split."""
    rng = np.random.default_rng([seed, SPLITS.index(part)])
    members: dict[int, list[int]] = defaultdict(list)
    for i, sample in enumerate(samples):
        members[sample.label].append(i)
    counts = {label: len(found) for label, found in members.items()}
    if small := [label for label, n in sorted(counts.items()) if n < 2]:
        raise DataError(
            f"{listing.where}: {listing.class_names[small[0]]!r} has too few images to hold out a {part} split; add "
            f"images, remove the class, or give a {part} split"
        )
    quota = quotas(counts, listing.held_out, by_class=listing.by_class)
    held: set[int] = set()
    for label in sorted(counts):
        held.update(rng.permutation(members[label])[: quota[label]].tolist())
    return [s for i, s in enumerate(samples) if i not in held], [s for i, s in enumerate(samples) if i in held]


def quotas(counts: dict[int, int], share: float, *, by_class: bool) -> dict[int, int]:
    """How many of each class are held out: at least one and not all.

    By class, each share is rounded. Otherwise the sum is `share` of all images, rounded up (600 of CUB's 5994): what is
    left over by rounding down goes to the largest remainders.
    """
    exact = {label: share * n for label, n in counts.items()}
    if by_class:
        return {label: max(1, round(value)) for label, value in exact.items()}
    quota = {label: max(1, math.floor(value + 1e-9)) for label, value in exact.items()}
    wanted = math.ceil(share * sum(counts.values()) - 1e-9)
    by_remainder = sorted(counts, key=lambda label: (quota[label] - exact[label], label))
    for label in by_remainder[: max(0, wanted - sum(quota.values()))]:
        quota[label] += quota[label] + 1 < counts[label]
    return quota
