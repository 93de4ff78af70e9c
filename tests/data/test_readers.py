"""Official layouts in miniature, with their traps, against what was written."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from image_trees import (
    write_birds,
    write_cars,
    write_cifar100,
    write_cub,
    write_dogs,
    write_flowers,
    write_image,
    write_vpt,
    write_vtab,
)
from scipy.io import savemat
from torchvision.datasets import FakeData, Flowers102, StanfordCars

from utsearch.data import DataError, open_dataset
from utsearch.data.listing import Listing
from utsearch.data.readers import read, readers


def rows(listing: Listing, part: str) -> list[tuple[str, str]]:
    """(file name, name of the class) of a split."""
    return [(Path(name).name, listing.class_names[label]) for name, label in listing.splits[part]]


@pytest.mark.parametrize("at", [".", "CUB_200_2011"])
def test_cub_from_its_folder_or_the_one_above(tmp_path: Path, at: str) -> None:
    write_cub(tmp_path / "set" / at)
    listing = read(f"cub:{tmp_path / 'set'}")
    assert listing.class_names == ("001.Kind_1", "002.Kind_2", "003.Kind_3")
    assert {part: len(found) for part, found in listing.splits.items()} == {"train": 15, "test": 6}
    assert rows(listing, "test")[:3] == [
        ("Kind_1_0006.jpg", "001.Kind_1"),
        ("Kind_1_0007.jpg", "001.Kind_1"),
        ("Kind_2_0013.jpg", "002.Kind_2"),
    ]


def test_nabirds_labels_are_not_contiguous_and_ids_are_dashed(tmp_path: Path) -> None:
    names = {0: "Birds", 22: "Hawk", 295: "Common Eider (Adult male)", 1010: "Hawk"}  # 0 is a node, two share a name
    images = [
        (f"0000139e-21dc-4d0c-bfe1-{label:04d}{i:08d}", f"{label:04d}/0000139e21dc{i}.jpg", label, int(i < 2))
        for label in (1010, 22, 295)
        for i in range(3)
    ]
    write_birds(tmp_path / "nabirds", images, names, hierarchy=True)
    listing = read(f"nabirds:{tmp_path}")
    assert listing.class_names == ("Hawk (22)", "Common Eider (Adult male)", "Hawk (1010)")
    assert [label for _, label in listing.splits["train"]] == [2, 2, 0, 0, 1, 1]


def test_flowers_like_torchvision(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    base = write_flowers(tmp_path / "flowers-102")
    monkeypatch.setattr(Flowers102, "_check_integrity", lambda self: True)  # ours have other checksums
    listing = read(f"flowers:{tmp_path}")
    for part in ("train", "val", "test"):
        theirs = Flowers102(str(tmp_path), part)
        mine = [(str(base / name), label) for name, label in listing.splits[part]]
        assert mine == [(str(path), label) for path, label in zip(theirs._image_files, theirs._labels, strict=True)]
    assert listing.class_names == ("pink primrose", "hard-leaved pocket orchid")


@pytest.mark.parametrize("nested", [False, True])
def test_cars_like_torchvision(tmp_path: Path, nested: bool) -> None:
    base = write_cars(tmp_path / "stanford_cars", nested=nested)
    listing = read(f"cars:{tmp_path}")
    assert listing.class_names == ("Acura RL Sedan 2012", "Ram C/V Cargo Van Minivan 2012")
    for part in ("train", "test"):
        theirs = StanfordCars(str(tmp_path), part)
        assert [label for _, label in listing.splits[part]] == [label for _, label in theirs._samples]
        assert all((base / name).is_file() for name, _ in listing.splits[part])


@pytest.mark.parametrize("at", [".", "car_data/car_data"])
def test_cars_of_a_mirror_with_class_folders(tmp_path: Path, at: str) -> None:
    for part, n in (("train", 3), ("test", 2)):
        for name in ("Acura RL Sedan 2012", "Ram C-V Cargo Van Minivan 2012"):
            for i in range(n):
                write_image(tmp_path / at / part / name / f"{i:05d}.jpg")
    listing = read(f"cars:{tmp_path}")
    assert listing.class_names == ("Acura RL Sedan 2012", "Ram C-V Cargo Van Minivan 2012")
    assert {part: len(found) for part, found in listing.splits.items()} == {"train": 6, "test": 4}


def test_cars_without_test_labels_says_which_file(tmp_path: Path) -> None:
    write_cars(tmp_path / "stanford_cars", test_labels=False)
    with pytest.raises(DataError, match=r"cars_test_annos_withlabels.mat is missing"):
        read(f"cars:{tmp_path}")


def test_dogs(tmp_path: Path) -> None:
    base = write_dogs(tmp_path / "stanford_dogs")
    listing = read(f"dogs:{tmp_path}")
    assert listing.class_names == ("Chihuahua", "Japanese_spaniel")
    assert Counter(label for _, label in listing.splits["train"]) == {0: 4, 1: 4}
    assert all((base / name).is_file() for part in listing.splits.values() for name, _ in part)


def test_cifar100_pixels_and_classes(tmp_path: Path) -> None:
    base = write_cifar100(tmp_path / "cifar-100-binary")
    listing = read(f"cifar100:{tmp_path}")
    assert listing.class_names == ("class_7", "class_93")
    assert [label for _, label in listing.splits["test"]] == [1, 0] * 3
    record = np.frombuffer((base / "test.bin").read_bytes(), np.uint8)[3074 : 2 * 3074]
    image = np.asarray(listing.source.image("test.bin#1"))
    assert image.shape == (32, 32, 3)
    assert (image[0, :, 0] == record[2:34]).all()  # the first row of red
    assert (image[31, :, 2] == record[-32:]).all()  # the last row of blue


def test_cut_off_cifar100_is_named(tmp_path: Path) -> None:
    base = write_cifar100(tmp_path / "set")
    (base / "train.bin").write_bytes((base / "train.bin").read_bytes()[:-1])
    with pytest.raises(DataError, match=r"train.bin: .* no whole number"):
        read(f"cifar100:{base}")


def test_vtab_lists_with_blanks_and_a_class_that_train_lacks(tmp_path: Path) -> None:
    listing = read(f"vtab:{write_vtab(tmp_path)}")
    assert {part: len(found) for part, found in listing.splits.items()} == {"train": 6, "val": 2, "test": 3}
    data = open_dataset(f"vtab:{tmp_path}", img_size=32)
    assert data.class_names == ("0", "1", "2")
    assert data.read_test().labels.tolist() == [2, 0, 1]


def test_vpt_class_map_is_that_of_the_union(tmp_path: Path) -> None:
    listing = read(f"vpt:{write_vpt(tmp_path)}")
    assert listing.class_names == ("1", "5", "9")
    assert [[label for _, label in listing.splits[part]] for part in ("val", "test")] == [[2, 0], [1, 1, 2]]


@pytest.mark.parametrize(
    ("header", "split", "sizes"),
    [("path,label\n", "", {"train": 6}), ("path,label,split\n", ",Validation", {"train": 4, "val": 2})],
)
def test_csv(tmp_path: Path, header: str, split: str, sizes: dict[str, int]) -> None:
    paths = [tmp_path / f"an image, {i}.png" for i in range(6)]
    for path in paths:
        write_image(path)
    lines = [
        f'"{path.name}",{10 if i % 2 else 2}{split and (split if i < 2 else ",train")}\n'
        for i, path in enumerate(paths)
    ]
    (tmp_path / "list.csv").write_text(header + "".join(lines), encoding="utf-8-sig")
    listing = read(f"list:{tmp_path / 'list.csv'}")
    assert listing.class_names == ("2", "10")
    assert {part: len(found) for part, found in listing.splits.items()} == sizes


def test_plain_list(tmp_path: Path) -> None:
    (tmp_path / "all.txt").write_text("a b.png cat\nc.png dog\n")
    listing = read(f"list:{tmp_path / 'all.txt'}")
    assert rows(listing, "train") == [("a b.png", "cat"), ("c.png", "dog")]


def test_folder_names_in_unicode(tmp_path: Path) -> None:
    for name in ("Žluna zelená", "大山雀"):
        for i in range(4):
            write_image(tmp_path / name / f"снимок {i}.png")
    data = open_dataset(str(tmp_path), img_size=32)
    assert data.class_names == ("Žluna zelená", "大山雀")


def test_torchvision_set_with_splits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_flowers(tmp_path / "flowers-102")
    monkeypatch.setattr(Flowers102, "_check_integrity", lambda self: True)
    theirs, ours = read(f"torchvision:Flowers102:{tmp_path}"), read(f"flowers:{tmp_path}")
    for part in ("train", "val", "test"):
        assert [label for _, label in theirs.splits[part]] == [label for _, label in ours.splits[part]]
        assert [Path(name).name for name, _ in theirs.splits[part]] == [
            Path(name).name for name, _ in ours.splits[part]
        ]


def test_torchvision_set_by_name(tmp_path: Path) -> None:
    for part in ("train", "test"):
        for name in ("a", "b"):
            write_image(tmp_path / part / name / "0.png")
            write_image(tmp_path / part / name / "1.png")
    listing = read(f"torchvision:ImageFolder:{tmp_path / 'train'}")
    assert listing.class_names == ("a", "b")
    assert [label for _, label in listing.splits["train"]] == [0, 0, 1, 1]
    assert set(listing.splits) == {"train"}


def test_torchvision_labels_without_lists(tmp_path: Path) -> None:
    from utsearch.data.library import labels_of

    theirs = FakeData(size=6, image_size=(3, 8, 8), num_classes=3)
    assert labels_of(theirs, "fake") == [int(theirs[i][1]) for i in range(6)]


def test_timm_folder_does_not_call_train_a_test_set(tmp_path: Path) -> None:
    for name in ("a", "b"):
        for i in range(8):
            write_image(tmp_path / name / f"{i}.png")
    data = open_dataset(f"timm:folder:{tmp_path}", img_size=32)
    assert [len(data.train), len(data.val), len(data.read_test())] == [12, 2, 2]
    pixels = torch.cat([data.train.pixels, data.val.pixels, data.read_test().pixels]).flatten(1)
    assert len(pixels.unique(dim=0)) == len(pixels) == 16


@pytest.mark.parametrize("name", ["torchvision:CIFAR100:/x", "timm:torch/cifar10:/x"])
def test_pickled_sets_are_refused(name: str) -> None:
    with pytest.raises(DataError, match=r"would unpickle files; use cifar100:ROOT"):
        read(name)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "cubs:/data",
            "no data set or folder 'cubs:/data'; there are mini-birds, .* NAME one of cars, cifar100, cub",
        ),
        ("cub:/nowhere", r"no folder '/nowhere'; expected \[CUB_200_2011/\]images.txt"),
        ("torchvision:Nope:/x", "torchvision has no data set 'Nope'"),
        ("torchvision:Flowers102", "expected torchvision:NAME:ROOT"),
        ("list:/nowhere.csv", "no file '/nowhere.csv'"),
    ],
)
def test_wrong_names_say_what_there_is(name: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read(name)


@pytest.mark.parametrize(
    ("write", "name"),
    [(write_cub, "cub"), (write_dogs, "dogs"), (write_flowers, "flowers"), (write_cifar100, "cifar100")],
)
def test_plain_path_of_an_official_layout_names_its_reader(
    tmp_path: Path, write: Callable[[Path], Path], name: str
) -> None:
    base = write(tmp_path / "set")
    with pytest.raises(DataError, match=f"write {name}:.*set to read it as such"):
        read(str(base))


@pytest.mark.parametrize("file", ["classes.txt", "image_class_labels.txt", "train_test_split.txt"])
def test_cub_with_a_line_missing(tmp_path: Path, file: str) -> None:
    base = write_cub(tmp_path)
    lines = (base / file).read_text().splitlines(keepends=True)
    (base / file).write_text("".join(lines[:-1]))
    with pytest.raises(DataError, match=r"unpack the set again"):
        read(f"cub:{base}")


def test_damaged_mat_file_is_named(tmp_path: Path) -> None:
    base = write_flowers(tmp_path)
    (base / "setid.mat").write_bytes(b"MATLAB 5.0 MAT-file" + bytes(200))
    with pytest.raises(DataError, match=r"cannot read .*setid.mat"):
        read(f"flowers:{base}")


def test_listed_image_that_is_not_there(tmp_path: Path) -> None:
    base = write_dogs(tmp_path)
    next((base / "Images").rglob("*.jpg")).unlink()
    with pytest.raises(DataError, match=r"cannot read the image .*jpg \(No such file"):
        open_dataset(f"dogs:{base}", img_size=32)


def test_one_image_in_two_splits_is_refused(tmp_path: Path) -> None:
    write_vtab(tmp_path)
    lines = (tmp_path / "train800.txt").read_text().splitlines(keepends=True)
    (tmp_path / "val200.txt").write_text(lines[0])
    with pytest.raises(DataError, match=r"is in train and in val; an image belongs to one split"):
        read(f"vtab:{tmp_path}")


def test_official_sizes_are_those_of_the_published_splits() -> None:
    """Train and val after the 90/10 cut, as the VPT split counts them (sums are the official ones)."""
    from utsearch.data.splits import quotas

    published = {"cub": 600, "nabirds": 2393, "dogs": 1200, "cars": 815, "cifar100": 5000}
    for name, val in published.items():
        reader = readers()[name]
        each, extra = divmod(reader.official["train"], reader.classes)
        counts = {c: each + (c < extra) for c in range(reader.classes)}
        assert sum(quotas(counts, 0.1, by_class=False).values()) == val


def test_lists_of_one_image_and_of_unequal_lengths(tmp_path: Path) -> None:
    base = write_dogs(tmp_path / "set", test=1)
    savemat(base / "test_list.mat", {"file_list": "n02085620-Chihuahua/n02085620_4.jpg", "labels": 1})
    assert rows(read(f"dogs:{base}"), "test") == [("n02085620_4.jpg", "Chihuahua")]
    savemat(base / "test_list.mat", {"file_list": "n02085620-Chihuahua/n02085620_4.jpg", "labels": [1, 1]})
    with pytest.raises(DataError, match=r"test_list.mat: 1 files and 2 labels"):
        read(f"dogs:{base}")
