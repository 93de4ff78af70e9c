"""One data set: three splits that never overlap, of which the search sees two."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

from torch import Tensor

from utsearch.errors import UserError

INTERPOLATIONS = ("nearest", "bilinear", "bicubic", "lanczos")


class DataError(UserError):
    """The data set is missing, empty, broken or unknown."""


@dataclass(frozen=True)
class Split:
    """Decoded images of one split.

    Attributes:
        pixels: uint8, (images, 3, side, side); the side is `Preprocessing.resize`, or `crop` plus a mirrored margin.
        labels: int64, (images,), indices into `Dataset.class_names`.
    """

    pixels: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class Preprocessing:
    """What happens to an image before the network: short side to `resize`, centre crop to `crop` (pixels).

    `interpolation` is nearest, bilinear, bicubic or lanczos, with antialiasing as Pillow does; `protocol` is the name
    of the protocol it follows, empty for utsearch's own.
    """

    resize: int
    crop: int
    interpolation: str = "bilinear"
    protocol: str = ""

    def __post_init__(self) -> None:
        """Raise DataError for what cannot be done."""
        if self.interpolation not in INTERPOLATIONS:
            raise DataError(f"no interpolation {self.interpolation!r}; there are {', '.join(INTERPOLATIONS)}")
        if not 0 < self.crop <= self.resize:
            raise DataError(f"cannot crop {self.crop} px from {self.resize} px")

    def describe(self) -> dict[str, Any]:
        """For the records; what is as usual goes without saying."""
        return {name: value for name, value in asdict(self).items() if value not in ("bilinear", "")}

    @property
    def margin(self) -> int:
        """How far a training crop may move from the centre, in pixels (the field's 256 for 224 is 16)."""
        return max(1, self.crop // 16)


Progress = Callable[[str, int, int], None]  # what is done, how many are done, of how many


@dataclass(frozen=True)
class Dataset:
    """Train and val are open; test is opened by `read_test` alone, which only a final evaluation calls.

    `check_test` raises Unreadable where a test image cannot be decoded, and lets nothing else of test out: a set
    cannot be mended after a search, since its fingerprint would be another.

    `fingerprint` covers files, labels, splits and subset (for a synthetic set: its version, seed and sizes); `subset`
    is what was asked for (`Subset.describe`), empty for the whole set.
    """

    name: str
    class_names: tuple[str, ...]
    preprocessing: Preprocessing
    train: Split
    val: Split
    fingerprint: str
    synthetic: bool
    read_test: Callable[[], Split]
    check_test: Callable[[Progress], None] = lambda progress: None
    subset: dict[str, int | float] = field(default_factory=dict)

    @property
    def n_classes(self) -> int:
        """Number of classes in the union of the splits."""
        return len(self.class_names)
