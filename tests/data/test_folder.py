"""Image folders as they are found in the wild."""

import random
import shutil
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from utsearch.data import DataError, open_dataset
from utsearch.data.images import Unreadable
from utsearch.data.transform import evaluation_transform


def write_images(
    folder: Path, n: int, *, mode: str = "RGB", suffix: str = "png", size: tuple[int, int] = (40, 30)
) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(zlib.crc32(str(folder).encode()))
    for i in range(n):
        pixels = rng.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
        Image.fromarray(pixels).convert(mode).save(folder / f"{i}.{suffix}")


@pytest.fixture
def flat(tmp_path: Path) -> Path:
    for name in ("robin", "wren", "jay"):
        write_images(tmp_path / "birds" / name, 20)
    return tmp_path / "birds"


def test_flat_folder_is_split_stratified_and_without_overlap(flat: Path) -> None:
    data = open_dataset(str(flat), img_size=32)
    test = data.read_test()
    assert data.class_names == ("jay", "robin", "wren")
    assert [len(s) for s in (data.train, data.val, test)] == [42, 9, 9]
    for split in (data.train, data.val, test):
        assert split.labels.bincount().tolist() == [len(split) // 3] * 3
    rows = torch.cat([data.train.pixels, data.val.pixels, test.pixels]).flatten(1)
    assert len(rows.unique(dim=0)) == 60


def test_split_is_the_same_for_a_seed_and_differs_between_seeds(flat: Path) -> None:
    first, again, other = (open_dataset(str(flat), img_size=32, seed=s) for s in (0, 0, 1))
    assert torch.equal(first.train.pixels, again.train.pixels)
    assert first.fingerprint == again.fingerprint != other.fingerprint


def test_given_splits_are_kept_and_classes_come_from_their_union(tmp_path: Path) -> None:
    for part, names in {"train": ("a", "b", "c"), "val": ("a", "b"), "test": ("c",)}.items():
        for name in names:
            write_images(tmp_path / part / name, 3)
    data = open_dataset(str(tmp_path), img_size=32)
    assert data.class_names == ("a", "b", "c")
    assert [len(data.train), len(data.val), len(data.read_test())] == [9, 6, 3]
    assert data.read_test().labels.tolist() == [2, 2, 2]


def test_fingerprint_follows_contents(flat: Path) -> None:
    before = open_dataset(str(flat), img_size=32)
    for path in (flat / "jay").iterdir():
        Image.new("RGB", (40, 30), (1, 2, 3)).save(path)
    assert open_dataset(str(flat), img_size=32).fingerprint != before.fingerprint


@pytest.mark.parametrize(
    ("mode", "suffix"), [("L", "png"), ("P", "png"), ("RGBA", "png"), ("CMYK", "jpg"), ("1", "png")]
)
def test_every_colour_mode_becomes_rgb(tmp_path: Path, mode: str, suffix: str) -> None:
    for name in ("a", "b"):
        write_images(tmp_path / name, 4, mode=mode, suffix=suffix)
    assert open_dataset(str(tmp_path), img_size=32).train.pixels.shape[1:] == (3, 36, 36)


def test_exif_rotation_is_applied(tmp_path: Path) -> None:
    upright = Image.new("RGB", (48, 48))
    upright.paste((255, 0, 0), (0, 0, 48, 24))  # the upper half is red
    exif = Image.Exif()
    exif[0x0112] = 6  # stored turned: a viewer must rotate by 270 degrees
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for i in range(4):
            upright.rotate(90).save(tmp_path / name / f"{i}.jpg", exif=exif, quality=95)
    pixels = open_dataset(str(tmp_path), img_size=32).train.pixels.float()
    assert pixels[:, 0, :12].mean() > 200 > 60 > pixels[:, 0, -12:].mean()


@pytest.mark.parametrize("content", [b"", b"not an image", b"\x89PNG\r\n\x1a\n" + b"\0" * 40])
def test_broken_file_is_named(flat: Path, content: bytes) -> None:
    for path in (flat / "jay").iterdir():
        path.write_bytes(content)
    with pytest.raises(DataError, match=r"cannot read 17 images: .*jay"):
        open_dataset(str(flat), img_size=32)


def test_all_broken_files_of_train_and_val_are_named_at_once(flat: Path) -> None:
    for path in [*(flat / "jay").iterdir(), *(flat / "wren").iterdir()]:
        path.write_bytes(b"")
    with pytest.raises(
        Unreadable, match=r"cannot read 34 images: .*; and 29 more; mend .*--readable GOOD.csv"
    ) as caught:
        open_dataset(str(flat), img_size=32)  # 6 of the 40 are test images
    assert len(caught.value.files) == 34
    assert "\n" not in str(caught.value)


def test_a_broken_test_image_is_found_before_a_search(flat: Path, tmp_path: Path) -> None:
    for part, names in {"train": ("robin", "jay"), "val": ("robin",), "test": ("jay",)}.items():
        for name in names:
            shutil.copytree(flat / name, tmp_path / "set" / part / name)
    data = open_dataset(str(tmp_path / "set"), img_size=32)
    seen: list[tuple[str, int, int]] = []
    data.check_test(lambda *told: seen.append(told))
    assert seen[-1] == ("checking test", 20, 20)
    broken = tmp_path / "set/test/jay/7.png"
    broken.write_bytes(broken.read_bytes()[:500])
    with pytest.raises(Unreadable, match=r"test/jay/7\.png"):
        data.check_test(lambda *told: None)


def test_truncated_jpeg_is_named(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_images(tmp_path / name, 4, suffix="jpg", size=(200, 200))
    for path in (tmp_path / "a").iterdir():
        path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(DataError, match="cannot read 3 images"):
        open_dataset(str(tmp_path), img_size=32)


def test_folder_without_images_says_what_is_expected(tmp_path: Path) -> None:
    (tmp_path / "empty" / "a").mkdir(parents=True)
    with pytest.raises(DataError, match=r"0 classes; expected .*CLASS/"):
        open_dataset(str(tmp_path / "empty"), img_size=32)


def test_unknown_name_lists_what_exists() -> None:
    with pytest.raises(DataError, match=r"'mini-brids'; there are mini-birds, mini-cars, mini-flowers"):
        open_dataset("mini-brids", img_size=32)


def test_one_image_cannot_be_split(tmp_path: Path) -> None:
    write_images(tmp_path / "a", 1)
    write_images(tmp_path / "b", 9)
    with pytest.raises(DataError, match="'a' has too few images"):
        open_dataset(str(tmp_path), img_size=32)


def test_file_transform_equals_the_reader(flat: Path) -> None:
    """What an exported model sees of a file is what validation saw of it, also for odd sizes."""
    random.seed(0)
    for path in sorted((flat / "jay").iterdir()):
        size = (random.randint(33, 90), random.randint(33, 90))
        Image.effect_noise(size, 90).convert("RGB").save(path)
    data = open_dataset(str(flat), img_size=32)
    transform = evaluation_transform(data.preprocessing, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
    margin = data.preprocessing.margin
    decoded = data.val.pixels[data.val.labels == 0][:, :, margin:-margin, margin:-margin]
    from_files = torch.stack([transform(Image.open(p)) for p in sorted((flat / "jay").iterdir())])
    distances = (decoded[:, None] / 255 - from_files[None]).abs().amax((2, 3, 4))
    assert distances.amin(1).max() == 0
