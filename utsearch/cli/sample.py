"""`sample`: write some images of a data set as files, to look at and to classify."""

from pathlib import Path
from typing import Annotated

import typer


def sample(
    dataset: Annotated[str, typer.Option(help="A synthetic set, or an image folder.")] = "mini-birds",
    out: Annotated[Path, typer.Option(help="Folder for the images.")] = Path("images"),
    n: Annotated[int, typer.Option("--number", "-n", min=1, help="How many validation images.")] = 8,
    size: Annotated[int, typer.Option(min=16, help="Side in pixels.")] = 64,
) -> None:
    """Write validation images of a data set as PNG files, named after their classes.

    Example: python cli.py sample --dataset mini-birds --out images
    """
    from PIL import Image

    from utsearch.data import centre_crop, open_dataset

    data = open_dataset(dataset, img_size=size)
    out.mkdir(parents=True, exist_ok=True)
    pixels = centre_crop(data.val.pixels[:n], size).permute(0, 2, 3, 1)
    for i, (image, label) in enumerate(zip(pixels, data.val.labels[:n].tolist(), strict=True)):
        name = data.class_names[label].replace("/", "-").replace(" ", "-")
        Image.fromarray(image.numpy()).save(out / f"{i:03d}-{name}.png")
    print(f"wrote {len(pixels)} validation images of {data.name} to {out}")
