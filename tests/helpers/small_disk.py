"""A disk that is really full: a file system of some kilobytes, or a limit of the process where none may be mounted."""

import os
import resource
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

KINDS = ("file system", "limit")
ROOM = 256 * 1024  # bytes
FILLER = "filler"  # a file


def may_mount() -> bool:
    """Whether this process may mount a file system: root in a container may not."""
    if os.geteuid():
        return False
    return subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False).returncode == 0


@contextmanager
def small_disk(folder: Path, kind: str) -> Iterator[Path]:
    """A folder with ROOM bytes, or one in which no file may be larger than that."""
    folder.mkdir()
    if kind == "limit":
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (ROOM, hard))
        try:
            yield folder
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        return
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={ROOM}", "tmpfs", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)  # what is mapped keeps it busy


def fill_up(folder: Path) -> Path:
    """Put a file there that takes all the room there is; without it there is room again."""
    filler = folder / FILLER
    with filler.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(4096))
    return filler
