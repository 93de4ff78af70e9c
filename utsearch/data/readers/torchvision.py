"""Any classification set of torchvision that is on disk: `torchvision:NAME:ROOT`."""

from utsearch.data.library import listing, split_name, torchvision_split
from utsearch.data.listing import Listing
from utsearch.data.reader import Reader

LAYOUT = "torchvision:NAME:ROOT with NAME a class of torchvision.datasets and ROOT what that class expects"


def read(where: str) -> Listing:
    """The splits that torchvision gives; nothing is downloaded."""
    name, root = split_name(where, "torchvision")
    return listing(f"torchvision:{where}", lambda part: torchvision_split(name, root, part))


READER = Reader(
    name="torchvision",
    title="a torchvision set",
    layout=LAYOUT,
    read=read,
    get="torchvision.datasets.NAME(ROOT, download=True) in Python, where torchvision allows it",
)
