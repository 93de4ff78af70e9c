"""Subsets are stratified, nested and fixed by their seed; splits never share an image."""

from collections import Counter
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from image_trees import write_cub, write_image

from utsearch.data import DataError, Dataset, Subset, open_dataset
from utsearch.data.listing import Listing, Sample
from utsearch.data.open import restrict
from utsearch.data.readers import read
from utsearch.data.splits import complete, quotas


class NoSource:
    """A source that must not be opened."""


def listing(counts: list[int], val: int = 3, test: int = 2) -> Listing:
    def part(name: str, each: list[int]) -> tuple[Sample, ...]:
        return tuple(Sample(f"{name}/{c}/{i}", c) for c, n in enumerate(each) for i in range(n))

    splits = {
        "train": part("train", counts),
        "val": part("val", [val] * len(counts)),
        "test": part("test", [test] * len(counts)),
    }
    return Listing("a set", tuple(f"class {c}" for c in range(len(counts))), splits, NoSource())  # type: ignore[arg-type]


def names(found: Listing, part: str) -> set[tuple[str, str]]:
    return {(name, found.class_names[label]) for name, label in found.splits[part]}


counts_of_classes = st.lists(st.integers(1, 12), min_size=4, max_size=9)


@given(counts_of_classes, st.integers(2, 3), st.integers(1, 6), st.integers(0, 5))
def test_larger_subsets_contain_the_smaller(counts: list[int], classes: int, shots: int, seed: int) -> None:
    whole = listing(counts)
    small = restrict(whole, Subset(classes=classes, shots=shots, seed=seed))
    for wider in (
        Subset(classes=classes + 1, shots=shots, seed=seed),
        Subset(classes=classes, shots=2 * shots, seed=seed),
        Subset(shots=shots, seed=seed),
        Subset(classes=classes, seed=seed),
    ):
        for part in ("train", "val", "test"):
            assert names(small, part) <= names(restrict(whole, wider), part) <= names(whole, part)


@given(counts_of_classes, st.integers(2, 4), st.integers(1, 6), st.integers(1, 2), st.integers(0, 5))
def test_subsets_are_stratified(counts: list[int], classes: int, shots: int, val_shots: int, seed: int) -> None:
    found = restrict(listing(counts), Subset(classes=classes, shots=shots, val_shots=val_shots, seed=seed))
    assert len(found.class_names) == classes
    for label, name in enumerate(found.class_names):
        n = counts[int(name.removeprefix("class "))]
        assert Counter(sample.label for sample in found.splits["train"])[label] == min(n, shots)
    assert Counter(sample.label for sample in found.splits["val"]) == dict.fromkeys(range(classes), val_shots)
    assert Counter(sample.label for sample in found.splits["test"]) == dict.fromkeys(range(classes), 2)


@given(counts_of_classes, st.floats(0.01, 1))
def test_fractions_keep_at_least_one_and_are_nested(counts: list[int], fraction: float) -> None:
    whole = listing(counts)
    part, half = (restrict(whole, Subset(fraction=f)) for f in (fraction, fraction / 2))
    assert names(half, "train") <= names(part, "train")
    kept = Counter(sample.label for sample in part.splits["train"])
    assert all(fraction * n - 1e-6 <= kept[c] < fraction * n + 1 for c, n in enumerate(counts))


def test_seeds_choose_differently() -> None:
    chosen = {restrict(listing([5] * 9), Subset(classes=4, shots=2, seed=s)).splits["train"] for s in (0, 0, 1)}
    assert len(chosen) == 2


@given(st.lists(st.integers(2, 60), min_size=2, max_size=40), st.sampled_from([0.1, 0.15, 0.25]), st.booleans())
def test_quotas_leave_something_on_both_sides(counts: list[int], share: float, by_class: bool) -> None:
    counted = dict(enumerate(counts))
    quota = quotas(counted, share, by_class=by_class)
    assert all(1 <= quota[c] < n for c, n in counted.items())
    assert all(abs(quota[c] - share * n) < 1 or quota[c] == 1 for c, n in counted.items())
    if not by_class and min(counts) >= 1 / share:
        assert sum(quota.values()) == -(-sum(counts) * round(100 * share) // 100)


def test_val_is_cut_from_official_train_and_test_stays(tmp_path: Path) -> None:
    base = write_cub(tmp_path / "set", classes=4, train=10, test=3)
    official = read(f"cub:{base}")
    cut = complete(official, seed=0)
    assert [len(cut.splits[part]) for part in ("train", "val", "test")] == [36, 4, 12]
    assert set(cut.splits["test"]) == set(official.splits["test"])
    assert set(cut.splits["train"]) | set(cut.splits["val"]) == set(official.splits["train"])
    assert Counter(label for _, label in cut.splits["val"]) == dict.fromkeys(range(4), 1)
    assert complete(official, seed=1).splits["val"] != cut.splits["val"]


def test_fingerprint_follows_the_subset(tmp_path: Path) -> None:
    base = write_cub(tmp_path / "set", classes=4, train=6)
    chosen = [Subset(), Subset(classes=3), Subset(shots=2, seed=1), Subset(shots=2), Subset(shots=2)]
    prints = [open_dataset(f"cub:{base}", img_size=32, subset=s).fingerprint for s in chosen]
    assert len(set(prints[:4])) == 4
    assert prints[3] == prints[4]


@pytest.fixture(scope="module")
def cars() -> Dataset:
    return open_dataset("mini-cars", img_size=64)


def test_subset_of_a_synthetic_set(cars: Dataset) -> None:
    part = open_dataset("mini-cars", img_size=64, subset=Subset(classes=3, shots=4))
    assert part.n_classes == 3
    assert part.train.labels.bincount().tolist() == [4, 4, 4]
    old = [cars.class_names.index(name) for name in part.class_names]
    assert len(part.val) == int(sum((cars.val.labels == c).sum() for c in old))
    for pixels, label in zip(part.train.pixels, part.train.labels.tolist(), strict=True):
        same = (cars.train.pixels == pixels).flatten(1).all(1)
        assert cars.train.labels[same].tolist() == [old[label]]
    assert part.fingerprint != cars.fingerprint


def test_test_split_is_not_read_before_it_is_asked_for(tmp_path: Path) -> None:
    base = write_cub(tmp_path / "set", train=4)
    for name, _ in read(f"cub:{base}").splits["test"]:
        (base / name).write_bytes(b"not an image")
    data = open_dataset(f"cub:{base}", img_size=32)
    assert torch.equal(data.train.labels.unique(), torch.arange(3))
    with pytest.raises(DataError, match="cannot read 6 images"):
        data.read_test()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"shots": 4, "fraction": 0.5}, "shots or a fraction"),
        ({"classes": 1}, "at least 2 classes"),
        ({"shots": 0}, "shots must be at least 1"),
        ({"fraction": 1.5}, "at most 1"),
    ],
)
def test_impossible_subsets(wrong: dict[str, float], message: str) -> None:
    with pytest.raises(DataError, match=message):
        Subset(**wrong)  # type: ignore[arg-type]


def test_more_classes_than_there_are(tmp_path: Path) -> None:
    for name in ("a", "b"):
        for i in range(4):
            write_image(tmp_path / name / f"{i}.png")
    with pytest.raises(DataError, match="a subset of 9 classes was asked for; the set has 2"):
        open_dataset(str(tmp_path), img_size=32, subset=Subset(classes=9))
