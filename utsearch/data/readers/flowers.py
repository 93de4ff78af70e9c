"""Oxford Flowers 102 (Nilsback and Zisserman 2008)."""

from torchvision.datasets import Flowers102

from utsearch.data.dataset import DataError
from utsearch.data.layout import base_folder
from utsearch.data.listing import Files, Listing, build
from utsearch.data.matlab import mat_file, mat_numbers
from utsearch.data.reader import Archive, Reader

LAYOUT = "[flowers-102/]jpg/image_00001.jpg …, imagelabels.mat and setid.mat"
URL = "https://www.robots.ox.ac.uk/~vgg/data/flowers/102/"


def read(where: str) -> Listing:
    """The official train, val and test (trnid, valid, tstid); ids of images and classes count from 1."""
    base = base_folder(where, "setid.mat", LAYOUT, ("flowers-102",))
    labels = mat_numbers(mat_file(base / "imagelabels.mat"), "labels", base / "imagelabels.mat")
    ids = mat_file(base / "setid.mat")
    splits = {
        part: mat_numbers(ids, variable, base / "setid.mat")
        for part, variable in (("train", "trnid"), ("val", "valid"), ("test", "tstid"))
    }
    if wrong := [i for part in splits.values() for i in part if not 1 <= i <= len(labels)]:
        raise DataError(f"{base}: setid.mat names image {wrong[0]}, imagelabels.mat has {len(labels)} labels")
    names = dict(enumerate(getattr(Flowers102, "classes", ()), 1))  # older torchvision has no names
    return build(
        str(base),
        Files(base),
        {part: [(f"jpg/image_{i:05d}.jpg", labels[i - 1]) for i in chosen] for part, chosen in splits.items()},
        {label: names.get(label, str(label)) for label in labels},
    )


READER = Reader(
    name="flowers",
    title="Oxford Flowers 102",
    layout=LAYOUT,
    read=read,
    get=f"{URL}: 102flowers.tgz, imagelabels.mat and setid.mat, in ROOT/flowers-102",
    marker=("setid.mat", "imagelabels.mat"),
    classes=102,
    official={"train": 1020, "val": 1020, "test": 6149},
    notes=("test is unbalanced (20 to 238 images a class)",),
    archives=(
        Archive(f"{URL}102flowers.tgz", "52808999861908f626f3c1f4e79d11fa", "flowers-102"),
        Archive(f"{URL}imagelabels.mat", "e0620be6f572b9609742df49c70aed4d", "flowers-102", unpack=False),
        Archive(f"{URL}setid.mat", "a5357ecc9cb78c4bef273ce3793fc85c", "flowers-102", unpack=False),
    ),
)
