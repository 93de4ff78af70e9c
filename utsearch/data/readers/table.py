"""A list of images: CSV with the columns path, label and, if wanted, split; or plain `path label` lines."""

import csv
from pathlib import Path

from utsearch.data.dataset import DataError
from utsearch.data.layout import text_lines
from utsearch.data.listing import SPLITS, Files, Listing, build
from utsearch.data.reader import Reader

LAYOUT = "a file with a header path,label[,split] or with `path label` lines; paths are relative to its folder"
SYNONYMS = {"training": "train", "valid": "val", "validation": "val", "testing": "test"}


def read(where: str) -> Listing:
    """The splits of the split column, or every image as train; labels may be words or numbers."""
    path = Path(where).expanduser()
    if not path.is_file():
        raise DataError(f"no file {where!r}; expected {LAYOUT}")
    lines = text_lines(path)
    rows = _columns(path, lines) if lines and "," in lines[0] else _plain(path, lines)
    splits: dict[str, list[tuple[str, str]]] = {}
    for name, label, part in rows:
        splits.setdefault(SYNONYMS.get(part, part), []).append((name, label))
    if not set(splits) <= set(SPLITS) or "train" not in splits:
        raise DataError(f"{path}: splits are {', '.join(splits) or 'missing'}; expected train, val and test")
    ordered = {part: splits[part] for part in SPLITS if part in splits}
    source = Files(path.parent)
    if all(label.isdecimal() for _, label, _ in rows):  # 2 before 10
        numbered = {part: [(name, int(label)) for name, label in found] for part, found in ordered.items()}
        return build(str(path), source, numbered, held_out=0.15, by_class=True)
    return build(str(path), source, ordered, held_out=0.15, by_class=True)


def _columns(path: Path, lines: list[str]) -> list[tuple[str, str, str]]:
    try:
        return _rows(path, lines)
    except csv.Error as error:
        raise DataError(f"{path}: {error}") from error


def _rows(path: Path, lines: list[str]) -> list[tuple[str, str, str]]:
    reader = csv.DictReader(lines, restkey="more", restval="")
    if not {"path", "label"} <= set(reader.fieldnames or ()):
        raise DataError(f"{path}: the columns are {lines[0]!r}; expected path,label or path,label,split")
    rows = [((row["path"] or "").strip(), (row["label"] or "").strip(), row.get("split") or "train") for row in reader]
    if not all(name and label for name, label, _ in rows):
        raise DataError(f"{path}: a row has no path or no label")
    return [(name, label, part.strip().lower()) for name, label, part in rows]


def _plain(path: Path, lines: list[str]) -> list[tuple[str, str, str]]:
    rows = [line.strip().rsplit(maxsplit=1) for line in lines]
    if wrong := [row for row in rows if len(row) != 2]:
        raise DataError(f"{path}: expected `path label`, got {' '.join(wrong[0])!r}")
    return [(name, label, "train") for name, label in rows]


READER = Reader(name="list", title="a CSV or list file", layout=LAYOUT, read=read)
