"""Headers of safetensors files, read without their tensors."""

import json
import tracemalloc
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from utsearch.tensors import HeaderError, TensorInfo, read_header


def raw(path: Path, header: object, content: bytes = b"", length: int | None = None) -> Path:
    text = json.dumps(header).encode() if not isinstance(header, bytes) else header
    path.write_bytes((len(text) if length is None else length).to_bytes(8, "little") + text + content)
    return path


def entry(shape: list[object], begin: int, end: int, dtype: str = "F32") -> dict[str, object]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


def test_it_agrees_with_what_safetensors_writes(tmp_path: Path) -> None:
    types = {torch.float32: "F32", torch.bfloat16: "BF16", torch.int64: "I64", torch.bool: "BOOL", torch.uint8: "U8"}
    tensors = {f"{name} é": torch.zeros(2, i, 3, dtype=kind) for i, (kind, name) in enumerate(types.items())}
    save_file(tensors, tmp_path / "a", metadata={"by": "a test"})
    expected = {name: TensorInfo(types[t.dtype], tuple(t.shape)) for name, t in tensors.items()}
    assert read_header(tmp_path / "a") == expected


@pytest.mark.parametrize(
    ("header", "content", "message"),
    [
        ({"a": entry([10**12], 0, 4 * 10**12)}, b"", "holds 0 bytes of tensors, its header says 4,000,000,000,000"),
        ({"a": entry([2], 0, 4)}, b"1234", "has 4 bytes, its shape"),
        ({"a": entry([1], 0, 4), "b": entry([1], 0, 4)}, b"1234", "overlap"),
        ({"a": entry([1], 4, 8)}, b"12345678", "gaps"),
        ({"a": entry([-1, -1], 0, 4)}, b"1234", "of shape"),
        ({"a": entry([True], 0, 4)}, b"1234", "of shape"),
        ({"a": entry([1], 0, 4, "PICKLE")}, b"1234", "is PICKLE"),
        ({"a": 3}, b"", "damaged header"),
        ([1, 2], b"", "damaged header"),
        (b"{" * 40, b"", "damaged header"),
        (b"[" * 100_000, b"", "damaged header"),
    ],
)
def test_a_header_that_lies_is_refused(tmp_path: Path, header: object, content: bytes, message: str) -> None:
    with pytest.raises(HeaderError, match=message):
        read_header(raw(tmp_path / "a", header, content))


def test_a_header_longer_than_the_file_takes_no_memory(tmp_path: Path) -> None:
    path = raw(tmp_path / "a", {}, length=2**40)
    tracemalloc.start()
    with pytest.raises(HeaderError, match="a header of 1,099,511,627,776 bytes"):
        read_header(path)
    assert tracemalloc.get_traced_memory()[1] < 100_000
    tracemalloc.stop()
    (tmp_path / "empty").touch()
    with pytest.raises(HeaderError, match="cut short"):
        read_header(tmp_path / "empty")
