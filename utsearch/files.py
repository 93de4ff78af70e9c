"""Writing files so that a reader never sees half of one, and reading no more of one than expected."""

import errno
import os
import stat
import tempfile
from pathlib import Path


def write_atomic(path: Path, content: bytes | str) -> None:
    """Write under a temporary name, flush, rename: after a crash the old file or the new one is there, whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)  # mkstemp makes it private
        rename_durably(Path(temporary), path)
    except BaseException as error:
        Path(temporary).unlink(missing_ok=True)
        if isinstance(error, OSError):
            error.filename = str(path)  # a full disk names none, a failed rename the temporary one
        raise


def rename_durably(source: Path, target: Path) -> None:
    """Rename a file or folder that is written out, and write out the rename: it outlasts a loss of power."""
    os.replace(source, target)
    folder = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # some network file systems have no such thing
            raise
    finally:
        os.close(folder)


def read_within(path: Path, most: int) -> bytes:
    """The content of a plain file.

    Raises:
        OSError: no such file, a device or a pipe (which may never end), or more than `most` bytes.
    """
    with open(path, "rb", opener=_without_waiting) as file:
        found = os.fstat(file.fileno())
        if not stat.S_ISREG(found.st_mode):
            raise OSError(errno.EINVAL, "it is no plain file")
        content = file.read(min(most, found.st_size) + 1)
    if len(content) > most:
        raise OSError(errno.EFBIG, f"it has more than the {most:,} bytes that are expected at most")
    return content


def _without_waiting(name: str, flags: int) -> int:
    """A pipe without a writer would block the opening itself."""
    return os.open(name, flags | os.O_NONBLOCK)
