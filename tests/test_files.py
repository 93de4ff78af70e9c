"""Atomic writes."""

import os
import stat
from pathlib import Path

import pytest

from utsearch.data.cache import Cache
from utsearch.files import write_atomic


def test_writes_text_and_bytes_and_makes_folders(tmp_path: Path) -> None:
    write_atomic(tmp_path / "a" / "b.txt", "π")
    write_atomic(tmp_path / "c.bin", b"\0\1")
    assert (tmp_path / "a" / "b.txt").read_text() == "π"
    assert (tmp_path / "c.bin").read_bytes() == b"\0\1"


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    write_atomic(path, "old")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_atomic(path, "new")
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["file"]


def test_the_file_and_then_its_name_are_written_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A rename that is not written out is lost with the power, and the file with it."""
    done: list[str] = []
    sync, rename = os.fsync, os.replace

    def synced(handle: int) -> None:
        done.append("folder" if stat.S_ISDIR(os.fstat(handle).st_mode) else "file")
        sync(handle)

    def renamed(source: Path, target: Path) -> None:
        done.append("rename")
        rename(source, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "replace", renamed)
    write_atomic(tmp_path / "file", "x")
    assert done == ["file", "rename", "folder"]
    done.clear()
    Cache(tmp_path, 10**6).get("key", (2, 3), lambda out: out.fill_(1))
    assert done == ["file", "rename", "folder"] * 2, "values first, then the card that says they are whole"


def test_a_file_system_that_cannot_sync_a_folder_is_used_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sync = os.fsync

    def unable(handle: int) -> None:
        if stat.S_ISDIR(os.fstat(handle).st_mode):
            raise OSError(22, "Invalid argument")
        sync(handle)

    monkeypatch.setattr(os, "fsync", unable)
    write_atomic(tmp_path / "file", "x")
    assert (tmp_path / "file").read_text() == "x"
