"""Open a data set by name or path."""

import sys
from dataclasses import replace

from utsearch.data import mini
from utsearch.data.cache import Cache
from utsearch.data.dataset import DataError, Dataset, Preprocessing, Progress, Split
from utsearch.data.decode import Decoder
from utsearch.data.fingerprint import fingerprint
from utsearch.data.images import Unreadable
from utsearch.data.listing import SPLITS, Listing, Sample
from utsearch.data.protocol import default_preprocessing
from utsearch.data.readers import read
from utsearch.data.splits import complete
from utsearch.data.subset import WHOLE, Subset


def open_dataset(
    name: str,
    *,
    img_size: int,
    seed: int = 0,
    subset: Subset = WHOLE,
    preprocessing: Preprocessing | None = None,
    progress: Progress | None = None,
    decoders: int | None = None,
) -> Dataset:
    """Open a data set, decoded for a network of `img_size` pixels.

    Args:
        name: `mini-birds`, `mini-cars`, `mini-flowers`, `NAME:ROOT` with a reader's name (`cub:/data/CUB_200_2011`), or
            a folder `[train|val|test]/CLASS/IMAGE` or `CLASS/IMAGE`.
        img_size: side of the network's input in pixels.
        seed: of the splits that the set lacks, and of the renderer's streams.
        subset: the classes and images to keep; val and test keep the same classes.
        preprocessing: of a protocol (`preprocessing_of`); None for the default.
        progress: told how far decoding is.
        decoders: images decoded at once; None for the processors that this process may use.

    Raises:
        DataError: no such set or folder, a wrong layout, a class without images in train, or an unreadable file.
    """
    if name in mini.names():
        if preprocessing is not None:
            raise DataError(f"{name} is rendered at the network's size; protocols are for sets of image files")
        return mini.open_mini(name, img_size=img_size, seed=seed, subset=subset)
    listing = restrict(complete(read(name), seed=seed), subset)
    chosen = preprocessing or default_preprocessing(img_size)
    print_ = fingerprint(listing)
    cache = replace(Cache.default(), on_failure=_not_kept)
    decode = Decoder(listing.source, chosen, print_, cache, progress, decoders)
    train, val = _decoded(decode, listing)
    return Dataset(
        name=name if ":" in name else listing.where,
        class_names=listing.class_names,
        preprocessing=chosen,
        train=train,
        val=val,
        fingerprint=print_,
        synthetic=False,
        read_test=lambda: decode(listing.splits["test"], "test"),
        check_test=lambda shown: replace(decode, progress=shown).check(listing.splits["test"], "test"),
        subset=subset.describe(),
    )


def _not_kept(reason: str) -> None:
    print(f"decoded images stay in memory: {reason}", file=sys.stderr, flush=True)


def _decoded(decode: Decoder, listing: Listing) -> list[Split]:
    """Train and val; raises Unreadable with the files of both."""
    splits: list[Split] = []
    unreadable: list[tuple[str, str]] = []
    for part in ("train", "val"):
        try:
            splits.append(decode(listing.splits[part], part))
        except Unreadable as error:
            unreadable += error.files
    if unreadable:
        raise Unreadable(unreadable)
    return splits


def restrict(listing: Listing, subset: Subset) -> Listing:
    """The chosen classes, numbered anew in their order, and the chosen images of each split."""
    if subset.whole:
        return listing
    labels = {part: [sample.label for sample in listing.splits[part]] for part in SPLITS}
    classes = subset.choose_classes(labels["train"], len(listing.class_names))
    number = {old: new for new, old in enumerate(classes)}
    splits = {}
    for part in SPLITS:
        chosen = [listing.splits[part][i] for i in subset.choose(labels[part], classes, part)]
        if not chosen:
            raise DataError(f"{listing.where}: no {part} image is of the {len(classes)} chosen classes; choose more")
        splits[part] = tuple(Sample(name, number[label]) for name, label in chosen)
    return replace(listing, class_names=tuple(listing.class_names[c] for c in classes), splits=splits)
