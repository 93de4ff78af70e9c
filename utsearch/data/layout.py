"""What the readers share: finding the base folder, text tables, folders of classes."""

import json
from pathlib import Path
from typing import Any

from torchvision.datasets.folder import IMG_EXTENSIONS

from utsearch.data.dataset import DataError
from utsearch.files import read_within

MOST_TEXT = 256 * 2**20  # bytes of a list; one of a million images has a tenth


def base_folder(where: str, marker: str, layout: str, inside: tuple[str, ...] = ()) -> Path:
    """ROOT, or a folder of the given names below it, that holds the marker file.

    Raises:
        DataError: none does; the message shows the layout.
    """
    root = Path(where).expanduser()
    if not where or not root.is_dir():
        raise DataError(f"no folder {where!r}; expected {layout}")
    for candidate in (root, *(root / name for name in inside)):
        if (candidate / marker).exists():
            return candidate
    raise DataError(f"{root}: found no {marker}; expected {layout}")


def text_lines(path: Path) -> list[str]:
    """The lines of a UTF-8 file without blank ones; raises DataError where it cannot be read."""
    try:
        text = read_within(path, MOST_TEXT).decode("utf-8-sig")
        return [line for line in text.splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"cannot read {path} ({error}); unpack the set again") from error


def table(path: Path) -> dict[str, str]:
    """`key rest` lines as a mapping; the rest may hold blanks."""
    rows = [line.strip().split(maxsplit=1) for line in text_lines(path)]
    if wrong := [row for row in rows if len(row) != 2]:
        raise DataError(f"{path}: a line has no value: {' '.join(wrong[0])!r}")
    return dict(rows)


def number(text: str, path: Path) -> int:
    """An integer of a list file; raises DataError that names the file."""
    try:
        return int(text)
    except ValueError as error:
        raise DataError(f"{path}: expected a whole number, got {text[:50]!r}") from error


def json_file(path: Path) -> dict[str, Any]:
    """A JSON object; raises DataError where the file is something else."""
    try:
        content = json.loads(read_within(path, MOST_TEXT))
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"cannot read {path} ({error})") from error
    if not isinstance(content, dict):
        raise DataError(f"{path}: expected an object {{file: label}}, got a {type(content).__name__}")
    return content


def images_by_class(folder: Path, root: Path) -> list[tuple[str, str]]:
    """(path below root, name of the class) of every image in CLASS/… folders, sorted; hidden files are left out."""
    return [
        (path.relative_to(root).as_posix(), sub.name)
        for sub in sorted(folder.iterdir())
        if sub.is_dir() and not sub.name.startswith(".")
        for path in sorted(sub.rglob("*"))
        if path.suffix.lower() in IMG_EXTENSIONS and not path.name.startswith(".")
    ]


def birds(base: Path) -> tuple[dict[str, list[tuple[str, int]]], dict[int, str]]:
    """The layout that CUB and NABirds share: official splits with the classes' own ids, and the classes' names.

    Ids of images may be dashed and ids of classes need not be contiguous.
    """
    paths, labels = table(base / "images.txt"), table(base / "image_class_labels.txt")
    in_train = table(base / "train_test_split.txt")
    names = {number(key, base / "classes.txt"): name for key, name in table(base / "classes.txt").items()}
    splits: dict[str, list[tuple[str, int]]] = {"train": [], "test": []}
    for key, path in paths.items():
        if key not in labels or in_train.get(key) not in ("0", "1"):
            raise DataError(
                f"{base}: image {key} of images.txt has no label in image_class_labels.txt, or no 0 or 1 in "
                "train_test_split.txt; unpack the set again"
            )
        label = number(labels[key], base / "image_class_labels.txt")
        if label not in names:
            raise DataError(f"{base}: class {label} of image {key} is not in classes.txt; unpack the set again")
        splits["train" if in_train[key] == "1" else "test"].append((f"images/{path}", label))
    return splits, names
