"""A reader: how one official layout is read, what it should hold and where it comes from."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from utsearch.data.listing import Listing


@dataclass(frozen=True)
class Archive:
    """A file to download and unpack, or to keep as it is.

    Attributes:
        url: http(s) address.
        md5: the publisher's checksum, 32 hex digits.
        folder: below the root, where it goes; empty for the root itself.
        unpack: whether it is a tar file.
    """

    url: str
    md5: str
    folder: str = ""
    unpack: bool = True


@dataclass(frozen=True)
class Reader:
    """One layout on disk.

    Attributes:
        name: as in `NAME:ROOT`.
        title: what the set is called, in words.
        layout: what has to be below ROOT.
        read: lists the set at ROOT; raises DataError that names what is missing.
        get: where to get the set, in one line.
        marker: glob patterns of files that show the layout, by which a plain folder is recognised.
        classes: official number of classes; 0 where there is none.
        official: official number of images by split, as the set itself gives the splits.
        notes: what one should know before using it.
        archives: what `data fetch` downloads; empty where the source does not allow it.
    """

    name: str
    title: str
    layout: str
    read: Callable[[str], Listing]
    get: str = ""
    marker: tuple[str, ...] = ()
    classes: int = 0
    official: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    archives: tuple[Archive, ...] = ()
