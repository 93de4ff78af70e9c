"""`check` finds what was put in."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from image_trees import write_cars, write_cifar100, write_cub, write_dogs, write_flowers, write_image

from utsearch.data import DataError, open_dataset
from utsearch.data.check import check, write_readable
from utsearch.data.readers import reader

CUB = replace(reader("cub"), classes=3, official={"train": 15, "test": 6})  # as the miniature is written


def test_a_whole_set_is_good(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    found = check(CUB, str(write_cub(tmp_path / "set")), lambda what, done, total: seen.append((done, total)))
    assert found.good
    assert (found.classes, found.images, found.per_class) == (3, {"train": 15, "test": 6}, (5, 5, 5))
    assert seen[-1] == (21, 21)


def test_counts_are_compared_with_the_official_ones(tmp_path: Path) -> None:
    found = check(reader("cub"), str(write_cub(tmp_path / "set")))
    assert found.problems == (
        "3 classes; officially 200",
        "15 train images; officially 5,994",
        "6 test images; officially 5,794",
    )


def test_unreadable_and_missing_files_are_all_named(tmp_path: Path) -> None:
    base = write_cub(tmp_path / "set")
    images = sorted((base / "images").rglob("*.jpg"))
    images[0].write_bytes(b"")
    images[1].write_bytes(images[1].read_bytes()[:200])
    images[2].unlink()
    found = check(CUB, str(base))
    assert not found.good
    assert [file for file, _ in found.unreadable] == [str(path) for path in images[:3]]
    assert all(why and "\n" not in why for _, why in found.unreadable)


def test_the_readable_images_are_listed_and_open_as_a_set(tmp_path: Path) -> None:
    names = {"grey wren": 9, "Häher, blue": 8, "7": 7}
    for name, n in names.items():
        for i in range(n):
            write_image(tmp_path / "set" / name / "sub" / f"IMG, {i}.JPG")
    bad = tmp_path / "set/grey wren/sub/IMG, 3.JPG"
    bad.write_bytes(bad.read_bytes()[:300])
    found = check(reader("folder"), str(tmp_path / "set"))
    out = tmp_path / "good.csv"
    assert write_readable(reader("folder"), str(tmp_path / "set"), found, out) == 23
    data = open_dataset(f"list:{out}", img_size=32)
    assert data.class_names == ("7", "Häher, blue", "grey wren")
    assert sum(map(len, (data.train, data.val, data.read_test()))) == 23
    assert check(reader("list"), str(out)).good
    shutil.move(tmp_path / "set", tmp_path / "moved/set")
    moved = shutil.move(out, tmp_path / "moved/good.csv")
    assert open_dataset(f"list:{moved}", img_size=32).fingerprint == data.fingerprint


def test_a_set_without_files_cannot_be_listed(tmp_path: Path) -> None:
    where = str(write_cifar100(tmp_path / "set"))
    with pytest.raises(DataError, match="no files of their own"):
        write_readable(reader("cifar100"), where, check(reader("cifar100"), where), tmp_path / "good.csv")


def test_one_image_under_two_names_in_two_splits(tmp_path: Path) -> None:
    base = write_cub(tmp_path / "set")
    one, two, *_, last = sorted((base / "images/001.Kind_1").iterdir())
    shutil.copy(one, two)
    shutil.copy(one, last)
    found = check(CUB, str(base))
    assert found.duplicates == ((f"images/001.Kind_1/{one.name}", f"images/001.Kind_1/{last.name}"),)
    assert found.repeats == 1
    assert not found.good


def test_balance(tmp_path: Path) -> None:
    for name, n in (("a", 2), ("b", 3), ("c", 9)):
        for i in range(n):
            write_image(tmp_path / name / f"{i}.png")
    assert check(reader("folder"), str(tmp_path)).per_class == (2, 3, 9)


def test_overlap_of_dogs_with_imagenet_is_noted(tmp_path: Path) -> None:
    assert "ImageNet" in check(reader("dogs"), str(write_dogs(tmp_path / "set"))).notes[0]


@pytest.mark.parametrize(
    ("name", "write"), [("flowers", write_flowers), ("cars", write_cars), ("cifar100", write_cifar100)]
)
def test_other_layouts_are_read_whole(tmp_path: Path, name: str, write: object) -> None:
    assert callable(write)
    found = check(reader(name), str(write(tmp_path / "set")))
    assert (found.unreadable, found.duplicates, found.repeats) == ((), (), 0)


def test_a_wrong_layout_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"found no setid.mat; expected"):
        check(reader("flowers"), str(tmp_path))
