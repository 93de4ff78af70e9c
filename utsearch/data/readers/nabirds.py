"""NABirds (Van Horn et al. 2015): 555 visual categories of North American birds."""

from utsearch.data.layout import base_folder, birds
from utsearch.data.listing import Files, Listing, build
from utsearch.data.reader import Reader

LAYOUT = "[nabirds/]images.txt, image_class_labels.txt, train_test_split.txt, classes.txt, hierarchy.txt and images/"


def read(where: str) -> Listing:
    """The official train and test; of the 1,011 nodes of classes.txt only those that occur as labels are classes."""
    base = base_folder(where, "hierarchy.txt", LAYOUT, ("nabirds",))
    splits, names = birds(base)
    return build(str(base), Files(base), splits, names)


READER = Reader(
    name="nabirds",
    title="NABirds",
    layout=LAYOUT,
    read=read,
    get="https://dl.allaboutbirds.org/nabirds, after accepting its terms (9 GB), unpacked below ROOT",
    marker=("hierarchy.txt", "image_class_labels.txt"),
    classes=555,
    official={"train": 23929, "test": 24633},
    notes=("class ids are not contiguous: they are numbered anew, in their own order",),
)
