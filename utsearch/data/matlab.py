"""MATLAB 5 files, checked before they are read.

A file of a hundred bytes may say that it holds a cell array of 10⁹ entries, for which a reader takes the memory before
it looks for them, or unpack to gigabytes. So every size is first held against the bytes that are there. Format:
"MAT-File Format" (The MathWorks), level 5.
"""

import math
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from utsearch.data.dataset import DataError
from utsearch.files import read_within

MOST_FILE = 32 * 2**20  # bytes; the largest list of the sets read here has under one million
MOST_UNPACKED = 64 * 2**20  # of all variables
DEEPEST = 6  # arrays in arrays; a struct of cells of text needs three
_HEAD = 128
_INT32, _UINT32, _MATRIX, _COMPRESSED = 5, 6, 14, 15
_CELL, _STRUCT, _CHAR = 1, 2, 4
_PLAIN = range(6, 16)  # classes of numeric arrays: double, single, int8 to uint64
_BYTES = {1: 1, 2: 1, 3: 2, 4: 2, 5: 4, 6: 4, 7: 4, 9: 8, 12: 8, 13: 8, 16: 1, 17: 2, 18: 4}


class _Lie(Exception):
    """A size that the bytes do not bear out, or a kind of array that no list needs."""


def mat_file(path: Path) -> dict[str, Any]:
    """The variables of a MATLAB file.

    Raises:
        DataError: the file is missing, damaged, of another version, or claims to hold more than it does.
    """
    from io import BytesIO

    from scipy.io import loadmat

    try:
        content = read_within(path, MOST_FILE)
        plain = _unpacked(content)
        return dict(loadmat(BytesIO(plain), squeeze_me=True))
    except MemoryError:
        raise
    except Exception as error:  # scipy raises whatever the bytes lead it to
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DataError(f"cannot read {path} ({reason[:200]}); unpack the set again") from error


def _unpacked(content: bytes) -> bytes:
    """The same file with no element compressed, each array checked."""
    if len(content) < _HEAD or content[124:128] != b"\x00\x01IM":
        raise _Lie("not a MATLAB 5 file in little-endian order")
    out, room = [content[:_HEAD]], MOST_UNPACKED
    for kind, body in _elements(content[_HEAD:]):
        whole = body
        if kind == _COMPRESSED:
            unpacker = zlib.decompressobj()
            whole = unpacker.decompress(body, room)
            if unpacker.unconsumed_tail or not unpacker.eof:
                raise _Lie(f"an array is cut short, or unpacks to more than {MOST_UNPACKED / 2**20:.0f} MB in all")
            ((kind, body),) = _elements(whole)
        else:
            whole = _tag(kind, len(body)) + body
        if kind != _MATRIX:
            raise _Lie(f"an element of kind {kind} where an array should be")
        room -= len(whole)
        if room <= 0:
            raise _Lie(f"more than {MOST_UNPACKED / 2**20:.0f} MB")
        _check_array(body, 1)
        out.append(_tag(_MATRIX, len(body)) + body)
    return b"".join(out)


def _tag(kind: int, size: int) -> bytes:
    return kind.to_bytes(4, "little") + size.to_bytes(4, "little")


def _elements(content: bytes) -> Iterator[tuple[int, bytes]]:
    """(kind, data) of elements one behind the other; each begins at a multiple of 8, compressed ones end anywhere."""
    at = 0
    while at + 8 <= len(content):
        first = int.from_bytes(content[at : at + 4], "little")
        if first >> 16:  # a small element: size and data in the tag itself
            size, kind = first >> 16, first & 0xFFFF
            if size > 4:
                raise _Lie("a small element of more than 4 bytes")
            yield kind, content[at + 4 : at + 4 + size]
            at += 8
            continue
        size = int.from_bytes(content[at + 4 : at + 8], "little")
        if at + 8 + size > len(content):
            raise _Lie(f"an element of {size:,} bytes where {len(content) - at - 8:,} are left")
        yield first, content[at + 8 : at + 8 + size]
        at += 8 + size + (0 if first == _COMPRESSED else -size % 8)
    if any(content[at:]):
        raise _Lie("bytes behind the last element")


def _check_array(body: bytes, depth: int) -> None:
    """Raise _Lie where an array is larger than its bytes, too deep, or an object, a function or a sparse matrix."""
    if not body:
        return  # an empty cell
    parts = list(_elements(body))
    if depth > DEEPEST or len(parts) < 3 or parts[0][0] != _UINT32 or parts[1][0] != _INT32:
        raise _Lie("an array without flags, size and name, or too deep in others")
    kind = parts[0][1][0] if parts[0][1] else 0
    sizes = np.frombuffer(parts[1][1], "<i4") if len(parts[1][1]) % 4 == 0 else np.array([-1])
    if not 2 <= len(sizes) <= 8 or (sizes < 0).any():
        raise _Lie(f"an array of size {sizes.tolist()[:9]}")
    n, data = math.prod(sizes.tolist()), parts[3:]
    if kind in _PLAIN:
        _check_numbers(n, data, bool(parts[0][1][1] & 0x08))
    elif kind == _CHAR:
        _check_numbers(n, data, is_complex=False)
    elif kind == _CELL:
        _check_arrays(n, data, depth)
    elif kind == _STRUCT:
        _check_struct(n, parts, depth)
    else:
        raise _Lie(f"an array of class {kind}: only numbers, text, cells and structs are read")


def _check_numbers(n: int, data: list[tuple[int, bytes]], is_complex: bool) -> None:
    if len(data) != 1 + is_complex and not (n == 0 and not data):
        raise _Lie(f"an array of {n:,} values with {len(data)} parts")
    for kind, values in data:
        if kind not in _BYTES or (n > len(values) // _BYTES[kind]):
            raise _Lie(f"an array of {n:,} values with {len(values):,} bytes")


def _check_arrays(n: int, data: list[tuple[int, bytes]], depth: int) -> None:
    if n != len(data) or any(kind != _MATRIX for kind, _ in data):
        raise _Lie(f"{n:,} entries are named, {len(data):,} are there")
    for _, body in data:
        _check_array(body, depth + 1)


def _check_struct(n: int, parts: list[tuple[int, bytes]], depth: int) -> None:
    """Two more elements, the length of a field's name and the names; then the fields of each entry."""
    if len(parts) < 5 or len(parts[3][1]) != 4:
        raise _Lie("a struct without fields")
    length, names = int.from_bytes(parts[3][1], "little"), parts[4][1]
    if not 1 <= length <= 64 or not names or len(names) % length:
        raise _Lie(f"a struct whose fields' names have {length} bytes")
    _check_arrays(n * (len(names) // length), parts[5:], depth)


def mat_column(variables: Mapping[str, Any], name: str, path: Path) -> list[Any]:
    """A vector of a MATLAB file as a list, also when it has one entry."""
    if name not in variables:
        have = ", ".join(key for key in variables if not key.startswith("__"))
        raise DataError(f"{path}: expected a variable {name!r}, found {have}")
    return list(np.asarray(variables[name]).reshape(-1))


def mat_numbers(variables: Mapping[str, Any], name: str, path: Path) -> list[int]:
    """A vector of whole numbers; raises DataError where there is something else."""
    return [mat_number(value, name, path) for value in mat_column(variables, name, path)]


def mat_number(value: Any, name: str, path: Path) -> int:
    """One whole number; raises DataError where it is something else."""
    try:
        found = int(value)
        if found != value:
            raise ValueError(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise DataError(f"{path}: expected whole numbers in {name!r}, got {str(value)[:50]!r}") from error
    return found
