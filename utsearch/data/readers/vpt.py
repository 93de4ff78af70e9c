"""The json splits of Visual Prompt Tuning (Jia et al. 2022): {file: label}, one file a split."""

import os
from pathlib import Path

from utsearch.data.dataset import DataError
from utsearch.data.layout import base_folder, json_file, number
from utsearch.data.listing import Files, Listing, build
from utsearch.data.reader import Reader

LAYOUT = "train.json, val.json and test.json of {file: label}, and the images in ROOT, ROOT/images or ROOT/Images"


def read(where: str) -> Listing:
    """The splits that are there; the class map is that of their union, not of each file."""
    base = base_folder(where, "train.json", LAYOUT)
    found = {part: json_file(base / f"{part}.json") for part in ("train", "val", "test") if _exists(base, part)}
    prefix = _prefix(base, next(iter(found["train"]), ""))
    splits = {
        part: [(prefix + name, number(str(label), base / f"{part}.json")) for name, label in content.items()]
        for part, content in found.items()
    }
    return build(str(base), Files(base), splits)


def _exists(base: Path, part: str) -> bool:
    return (base / f"{part}.json").is_file()


def _prefix(base: Path, first: str) -> str:
    for prefix in ("", "images/", "Images/"):
        if os.path.isfile(base / prefix / first):  # unlike Path.is_file it takes names that no file can have
            return prefix
    raise DataError(f"{base}: the first image of train.json, {first!r}, is not in {base}, images/ or Images/")


READER = Reader(
    name="vpt",
    title="VPT's json splits",
    layout=LAYOUT,
    read=read,
    get="the json files go with VPT's code; put them beside the images of the official set",
    marker=("train.json", "test.json"),
)
