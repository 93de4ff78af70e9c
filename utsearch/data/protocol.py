"""The two ways of preprocessing in use for fine-grained sets, and the default of utsearch."""

from utsearch.data.dataset import DataError, Preprocessing

PROTOCOLS = ("vpt", "timm")


def default_preprocessing(img_size: int) -> Preprocessing:
    """Short side to the network's input and a margin of 1/16 to each side."""
    return Preprocessing(resize=img_size + 2 * max(1, img_size // 16), crop=img_size)


def preprocessing_of(
    protocol: str | None, img_size: int, *, crop_pct: float | None = None, interpolation: str | None = None
) -> Preprocessing | None:
    """The preprocessing that a protocol names; None stands for the data set's own default.

    `vpt` (Jia et al. 2022): short side to 256 for 224, bilinear. `timm`: the backbone's own evaluation: short side to
    ⌊img_size / crop_pct⌋ with the backbone's interpolation; 0.875 and bilinear where its configuration says nothing.

    Raises:
        DataError: unknown protocol, or an interpolation other than nearest, bilinear, bicubic and lanczos.
    """
    if not protocol:
        return None
    if protocol == "vpt":
        return Preprocessing(resize=round(img_size * 256 / 224), crop=img_size, protocol=protocol)
    if protocol == "timm":
        return Preprocessing(int(img_size / (crop_pct or 0.875)), img_size, interpolation or "bilinear", protocol)
    raise DataError(f"no protocol {protocol!r}; there are {', '.join(PROTOCOLS)}")
