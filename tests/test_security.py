"""What a stranger's export, study, list or archive must not do."""

import contextlib
import io
import json
import os
import tarfile
import tracemalloc
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from image_trees import write_image, write_vpt
from PIL import Image
from safetensors.torch import save_file
from scipy.io import savemat

from utsearch.backbones import load_backbone
from utsearch.data import DataError, Preprocessing
from utsearch.data.fetch import unpack
from utsearch.data.images import read_image
from utsearch.data.listing import Files
from utsearch.data.matlab import MOST_UNPACKED, mat_file
from utsearch.data.readers import reader
from utsearch.design import Design, DesignError
from utsearch.export import CARD, WEIGHTS, ExportError, load
from utsearch.files import read_within
from utsearch.forms import info
from utsearch.space import load_space
from utsearch.space_file import SpaceError

CRUMBS = 20_000_000  # bytes: what reading may take where the input claims gigabytes


@pytest.fixture
def export(tmp_path: Path) -> Path:
    """Weights of ten numbers that say they belong to a design."""
    backbone = load_backbone()
    card = {
        "format": 1,
        "design": "vera(16384)",
        "backbone": {
            "name": backbone.name,
            "weights": backbone.weights,
            "fingerprint": backbone.fingerprint,
            "img_size": backbone.img_size,
        },
        "class_names": ["a", "b"],
        "preprocessing": {"resize": 72, "crop": 64, "mean": [0.5] * 3, "std": [0.5] * 3},
        "metrics": dict.fromkeys(("val_top1", "standard_error", "n_params", "n_head", "epoch", "seconds", "seeds"), 1),
        "provenance": {},
    }
    (tmp_path / CARD).write_text(json.dumps(card))
    save_file({"tuner.a": torch.zeros(10)}, tmp_path / WEIGHTS)
    return tmp_path


def with_design(folder: Path, design: str) -> Path:
    card = json.loads((folder / CARD).read_text())
    (folder / CARD).write_text(json.dumps(card | {"design": design}))
    return folder


@pytest.mark.parametrize(
    "design", ["linears:lora(16384)", "mha:prefix(16384)", "linears:vera(16384)", "linears:glora(9999)"]
)
def test_an_exports_design_takes_no_memory_that_its_file_does_not_bear_out(export: Path, design: str) -> None:
    with_design(export, design)
    import resource

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(ExportError, match=r"holds 10 values of tuners, the design has [0-9,]+$"):
        load(export)
    assert 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) < 5 * CRUMBS


def test_names_and_shapes_are_compared_before_the_tensors_are_read(
    export: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("utsearch.export.load_file", lambda path: pytest.fail("tensors were read"))
    with_design(export, "linear")
    with pytest.raises(ExportError, match="does not fit the design 'linear': head"):
        load(export)


@pytest.mark.parametrize("target", ["/dev/zero", "/etc/passwd", "../secret", WEIGHTS])
def test_links_out_of_an_export_are_not_followed(export: Path, target: str) -> None:
    (export.parent / "secret").write_text("{}")
    for name in (CARD, WEIGHTS):
        content = (export / name).read_bytes()
        (export / name).unlink()
        (export / name).symlink_to(target)
        with pytest.raises(ExportError):
            load(export)
        (export / name).unlink()
        (export / name).write_bytes(content)


def test_a_pipe_or_a_device_is_no_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/zero")):
        with pytest.raises(OSError, match="no plain file"):
            read_within(path, 10)
    (tmp_path / "long").write_bytes(b"x" * 11)
    with pytest.raises(OSError, match="more than the 10 bytes"):
        read_within(tmp_path / "long", 10)
    assert read_within(tmp_path / "long", 11) == b"x" * 11


@pytest.mark.parametrize(
    "text",
    ["ffn:lora(1000000000)", f"ffn:lora({'9' * 5000})", f"ffn:adapter(8, scale={'9' * 5000})", "ffn:lora(8) + " * 9000],
)
def test_a_design_that_asks_for_the_impossible_is_refused(text: str) -> None:
    with pytest.raises(DesignError):
        Design.parse(text)


@pytest.mark.parametrize(
    "text",
    [f"a = {'[' * 100_000}", f"a = {'9' * 5000}", "a = " + "{b=" * 50_000, "x" * (2**20 + 1)],
    ids=["brackets", "digits", "tables", "size"],
)
def test_a_space_of_endless_brackets_or_digits_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "space.toml").write_text(text)
    with pytest.raises(SpaceError):
        load_space(str(tmp_path / "space.toml"), info())


@pytest.mark.parametrize("name", ["../outside.png", "a/../../outside.png", "nul\0.png", "\ud800.png"])
def test_no_list_leads_out_of_its_folder(name: str, tmp_path: Path) -> None:
    base = write_vpt(tmp_path / "set")
    write_image(tmp_path / "outside.png")
    labels = json.loads((base / "train.json").read_text())
    (base / "train.json").write_text(json.dumps(labels | {name: 1}))
    with pytest.raises(DataError, match="correct the list"):
        reader("vpt").read(str(base))


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("size", [(20_000, 20_000), (12_000, 12_000)])
def test_an_image_of_too_many_pixels_is_refused_before_it_is_decoded(size: tuple[int, int], tmp_path: Path) -> None:
    Image.new("1", size).save(tmp_path / "bomb.png")
    assert (tmp_path / "bomb.png").stat().st_size < 100_000
    tracemalloc.start()
    with pytest.raises(DataError, match=r"bomb\.png .*pixels"):
        read_image(Files(tmp_path), "bomb.png", Preprocessing(32, 32))
    assert tracemalloc.get_traced_memory()[1] < CRUMBS
    tracemalloc.stop()


def test_a_chunk_that_claims_gigabytes_takes_no_memory(tmp_path: Path) -> None:
    """Pillow skips the rest of a PNG's data in one read of what the chunk says it holds."""
    Image.new("RGB", (8, 8), "teal").save(tmp_path / "good.png")
    content = bytearray((tmp_path / "good.png").read_bytes())
    at = content.index(b"IDAT")
    content[at - 4 : at] = (2**31 - 16).to_bytes(4, "big")
    (tmp_path / "claims.png").write_bytes(content)
    tracemalloc.start()
    with contextlib.suppress(DataError):
        read_image(Files(tmp_path), "claims.png", Preprocessing(32, 32))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < CRUMBS


def test_a_list_of_absolute_paths_is_refused(tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text("path,label\n/etc/passwd,a\nb.png,b\n")
    with pytest.raises(DataError, match="'/etc/passwd' is a path that leaves the folder"):
        reader("list").read(str(tmp_path / "list.csv"))


def mat(path: Path, **variables: object) -> bytes:
    savemat(path, variables)
    return path.read_bytes()


def test_a_mat_file_holds_what_it_claims(tmp_path: Path) -> None:
    cells = np.empty((1, 2), dtype=object)
    cells[0] = ["é", "two"]
    entries = np.array([[(1, "x.jpg")] * 3], dtype=[("class", "u1"), ("fname", "O")])
    for packed in (False, True):
        savemat(
            tmp_path / "a.mat",
            {"cells": cells, "entries": entries, "z": np.ones((2, 3), complex)},
            do_compression=packed,
        )
        found = mat_file(tmp_path / "a.mat")
        assert list(found["cells"]) == ["é", "two"]
        assert [str(row["fname"]) for row in found["entries"]] == ["x.jpg"] * 3
        assert found["z"].shape == (2, 3)


@pytest.mark.parametrize("kind", ["numbers", "cells"])
def test_a_mat_file_that_claims_a_billion_entries_takes_no_memory(kind: str, tmp_path: Path) -> None:
    cells = np.empty((1, 7), dtype=object)
    cells[0] = "x"
    content = mat(tmp_path / "a.mat", labels=np.arange(7.0)[None] if kind == "numbers" else cells)
    honest = (1).to_bytes(4, "little") + (7).to_bytes(4, "little")
    assert content.count(honest) == 1
    (tmp_path / "a.mat").write_bytes(content.replace(honest, (10**5).to_bytes(4, "little") * 2))
    tracemalloc.start()
    with pytest.raises(DataError, match="10,000,000,000"):
        mat_file(tmp_path / "a.mat")
    assert tracemalloc.get_traced_memory()[1] < CRUMBS
    tracemalloc.stop()


def test_a_mat_file_that_unpacks_to_gigabytes_is_refused(tmp_path: Path) -> None:
    content = mat(tmp_path / "a.mat", labels=np.arange(7))
    packed = zlib.compress(bytes(2 * MOST_UNPACKED))
    head = (15).to_bytes(4, "little") + len(packed).to_bytes(4, "little")
    (tmp_path / "a.mat").write_bytes(content[:128] + head + packed)
    with pytest.raises(DataError, match="unpacks to more than 64 MB"):
        mat_file(tmp_path / "a.mat")


def tar(path: Path, member: tarfile.TarInfo, content: bytes = b"x") -> Path:
    with tarfile.open(path, "w") as archive:
        member.size = len(content) if member.isreg() else 0
        archive.addfile(member, io.BytesIO(content))
    return path


def link(name: str, target: str, kind: bytes = tarfile.SYMTYPE) -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    made.type, made.linkname = kind, target
    return made


@pytest.mark.parametrize(
    "member",
    [
        tarfile.TarInfo("../outside"),
        link("a", "/etc/passwd"),
        link("a", "../../outside"),
        link("a", "../outside", tarfile.LNKTYPE),
        link("a", "", tarfile.FIFOTYPE),
        link("a", "", tarfile.CHRTYPE),
    ],
    ids=["path", "absolute link", "link", "hard link", "pipe", "device"],
)
def test_an_archive_stays_in_its_folder(member: tarfile.TarInfo, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot unpack"):
        unpack(tar(tmp_path / "a.tar", member), tmp_path / "set")
    assert {path.name for path in tmp_path.rglob("*")} == {"a.tar", "set"}
