"""Official layouts in miniature, written image by image."""

import json
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.io import savemat


def write_image(path: Path, *, mode: str = "RGB", size: tuple[int, int] = (40, 30)) -> None:
    """Noise that depends on the path, so that no two images are equal."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(zlib.crc32(path.as_posix().encode()))
    Image.fromarray(rng.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)).convert(mode).save(path)


def write_birds(
    base: Path, images: Sequence[tuple[str, str, int, int]], class_names: Mapping[int, str], *, hierarchy: bool = False
) -> Path:
    """CUB or NABirds: (id, path, class id, 1 for train)."""
    base.mkdir(parents=True, exist_ok=True)
    for _, path, _, _ in images:
        write_image(base / "images" / path)
    (base / "images.txt").write_text("".join(f"{key} {path}\n" for key, path, _, _ in images))
    (base / "image_class_labels.txt").write_text("".join(f"{key} {label}\n" for key, _, label, _ in images))
    (base / "train_test_split.txt").write_text("".join(f"{key} {train}\n" for key, _, _, train in images))
    (base / "classes.txt").write_text("".join(f"{label} {name}\n" for label, name in class_names.items()))
    if hierarchy:
        (base / "hierarchy.txt").write_text("".join(f"{label} 0\n" for label in class_names))
    return base


def write_cub(base: Path, *, classes: int = 3, train: int = 5, test: int = 2) -> Path:
    """CUB-200-2011 with so many images of each class."""
    names = {c: f"{c:03d}.Kind_{c}" for c in range(1, classes + 1)}
    rows = [(name, label, int(i < train)) for label, name in names.items() for i in range(train + test)]
    images = [
        (str(n), f"{name}/{name[4:]}_{n:04d}.jpg", label, in_train) for n, (name, label, in_train) in enumerate(rows, 1)
    ]
    return write_birds(base, images, names)


def write_flowers(base: Path) -> Path:
    """Twelve flowers of two classes, shuffled as the official ids are."""
    labels = np.array([1, 2] * 6, dtype=np.uint8)
    for i in range(1, 13):
        write_image(base / f"jpg/image_{i:05d}.jpg")
    savemat(base / "imagelabels.mat", {"labels": labels[None]})
    ids = {"trnid": [12, 1, 3, 4], "valid": [2, 5], "tstid": [6, 7, 8, 9, 10, 11]}
    savemat(base / "setid.mat", {name: np.array([chosen]) for name, chosen in ids.items()})
    return base


def write_dogs(base: Path, *, train: int = 4, test: int = 2) -> Path:
    """Two breeds."""
    files: dict[str, list[tuple[str, int]]] = {"train": [], "test": []}
    for label, name in enumerate(("n02085620-Chihuahua", "n02085782-Japanese_spaniel"), 1):
        for i in range(train + test):
            path = f"{name}/{name.split('-')[0]}_{i}.jpg"
            write_image(base / "Images" / path)
            files["train" if i < train else "test"].append((path, label))
    for part, found in files.items():
        cells = np.empty((len(found), 1), dtype=object)
        cells[:, 0] = [path for path, _ in found]
        savemat(base / f"{part}_list.mat", {"file_list": cells, "labels": np.array([[label] for _, label in found])})
    return base


def write_cars(base: Path, *, test_labels: bool = True, nested: bool = False) -> Path:
    """Two models in the official layout; `nested` as some mirrors have the image folders."""
    (base / "devkit").mkdir(parents=True)
    names = np.empty((1, 2), dtype=object)
    names[0] = ["Acura RL Sedan 2012", "Ram C/V Cargo Van Minivan 2012"]
    savemat(base / "devkit/cars_meta.mat", {"class_names": names})
    for part, n in (("train", 6), ("test", 4)):
        folder = base / f"cars_{part}" / (f"cars_{part}" if nested else "")
        rows = [(f"{i:05d}.jpg", 1 + i % 2) for i in range(1, n + 1)]
        for name, _ in rows:
            write_image(folder / name)
        kind = [("bbox_x1", "i4"), ("class", "u1"), ("fname", "O")]
        annotations = np.array([[(1, label, name) for name, label in rows]], dtype=kind)
        path = base / ("devkit/cars_train_annos.mat" if part == "train" else "cars_test_annos_withlabels.mat")
        if part == "train" or test_labels:
            savemat(path, {"annotations": annotations})
    return base


def write_cifar100(base: Path, *, train: int = 40, test: int = 6) -> Path:
    """Records of two of the hundred classes: coarse label, fine label, red, green and blue planes."""
    base.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    for part, n in (("train", train), ("test", test)):
        labels = np.stack([np.full(n, 19), np.where(np.arange(n) % 2, 7, 93)], 1).astype(np.uint8)
        pixels = rng.integers(0, 256, (n, 3072), dtype=np.uint8)
        (base / f"{part}.bin").write_bytes(np.concatenate([labels, pixels], 1).tobytes())
    (base / "fine_label_names.txt").write_text("".join(f"class_{i}\n" for i in range(100)))
    return base


def write_vtab(base: Path) -> Path:
    """Lists of a task where class 2 is in test alone."""
    lists = {"train800": [0, 1] * 3, "val200": [1, 0], "train800val200": [0, 1] * 4, "test": [2, 0, 1]}
    for name, labels in lists.items():
        if name == "train800val200":
            continue
        rows = [(f"images/{name}/my {i}.png", label) for i, label in enumerate(labels)]
        for path, _ in rows:
            write_image(base / path)
        (base / f"{name}.txt").write_text("".join(f"{path} {label}\n" for path, label in rows))
    return base


def write_vpt(base: Path) -> Path:
    """Json splits whose labels are not contiguous, and of which val lacks one."""
    splits = {"train": [1, 5, 9, 1, 5, 9], "val": [9, 1], "test": [5, 5, 9]}
    for part, labels in splits.items():
        rows = {f"{part}_{i}.jpg": label for i, label in enumerate(labels)}
        for name in rows:
            write_image(base / "images" / name)
        (base / f"{part}.json").write_text(json.dumps(rows))
    return base
