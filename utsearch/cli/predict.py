"""`predict`: classify image files with an exported tuner."""

from pathlib import Path
from typing import Annotated

import typer

from utsearch.cli.options import Device


def predict(
    folder: Annotated[Path, typer.Argument(help="A folder that `export` wrote.")],
    images: Annotated[list[Path], typer.Argument(help="Image files.")],
    top: Annotated[int, typer.Option(min=1, help="How many classes to print for each image.")] = 3,
    device: Device = "auto",
) -> None:
    """Classify image files with an exported tuner.

    Example: python cli.py predict my-tuner images/*.png
    """
    from utsearch.export import load
    from utsearch.training import choose_device

    loaded = load(folder, device=choose_device(device))
    for path in images:
        ranked = loaded.classify(path)[:top]
        print(f"{path}: " + ", ".join(f"{name} {100 * probability:.1f}%" for name, probability in ranked))
