"""Any set of known length that timm's `create_dataset` opens: `timm:NAME:ROOT`."""

from typing import Any

from utsearch.data.library import listing, split_name
from utsearch.data.listing import Listing
from utsearch.data.reader import Reader

LAYOUT = "timm:NAME:ROOT as timm.data.create_dataset takes them, such as timm:folder:ROOT or timm:hfds/OWNER/SET:ROOT"
SPLITS = {"train": "train", "val": "validation", "test": "test"}


def read(where: str) -> Listing:
    """The splits that timm gives; where it falls back to the same files for another split, that split is left out."""
    name, root = split_name(where, "timm")

    def opened(part: str) -> Any:
        import timm.data

        library: Any = timm.data  # untyped
        return library.create_dataset("" if name == "folder" else name, root=str(root), split=SPLITS[part])

    return listing(f"timm:{where}", opened)


READER = Reader(
    name="timm",
    title="a set that timm opens",
    layout=LAYOUT,
    read=read,
    get="timm's documentation of create_dataset",
)
