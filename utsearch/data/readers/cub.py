"""CUB-200-2011 (Wah et al. 2011): 200 species of birds."""

from utsearch.data.layout import base_folder, birds
from utsearch.data.listing import Files, Listing, build
from utsearch.data.reader import Archive, Reader

LAYOUT = "[CUB_200_2011/]images.txt, image_class_labels.txt, train_test_split.txt, classes.txt and images/"


def read(where: str) -> Listing:
    """The official train and test; ids of images and classes count from 1."""
    base = base_folder(where, "image_class_labels.txt", LAYOUT, ("CUB_200_2011",))
    splits, names = birds(base)
    return build(str(base), Files(base), splits, names)


READER = Reader(
    name="cub",
    title="CUB-200-2011",
    layout=LAYOUT,
    read=read,
    get="https://data.caltech.edu/records/65de6-vp158, CUB_200_2011.tgz (1.1 GB), unpacked below ROOT",
    marker=("image_class_labels.txt", "images/001.*"),
    classes=200,
    official={"train": 5994, "test": 5794},
    notes=("some of its images are in ImageNet too",),
    archives=(
        Archive(
            "https://data.caltech.edu/records/65de6-vp158/files/CUB_200_2011.tgz", "97eceeb196236b17998738112f37df78"
        ),
    ),
)
