"""Atomic writes."""

import os
from pathlib import Path

import pytest

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
