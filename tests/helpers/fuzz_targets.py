"""What strangers may hand over, broken at random: each target makes an input from a seed and reads it.

A reader may refuse an input with a UserError and with nothing else. `benchmarks/fuzz.py` runs many seeds under limits
of memory and time, `tests/test_fuzz.py` a few.
"""

import json
import os
import random
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, Protocol

import torch
from fuzz_study import StudyTarget
from image_trees import write_cars, write_cifar100, write_cub, write_dogs, write_flowers, write_vpt, write_vtab
from PIL import Image
from safetensors.torch import save_file

from utsearch.backbones import GROUPS, Backbone, load_backbone
from utsearch.data import Preprocessing
from utsearch.data.images import read_image
from utsearch.data.listing import Files
from utsearch.data.readers import reader
from utsearch.design import Design
from utsearch.export import CARD, WEIGHTS
from utsearch.forms import catalogue, info
from utsearch.space import load_space
from utsearch.space_file import spaces
from utsearch.tuning import attach, resolve

HUGE = ("0", "-1", "1", "65535", "4294967295", "9" * 15, "9" * 30, "9" * 5000, "1e999", "-1e-999", "nan", "inf", "0x10")
ODD = ("", " ", "\0", "\n", "\r", "\t", "é", "٣", "\u2028", "\ufeff", "\ud800", "../", "/etc/passwd", "a" * 300, '"')
ODD_BYTES = tuple(word.encode("utf-8", "surrogatepass") for word in (*HUGE, *ODD))


class Target(Protocol):
    """Makes an input in a folder from a seed and reads it."""

    def __call__(self, rng: random.Random) -> None:
        """Raises UserError, or nothing."""


def bent(content: bytes, rng: random.Random, words: Sequence[bytes] = ODD_BYTES) -> bytes:
    """Some bytes changed, cut, doubled, moved or replaced."""
    data = bytearray(content)
    for _ in range(rng.choice((1, 1, 1, 2, 3, 8))):
        at = rng.randrange(len(data) + 1)
        end = min(len(data), at + rng.choice((0, 1, 1, 2, 4, 8, 40)))
        kind = rng.randrange(7)
        if kind == 0 and at < len(data):
            data[at] ^= 1 << rng.randrange(8)
        elif kind == 1:
            data[at:end] = rng.randbytes(end - at)
        elif kind == 2:
            del data[at:end]
        elif kind == 3:
            data[at:at] = data[at:end] * rng.choice((1, 2, 50))
        elif kind == 4:
            data[at:end] = rng.choice(words)
        elif kind == 5 and end - at in (1, 2, 4, 8):
            data[at:end] = rng.choice((0, 1, 2**31 - 1, 2**32 - 1, 255, 14)).to_bytes(8, "little")[: end - at]
        elif kind == 6 and rng.random() < 0.2:
            del data[at:]
    return bytes(data)


class DesignTarget:
    """Texts of the grammar's pieces, and broken designs; those that are read are resolved too."""

    def __init__(self, folder: Path) -> None:
        self._backbone = load_backbone()
        forms, sites = [*catalogue()], [*self._backbone.sites, *GROUPS, "moon"]
        options = ["act=relu", "gate=sigmoid", "insert=sequential", "scale=", "kernel=3", "alpha=1e9"]
        self._pieces = [
            *forms,
            *sites,
            *options,
            *"+:@|(),=",
            " ",
            "0-5",
            "all",
            "last/2",
            "first/",
            "linear",
            *HUGE,
            *ODD,
        ]
        self._known = ["mha:prefix(10) + ffn:adapter(8, act=relu)@last/2", "qkv:lora(8)", "linears:lora(4)@0,3,6-9"]

    def __call__(self, rng: random.Random) -> None:
        if rng.random() < 0.5:
            text = "".join(rng.choice(self._pieces) for _ in range(rng.choice((1, 5, 12, 300))))
        else:
            text = bent(rng.choice(self._known).encode(), rng).decode("utf-8", "replace")
        design = Design.parse(text)
        assert Design.parse(str(design)) == design
        resolve(design, self._backbone)


class SpaceTarget:
    """The shipped spaces, broken, and nested brackets."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "space.toml"
        self._known = [path.read_bytes() for path in spaces().values()]
        backbone = load_backbone()
        self._sites = {*backbone.sites, *GROUPS}
        self._words = [*ODD_BYTES, b"[" * 3000, b"{a=" * 2000, b"rank = [", b"[slots.x]\n", b"[" + b"1," * 2000 + b"]"]

    def __call__(self, rng: random.Random) -> None:
        self._path.write_bytes(bent(rng.choice(self._known), rng, self._words))
        space = load_space(str(self._path), info(), self._sites)
        for _, (_, _, design) in zip(range(20), space.examples(), strict=False):
            assert Design.parse(str(design)) == design


class ExportTarget:
    """An export of the small network with a broken card, broken weights, or links instead of files."""

    def __init__(self, folder: Path) -> None:
        import utsearch.export

        self._folder = folder / "export"
        self._folder.mkdir()
        self._backbone = load_backbone()
        self._card = _card(self._backbone)
        tuned = attach(load_backbone(), self._card["design"])
        tensors = {f"tuner.{k}": v.contiguous() for k, v in tuned.state_dict().items()}
        tensors |= {"head.weight": torch.zeros(2, self._backbone.width), "head.bias": torch.zeros(2)}
        save_file(tensors, folder / "weights")
        self._weights = (folder / "weights").read_bytes()
        self._words = [
            *ODD_BYTES,
            b"lora(16384)",
            b"@all",
            b"vera(9999)",
            b"[" * 3000,
            b'"F64"',
            b'"shape":[1000000000]',
        ]
        self._load = utsearch.export.load

    def __call__(self, rng: random.Random) -> None:
        card, weights = json.dumps(self._card).encode(), self._weights
        part = rng.randrange(4)
        if part in (0, 2):
            card = bent(card, rng, self._words)
        if part in (1, 2):  # mostly the header: it is the only part with a meaning
            length = 8 + int.from_bytes(weights[:8], "little")
            weights = bent(weights[:length], rng, self._words) + weights[length:]
        if part == 3:
            weights = bent(weights, rng, self._words)
        for name, content in ((CARD, card), (WEIGHTS, weights)):
            path = self._folder / name
            path.unlink(missing_ok=True)
            if rng.random() < 0.01:
                path.symlink_to(rng.choice(("/dev/zero", "/etc/passwd", name, "..")))
            elif rng.random() < 0.002:
                os.mkfifo(path)
            else:
                path.write_bytes(content)
        self._load(self._folder)


def _card(backbone: Backbone) -> dict[str, Any]:
    return {
        "format": 1,
        "design": "qkv:lora(2)@0-1",
        "backbone": {
            "name": backbone.name,
            "weights": backbone.weights,
            "fingerprint": backbone.fingerprint,
            "img_size": backbone.img_size,
            "pool": None,
        },
        "class_names": ["a", "b"],
        "preprocessing": {"resize": 72, "crop": 64, "mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]},
        "metrics": {
            "val_top1": 0.5,
            "standard_error": 0.1,
            "n_params": 9,
            "n_head": 9,
            "epoch": 1,
            "seconds": 1.0,
            "seeds": 1,
        },
        "provenance": {},
    }


class ListTarget:
    """A data set whose lists are broken, one or two of them at a time."""

    def __init__(
        self, folder: Path, name: str, write: Callable[[Path], Any], files: str, words: Sequence[bytes]
    ) -> None:
        self._base = folder / name
        write(self._base)
        self._read = reader(name).read
        self._files = {path: path.read_bytes() for path in sorted(self._base.rglob(files))}
        self._words = [*ODD_BYTES, *words]

    def where(self) -> str:
        """What the reader is given."""
        return str(self._base)

    def bend(self, content: bytes, rng: random.Random) -> bytes:
        """A broken list."""
        return bent(content, rng, self._words)

    def __call__(self, rng: random.Random) -> None:
        chosen = rng.sample(sorted(self._files), min(len(self._files), rng.choice((1, 1, 2))))
        for path in chosen:
            path.write_bytes(self.bend(self._files[path], rng))
        try:
            listing = self._read(self.where())
            samples = [sample for split in listing.splits.values() for sample in split]
            assert {sample.label for sample in samples} == set(range(len(listing.class_names)))
            root = os.path.abspath(listing.source.root) if isinstance(listing.source, Files) else ""
            assert all(os.path.abspath(f"{root}/{sample.name}").startswith(root) for sample in samples)
        finally:
            for path in chosen:
                path.write_bytes(self._files[path])


class TableTarget(ListTarget):
    """A CSV or list file, which is named itself."""

    def where(self) -> str:
        (path,) = self._files
        return str(path)


class MatTarget(ListTarget):
    """MATLAB files, broken outside and inside of their compression."""

    def bend(self, content: bytes, rng: random.Random) -> bytes:
        if rng.random() < 0.3:
            return bent(content, rng, self._words)
        body = bent(content[128:], rng, self._words)
        if rng.random() < 0.5:
            packed = zlib.compress(body)
            body = (15).to_bytes(4, "little") + len(packed).to_bytes(4, "little") + packed
        return content[:128] + body


class ImageTarget:
    """Small images of many formats, broken."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "image"
        image = Image.radial_gradient("L").resize((40, 30)).convert("RGB")
        self._known = []
        for kind in ("PNG", "JPEG", "GIF", "BMP", "TIFF", "PPM", "WEBP"):
            out = BytesIO()
            image.save(out, kind)
            self._known.append(out.getvalue())
        self._words = [*ODD_BYTES, b"\xff\xff\xff\xff", b"\x00\x01\x00\x00", b"P5 60000 60000 65535\n"]
        self._preprocessing = Preprocessing(32, 32)

    def __call__(self, rng: random.Random) -> None:
        self._path.write_bytes(bent(rng.choice(self._known), rng, self._words))
        assert read_image(Files(self._path.parent), self._path.name, self._preprocessing).shape == (3, 32, 32)


def _write_table(base: Path) -> None:
    base.mkdir()
    rows = [f"images/{i}.png,{'ab'[i % 2]},{('train', 'val', 'test')[i % 3]}" for i in range(12)]
    (base / "list.csv").write_text("path,label,split\n" + "\n".join(rows) + "\n")


def _write_cifar100(base: Path) -> None:
    write_cifar100(base, train=2, test=2)


@dataclass(frozen=True)
class Maker:
    """A target by name."""

    name: str
    make: Callable[[Path], Target]


_PATHS = (b"../../x.jpg", b"/etc/passwd", b" 99999999999999999999", b"\n\n", b"1 2 3")
MAKERS = {
    maker.name: maker
    for maker in (
        Maker("design", DesignTarget),
        Maker("space", SpaceTarget),
        Maker("export", ExportTarget),
        Maker("cub", lambda folder: ListTarget(folder, "cub", write_cub, "*.txt", _PATHS)),
        Maker(
            "vpt",
            lambda folder: ListTarget(folder, "vpt", write_vpt, "*.json", (*_PATHS, b"[" * 3000, b'{"a":' * 3000)),
        ),
        Maker("vtab", lambda folder: ListTarget(folder, "vtab", write_vtab, "*.txt", _PATHS)),
        Maker("table", lambda folder: TableTarget(folder, "list", _write_table, "*.csv", (*_PATHS, b",,,,", b'"\n'))),
        Maker("cifar100", lambda folder: ListTarget(folder, "cifar100", _write_cifar100, "*", (b"x" * 3074,))),
        Maker("flowers", lambda folder: MatTarget(folder, "flowers", write_flowers, "*.mat", ())),
        Maker("dogs", lambda folder: MatTarget(folder, "dogs", write_dogs, "*.mat", ())),
        Maker("cars", lambda folder: MatTarget(folder, "cars", write_cars, "*.mat", ())),
        Maker("image", ImageTarget),
        Maker("study", StudyTarget),
    )
}
