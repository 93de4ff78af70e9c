"""What a safetensors file says that it holds, read from its header: before any memory is taken for the tensors."""

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from utsearch.errors import UserError

MOST_HEADER = 16 * 2**20  # bytes; a hundred thousand tensors need a tenth
_BYTES = {"F64": 8, "I64": 8, "U64": 8, "F32": 4, "I32": 4, "U32": 4, "F16": 2, "BF16": 2, "I16": 2, "U16": 2}
_BYTES |= {"I8": 1, "U8": 1, "BOOL": 1}


class HeaderError(UserError):
    """A file is not in safetensors' format, or does not hold what its header says."""


@dataclass(frozen=True)
class TensorInfo:
    """One tensor of a file: safetensors' name of its type, and its shape."""

    dtype: str
    shape: tuple[int, ...]


def read_header(path: Path) -> dict[str, TensorInfo]:
    """The tensors of a file by name.

    Raises:
        HeaderError: the header is damaged or too long, or the tensors do not fill the file exactly.
        OSError: it cannot be read.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if size < 8 or not 2 <= length <= min(MOST_HEADER, size - 8):
            raise HeaderError(f"{path} is no safetensors file, or was cut short: a header of {length:,} bytes")
        text = file.read(length)
    try:
        content = json.loads(text)
        entries = {name: entry for name, entry in content.items() if name != "__metadata__"}
        return _check(path, entries, size - 8 - length)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise HeaderError(f"{path} has a damaged header ({type(error).__name__})") from error


def _check(path: Path, entries: dict[str, dict[str, Any]], room: int) -> dict[str, TensorInfo]:
    found: dict[str, TensorInfo] = {}
    spans: list[tuple[int, int]] = []
    for name, entry in entries.items():
        dtype, shape, (begin, end) = entry["dtype"], entry["shape"], entry["data_offsets"]
        if dtype not in _BYTES or not isinstance(shape, list) or any(type(n) is not int or n < 0 for n in shape):
            raise HeaderError(f"{path}: {name[:80]!r} is {str(dtype)[:20]} of shape {str(shape)[:80]}")
        if end - begin != math.prod(shape) * _BYTES[str(dtype)]:
            raise HeaderError(
                f"{path}: {name[:80]!r} has {end - begin:,} bytes, its shape {str(shape)[:80]} needs others"
            )
        found[name] = TensorInfo(str(dtype), tuple(shape))
        spans.append((begin, end))
    at = 0
    for begin, end in sorted(spans):
        if begin != at:
            raise HeaderError(f"{path}: its tensors overlap, or leave gaps")
        at = end
    if at != room:
        raise HeaderError(f"{path} holds {room:,} bytes of tensors, its header says {at:,}; was it cut short?")
    return found
