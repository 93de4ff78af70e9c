"""Download a data set where its source allows it: resumed, checked, and unpacked without leaving its folder."""

import hashlib
import os
import shutil
import tarfile
import tempfile
import urllib.error
import urllib.request
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path
from typing import Any

from utsearch.data.dataset import DataError, Progress
from utsearch.data.reader import Archive, Reader
from utsearch.files import rename_durably

CHUNK = 2**20
TIMEOUT = 60  # seconds without a byte


def fetch(reader: Reader, root: Path, progress: Progress | None = None) -> bool:
    """Download and unpack a set below ROOT; False where it is there already.

    An interrupted download goes on where it stopped; an archive with a wrong checksum is removed; a folder is unpacked
    beside its place and moved when it is whole. Archives are removed once the set can be read.

    Raises:
        DataError: the source does not allow it (the message says where to get the set), no connection, a wrong
            checksum, no space, or an archive that is damaged or reaches out of its folder.
    """
    if not reader.archives:
        raise DataError(f"{reader.title} cannot be downloaded for you: {reader.get}; expected {reader.layout}")
    if _there(reader, root):
        return False
    try:
        downloads = [_one(archive, root, progress) for archive in reader.archives]
    except OSError as error:
        raise DataError(f"cannot fetch {reader.title} into {root}: {error}") from error
    reader.read(str(root))  # a layout that cannot be read is an error with its own message
    for path in downloads:
        path.unlink(missing_ok=True)
    return True


def _there(reader: Reader, root: Path) -> bool:
    if not root.is_dir():
        return False
    try:
        reader.read(str(root))
    except DataError:
        return False
    return True


def _one(archive: Archive, root: Path, progress: Progress | None) -> Path:
    """Download and unpack one archive; returns the archive, or a path that is not there for a plain file."""
    folder = root / archive.folder
    name = archive.url.rsplit("/", 1)[-1]
    if not archive.unpack:
        target = folder / name
        if not (target.is_file() and _md5(target) == archive.md5):
            download(archive.url, target, archive.md5, progress)
        return folder / f"{name}.none"
    target = root / name
    if not (target.is_file() and _md5(target) == archive.md5):
        download(archive.url, target, archive.md5, progress)
    if progress:
        progress(f"unpacking {name}", 0, 0)
    unpack(target, folder)
    return target


def download(url: str, target: Path, md5: str, progress: Progress | None = None) -> None:
    """Download to `target`, going on with `target.part` where the server allows it.

    Raises:
        DataError: the server refuses, the connection breaks, or the checksum is another; what came stays for the next
            try in the first two cases.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f"{target.name}.part")
    have = part.stat().st_size if part.is_file() else 0
    if not url.startswith(("https://", "http://")):
        raise DataError(f"only http and https are fetched, got {url}")
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})  # noqa: S310 - checked
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:  # noqa: S310 - checked above
            resumed = answer.status == HTTPStatus.PARTIAL_CONTENT
            _receive(answer, part, have if resumed else 0, _report(progress, f"downloading {target.name}"))
    except urllib.error.HTTPError as error:
        if error.code != HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:  # that one: the part is whole already
            raise DataError(f"cannot download {url}: the server answers {error.code} {error.reason}") from error
    except (OSError, ValueError) as error:
        raise DataError(f"cannot download {url} ({error}); the same command goes on where it stopped") from error
    if (found := _md5(part)) != md5:
        part.unlink()
        raise DataError(f"{url} has MD5 {found}, expected {md5}; the file was removed: try again, or get it by hand")
    rename_durably(part, target)


def _receive(answer: Any, part: Path, have: int, report: Callable[[int, int], None]) -> None:
    """Write the body behind the first `have` bytes; raises OSError where it ends early."""
    expected = have + int(answer.headers.get("Content-Length") or 0)
    with part.open("ab" if have else "wb") as file:
        while chunk := answer.read(CHUNK):
            file.write(chunk)
            have += len(chunk)
            report(have, expected)
        file.flush()
        os.fsync(file.fileno())
    if expected and have < expected:
        raise OSError(f"the connection ended after {have:,} of {expected:,} bytes")


def _report(progress: Progress | None, what: str) -> Callable[[int, int], None]:
    def report(done: int, total: int) -> None:
        if progress:
            progress(what, done, total)

    return report


def _md5(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def unpack(archive: Path, folder: Path) -> None:
    """Unpack a tar file below a folder, replacing what is there of the same names.

    Raises:
        DataError: damaged, or with a member that leaves the folder (nothing of it is moved into place then).
    """
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".unpacking-") as temporary:
        try:
            with tarfile.open(archive) as tar:
                tar.extractall(temporary, filter="data")
        except (tarfile.TarError, EOFError) as error:
            raise DataError(f"cannot unpack {archive}: {error}; remove it and try again") from error
        os.sync()  # thousands of files at once; none is seen in its place before it is written out
        for entry in sorted(Path(temporary).iterdir()):
            place = folder / entry.name
            if place.is_dir() and not place.is_symlink():
                shutil.rmtree(place)
            rename_durably(entry, place)
