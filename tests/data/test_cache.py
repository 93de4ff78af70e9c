"""The cache of decoded pixels: reused, rebuilt when damaged, within its budget, safe for two processes."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from image_trees import write_cub
from torch import Tensor

from utsearch.data import DataError, open_dataset
from utsearch.data import decode as decode_module
from utsearch.data.cache import Cache

SHAPE = (5, 3, 8, 8)


class Counted:
    """Fills with a value and counts how often."""

    def __init__(self, value: int) -> None:
        self.value, self.calls = value, 0

    def __call__(self, out: Tensor) -> None:
        self.calls += 1
        out.fill_(self.value)


def test_second_time_is_read_not_filled(tmp_path: Path) -> None:
    fill, cache = Counted(7), Cache(tmp_path / "c", 10**6)
    for _ in range(2):
        assert torch.equal(cache.get("key", SHAPE, fill), torch.full(SHAPE, 7, dtype=torch.uint8))
    assert fill.calls == 1
    cache.get("other", SHAPE, fill)
    assert fill.calls == 2


def test_what_is_written_to_the_tensor_stays_private(tmp_path: Path) -> None:
    fill, cache = Counted(7), Cache(tmp_path, 10**6)
    cache.get("key", SHAPE, fill).fill_(0)
    assert int(cache.get("key", SHAPE, fill).min()) == 7
    assert fill.calls == 1


@pytest.mark.parametrize("damage", ["flip", "cut", "card", "no card", "no pixels", "shape"])
def test_damaged_entry_is_rebuilt(tmp_path: Path, damage: str) -> None:
    fill, cache = Counted(7), Cache(tmp_path, 10**6)
    cache.get("key", SHAPE, fill)
    pixels, card = tmp_path / "key.u8", tmp_path / "key.json"
    content = bytearray(pixels.read_bytes())
    if damage == "flip":
        content[100] ^= 1
        pixels.write_bytes(content)
    elif damage == "cut":
        pixels.write_bytes(content[:-1])
    elif damage == "card":
        card.write_text('{"shape": [5,')
    elif damage == "shape":
        card.write_text('{"shape": [5, 3, 8, 8], "crc32": []}')
    else:
        (card if damage == "no card" else pixels).unlink()
    assert int(cache.get("key", SHAPE, fill).min()) == 7
    assert fill.calls == 2
    cache.get("key", SHAPE, fill)
    assert fill.calls == 2


def test_failed_filling_leaves_nothing(tmp_path: Path) -> None:
    def fail(out: Tensor) -> None:
        raise DataError("cannot read the image")

    with pytest.raises(DataError):
        Cache(tmp_path, 10**6).get("key", SHAPE, fail)
    assert [path.name for path in tmp_path.iterdir()] == ["key.lock"]


def test_least_recently_used_gives_way(tmp_path: Path) -> None:
    size = 5 * 3 * 8 * 8
    cache = Cache(tmp_path, 2 * size)
    for i, key in enumerate(("a", "b")):
        cache.get(key, SHAPE, Counted(i))
        os.utime(tmp_path / f"{key}.json", (i, i))
    mapped = cache.get("b", SHAPE, Counted(1))
    cache.get("a", SHAPE, Counted(9))  # used again: b is the oldest now
    os.utime(tmp_path / "b.json", (1, 1))
    cache.get("c", SHAPE, Counted(2))
    assert sorted(path.stem for path in tmp_path.glob("*.u8")) == ["a", "c"]
    assert int(mapped.min()) == 1  # who has it mapped keeps it


def test_larger_than_the_budget_stays_in_memory(tmp_path: Path) -> None:
    assert int(Cache(tmp_path / "c", 100).get("key", SHAPE, Counted(3)).min()) == 3
    assert not (tmp_path / "c").exists()


def test_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert int(Cache(tmp_path / "file" / "c", 10**6).get("key", SHAPE, Counted(3)).min()) == 3


def test_two_processes_fill_once(tmp_path: Path) -> None:
    code = (
        "import sys, time, pathlib\n"
        "from utsearch.data.cache import Cache\n"
        "folder = pathlib.Path(sys.argv[1])\n"
        "def fill(out):\n"
        "    with (folder / 'fills').open('a') as file: file.write('x')\n"
        "    time.sleep(0.5); out.fill_(5)\n"
        "print(int(Cache(folder / 'c', 10**6).get('key', (5, 3, 8, 8), fill).sum()))\n"
    )
    env = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    running = [
        subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, env=env) for _ in range(2)
    ]
    assert [int(process.communicate()[0]) for process in running] == [5 * 960, 5 * 960]
    assert (tmp_path / "fills").read_text() == "x"


def test_environment_sets_folder_and_budget(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UTSEARCH_CACHE", str(tmp_path))
    monkeypatch.setenv("UTSEARCH_CACHE_GB", "1.5")
    assert Cache.default() == Cache(tmp_path / "pixels", 1_500_000_000)
    monkeypatch.setenv("UTSEARCH_CACHE_GB", "much")
    with pytest.raises(DataError, match="UTSEARCH_CACHE_GB is 'much'"):
        Cache.default()


def test_large_splits_come_from_the_cache_and_equal_the_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = write_cub(tmp_path / "set", train=6)
    monkeypatch.setenv("UTSEARCH_CACHE", str(tmp_path / "cache"))
    plain = open_dataset(f"cub:{base}", img_size=32)
    assert not (tmp_path / "cache").exists()
    monkeypatch.setattr(decode_module, "IN_MEMORY", 0)
    first = open_dataset(f"cub:{base}", img_size=32)
    monkeypatch.setattr(decode_module, "read_image", None)  # nothing is decoded from here on
    again = open_dataset(f"cub:{base}", img_size=32)
    for other in (first, again):
        assert torch.equal(plain.train.pixels, other.train.pixels)
        assert torch.equal(plain.val.labels, other.val.labels)
    assert len(list((tmp_path / "cache/pixels").glob("*.u8"))) == 2


def test_changed_image_is_decoded_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Test counts by size alone in the fingerprint, but its pixels follow the file."""
    base = write_cub(tmp_path / "set", train=6)
    monkeypatch.setenv("UTSEARCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(decode_module, "IN_MEMORY", 0)
    image = sorted((base / "images/001.Kind_1").iterdir())[-1]
    image.write_bytes(image.read_bytes() + bytes(5000))  # what follows the end of a JPEG is not read
    data = open_dataset(f"cub:{base}", img_size=32)
    before = data.read_test().pixels
    other = sorted((base / "images/002.Kind_2").iterdir())[-1].read_bytes()
    size = image.stat().st_size
    image.write_bytes(other.ljust(size, b"\0"))
    later = time.time_ns() + 10**9
    os.utime(image, ns=(later, later))
    again = open_dataset(f"cub:{base}", img_size=32)
    assert again.fingerprint == data.fingerprint
    assert not torch.equal(before, again.read_test().pixels)
