"""The check-up of the cache of decoded images."""

import os
from pathlib import Path

import pytest
import torch
from torch import Tensor

from utsearch.data.cache import Cache, Entry
from utsearch.data.doctor import check_cache
from utsearch.findings import Finding
from utsearch.training.prefix import disk_cache

SHAPE = (4, 3, 8, 8)


def fill(out: Tensor) -> None:
    out.copy_(torch.arange(out.numel()).reshape(out.shape) % 251)


def ones(room: dict[str, Tensor]) -> None:
    for out in room.values():
        out.fill_(1)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cache:
    monkeypatch.setenv("UTSEARCH_CACHE", str(tmp_path))
    made = Cache.default()
    for key in ("a", "b", "c"):
        made.get(key, SHAPE, fill)
    return made


def problems() -> list[Finding]:
    return [finding for finding in check_cache() if finding.severity == "problem"]


def test_a_whole_cache_is_fine(cache: Cache) -> None:
    (found,) = check_cache()
    assert found.what.startswith("decoded images: 3 entries")


def test_damaged_entries_and_left_over_parts_are_removed(cache: Cache) -> None:
    content = bytearray((cache.folder / "a.u8").read_bytes())
    content[5] ^= 1
    (cache.folder / "a.u8").write_bytes(content)
    (cache.folder / "b.json").write_text("{}")
    (cache.folder / ".d.part").write_bytes(b"half")
    damaged, parts = problems()
    assert damaged.what.startswith("2 damaged entries")
    assert parts.what.startswith("1 unfinished entries")
    for finding in (damaged, parts):
        assert finding.repair is not None
        finding.repair.do()
    assert problems() == []
    assert {path.name for path in cache.folder.glob("*.u8")} == {"c.u8"}
    assert torch.equal(cache.get("a", SHAPE, fill), cache.get("c", SHAPE, fill)), "it is built anew"


def test_what_another_process_writes_is_left(cache: Cache) -> None:
    import fcntl

    (cache.folder / ".a.part").write_bytes(b"half")
    os.truncate(cache.folder / "a.u8", 3)
    with (cache.folder / "a.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert problems() == []
    assert len(problems()) == 2


def test_a_full_cache_and_a_wrong_budget_are_told(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UTSEARCH_CACHE_GB", "1e-7")
    assert [finding.severity for finding in check_cache()] == ["note"]
    monkeypatch.setenv("UTSEARCH_CACHE_GB", "much")
    (found,) = problems()
    assert "UTSEARCH_CACHE_GB is 'much'" in found.what


def test_activations_are_checked_with_their_own_type(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UTSEARCH_CACHE", str(tmp_path))
    cache = disk_cache()
    for key, dtype in (("a", torch.float32), ("b", torch.bfloat16)):
        cache.get_all({key: Entry((4, 5, 8), dtype)}, ones)
    (found,) = check_cache(disk_cache, "activations", "computes")
    assert found.what.startswith("activations: 2 entries")
    content = bytearray((cache.folder / "b.bf16").read_bytes())
    content[3] ^= 1
    (cache.folder / "b.bf16").write_bytes(content)
    _, damaged = check_cache(disk_cache, "activations", "computes")
    assert damaged.what.startswith("1 damaged entries, which the next search computes anew")
    assert damaged.repair is not None
    damaged.repair.do()
    assert sorted(path.name for path in cache.folder.glob("[ab].*")) == ["a.f32", "a.json", "a.lock", "b.lock"]
