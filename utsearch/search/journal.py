"""Optuna's journal file, where a writer that died in the middle of a line spoils nothing."""

import json
import os
from typing import Any

from optuna.storages.journal import JournalFileBackend
from optuna.storages.journal._file import get_lock_file

_BLOCK = 4096


class Journal(JournalFileBackend):
    """Appends whole lines only.

    Optuna appends to whatever is there: after half a line, of a killed worker or a full disk, the file could never be
    read again.
    """

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Write lines under the lock and flush them; on an error the file is as it was."""
        lines = "".join(json.dumps(log, separators=(",", ":")) + "\n" for log in logs)
        with get_lock_file(self._lock), open(self._file_path, "r+b", buffering=0) as file:
            end = _whole(file.fileno())
            try:
                file.truncate(end)
                _write(file.fileno(), lines.encode(), end)
                os.fsync(file.fileno())
            except BaseException:
                os.ftruncate(file.fileno(), end)
                raise


def _write(file: int, content: bytes, at: int) -> None:
    """All of it; a nearly full disk takes a part at first."""
    while content:
        written = os.pwrite(file, content, at)
        content, at = content[written:], at + written


def _whole(file: int) -> int:
    """Bytes up to the end of the last whole line."""
    end = os.fstat(file).st_size
    while end:
        start = max(0, end - _BLOCK)
        at = os.pread(file, end - start, start).rfind(b"\n")
        if at >= 0:
            return start + at + 1
        end = start
    return 0
