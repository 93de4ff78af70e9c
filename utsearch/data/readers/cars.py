"""Stanford Cars (Krause et al. 2013): 196 models; the official layout, or a mirror with one folder a class."""

from pathlib import Path

from utsearch.data.dataset import DataError
from utsearch.data.layout import base_folder, images_by_class
from utsearch.data.listing import Files, Listing, build
from utsearch.data.matlab import mat_column, mat_file, mat_number
from utsearch.data.reader import Reader

LAYOUT = (
    "[stanford_cars/]devkit/cars_train_annos.mat, devkit/cars_meta.mat, cars_test_annos_withlabels.mat, cars_train/ "
    "and cars_test/; or a mirror with train/CLASS/IMAGE and test/CLASS/IMAGE"
)
MIRRORS = (".", "car_data", "car_data/car_data")


def read(where: str) -> Listing:
    """The official train and test; labels of the official layout count from 1."""
    root = Path(where).expanduser()
    for inner in MIRRORS:
        if (root / inner / "train").is_dir() and (root / inner / "test").is_dir():
            base = root / inner
            found = {part: images_by_class(base / part, base) for part in ("train", "test")}
            return build(str(base), Files(base), found)
    base = base_folder(where, "devkit", LAYOUT, ("stanford_cars",))
    meta = mat_column(mat_file(base / "devkit/cars_meta.mat"), "class_names", base / "devkit/cars_meta.mat")
    splits = {
        "train": _annotated(base, base / "devkit/cars_train_annos.mat", "cars_train"),
        "test": _annotated(base, _test_labels(base), "cars_test"),
    }
    if wrong := {label for found in splits.values() for _, label in found} - set(range(1, len(meta) + 1)):
        raise DataError(f"{base}: class {min(wrong)} is none of the {len(meta)} of cars_meta.mat; unpack the set again")
    return build(str(base), Files(base), splits, {i: str(name) for i, name in enumerate(meta, 1)})


def _test_labels(base: Path) -> Path:
    name = "cars_test_annos_withlabels.mat"
    for path in (base / name, base / "devkit" / name):
        if path.is_file():
            return path
    raise DataError(f"{base}: {name} is missing; the devkit's cars_test_annos.mat has no labels. Put it into {base}")


def _annotated(base: Path, path: Path, folder: str) -> list[tuple[str, int]]:
    """(path, label) of an annotation file; mirrors nest the folder of images once more."""
    inner = f"{folder}/{folder}" if (base / folder / folder).is_dir() else folder
    try:
        rows = [(str(row["fname"]), row["class"]) for row in mat_column(mat_file(path), "annotations", path)]
    except (IndexError, KeyError, TypeError, ValueError) as error:  # numpy's ways to say that there is no such field
        raise DataError(f"{path}: 'annotations' has no fields 'fname' and 'class'; unpack the set again") from error
    return [(f"{inner}/{name}", mat_number(label, "class", path)) for name, label in rows]


READER = Reader(
    name="cars",
    title="Stanford Cars",
    layout=LAYOUT,
    read=read,
    get="the official download is gone since 2023; look for 'stanford cars' on Kaggle, either layout, unpacked in ROOT",
    marker=("devkit/cars_meta.mat",),
    classes=196,
    official={"train": 8144, "test": 8041},
    notes=("mirrors of the class folders write a class name's slash as a dash or leave it out",),
)
