"""Stanford Dogs (Khosla et al. 2011): 120 breeds."""

from utsearch.data.dataset import DataError
from utsearch.data.layout import base_folder
from utsearch.data.listing import Files, Listing, build
from utsearch.data.matlab import mat_column, mat_file, mat_numbers
from utsearch.data.reader import Archive, Reader

LAYOUT = "[stanford_dogs/]Images/CLASS/IMAGE.jpg, train_list.mat and test_list.mat"
URL = "http://vision.stanford.edu/aditya86/ImageNetDogs/"


def read(where: str) -> Listing:
    """The official train and test; labels count from 1."""
    base = base_folder(where, "train_list.mat", LAYOUT, ("stanford_dogs",))
    splits: dict[str, list[tuple[str, int]]] = {}
    names: dict[int, str] = {}
    for part in ("train", "test"):
        path = base / f"{part}_list.mat"
        variables = mat_file(path)
        files = [str(name) for name in mat_column(variables, "file_list", path)]
        labels = mat_numbers(variables, "labels", path)
        if len(files) != len(labels):
            raise DataError(f"{path}: {len(files)} files and {len(labels)} labels; unpack the set again")
        splits[part] = [(f"Images/{name}", label) for name, label in zip(files, labels, strict=True)]
        names |= {
            label: name.split("/")[0].partition("-")[2] or name for name, label in zip(files, labels, strict=True)
        }
    return build(str(base), Files(base), splits, names)


READER = Reader(
    name="dogs",
    title="Stanford Dogs",
    layout=LAYOUT,
    read=read,
    get=f"{URL}: images.tar (750 MB) and lists.tar, unpacked in ROOT/stanford_dogs",
    marker=("train_list.mat", "test_list.mat"),
    classes=120,
    official={"train": 12000, "test": 8580},
    notes=(
        "its images, test included, come from ImageNet: a backbone trained on ImageNet-1k or -21k has seen them, "
        "so accuracies are too high and compare only between tuners of one backbone",
    ),
    archives=(
        Archive(f"{URL}images.tar", "1bb1f2a596ae7057f99d7d75860002ef", "stanford_dogs"),
        Archive(f"{URL}lists.tar", "edbb9f16854ec66506b5f09b583e0656", "stanford_dogs"),
    ),
)
