"""An image folder as a data set: `[train|val|test]/CLASS/IMAGE`, or `CLASS/IMAGE` without splits."""

import hashlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from torchvision.datasets.folder import IMG_EXTENSIONS

from utsearch.data.dataset import DataError, Dataset, Preprocessing, Split
from utsearch.data.transform import fit

SPLITS = ("train", "val", "test")
HELD_OUT = 0.15  # share of each class that goes to val, and to test, where the folder has no such split

File = tuple[Path, int]  # an image and its label


def open_folder(root: Path, *, img_size: int, seed: int = 0) -> Dataset:
    """Read an image folder; splits that it lacks are drawn from train, stratified over the classes and seeded.

    Raises:
        DataError: no images, a single class, too few images to split, or a file that cannot be decoded.
    """
    preprocessing = Preprocessing(resize=img_size + 2 * max(1, img_size // 16), crop=img_size)
    class_names, files = _list(root)
    for part in ("test", "val"):
        if part not in files:
            files["train"], files[part] = _draw(files["train"], seed=seed, part=part, root=root)
    missing = set(range(len(class_names))) - {label for _, label in files["train"]}
    if missing:
        raise DataError(f"{root}: no training image of class {class_names[min(missing)]!r}")
    return Dataset(
        name=str(root),
        class_names=class_names,
        preprocessing=preprocessing,
        train=_decode(files["train"], preprocessing),
        val=_decode(files["val"], preprocessing),
        fingerprint=_fingerprint(root, files),
        synthetic=False,
        read_test=lambda: _decode(files["test"], preprocessing),
    )


def _list(root: Path) -> tuple[tuple[str, ...], dict[str, list[File]]]:
    """The classes of the union of the splits, and the labelled files of each split."""
    parts = [part for part in SPLITS if (root / part).is_dir()]
    if parts and "train" not in parts:
        raise DataError(f"{root} has {', '.join(parts)} but no train folder")
    folders = {part: root / part for part in parts} or {"train": root}
    found = {part: _images_by_class(folder) for part, folder in folders.items()}
    class_names = tuple(sorted({name for by_class in found.values() for name in by_class}))
    if len(class_names) < 2:
        raise DataError(
            f"{root}: found images of {len(class_names)} classes; expected at least 2 folders CLASS/ or train/CLASS/ "
            f"with {', '.join(sorted(IMG_EXTENSIONS))} files"
        )
    label = {name: i for i, name in enumerate(class_names)}
    return class_names, {
        part: [(path, label[name]) for name in sorted(by_class) for path in by_class[name]]
        for part, by_class in found.items()
    }


def _images_by_class(folder: Path) -> dict[str, list[Path]]:
    found = {
        sub.name: sorted(p for p in sub.rglob("*") if p.suffix.lower() in IMG_EXTENSIONS)
        for sub in sorted(folder.iterdir())
        if sub.is_dir() and not sub.name.startswith(".")
    }
    return {name: paths for name, paths in found.items() if paths}


def _draw(files: list[File], *, seed: int, part: str, root: Path) -> tuple[list[File], list[File]]:
    """Move a share of each class, at least one image, to another split."""
    rng = np.random.default_rng([seed, SPLITS.index(part)])
    held: set[int] = set()
    for label in sorted({label for _, label in files}):
        members = [i for i, (_, other) in enumerate(files) if other == label]
        if len(members) < 2:
            raise DataError(
                f"{root}: {files[members[0]][0].parent.name!r} has too few images to hold out a {part} split"
            )
        held.update(rng.permutation(members)[: max(1, round(HELD_OUT * len(members)))].tolist())
    return [f for i, f in enumerate(files) if i not in held], [f for i, f in enumerate(files) if i in held]


def _decode(files: list[File], preprocessing: Preprocessing) -> Split:
    with ThreadPoolExecutor() as pool:  # Pillow decodes outside of the interpreter's lock
        pixels = list(pool.map(lambda file: _read(file[0], preprocessing), files))
    return Split(torch.stack(pixels), torch.tensor([label for _, label in files]))


def _read(path: Path, preprocessing: Preprocessing) -> torch.Tensor:
    """One image as uint8 (3, resize, resize)."""
    try:
        with Image.open(path) as opened:
            return fit(opened, preprocessing.resize)
    except (OSError, UnidentifiedImageError, SyntaxError, Image.DecompressionBombError) as error:
        raise DataError(f"cannot read the image {path} ({error}); mend or remove it") from error


def _fingerprint(root: Path, files: dict[str, list[File]]) -> str:
    """Names, labels, splits and, for what the search sees, contents."""
    digest = hashlib.sha256()
    for part in SPLITS:
        for path, label in files[part]:
            digest.update(f"{part} {path.relative_to(root)} {label} {path.stat().st_size}\n".encode())
            if part != "test":
                digest.update(path.read_bytes())
    return digest.hexdigest()[:16]
