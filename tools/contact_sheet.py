"""Draw the picture of docs/mini.md: rows of validation images of each synthetic set.

python tools/contact_sheet.py docs/images/mini.png
"""

import sys

import torch
from PIL import Image

from utsearch.data import procedural

COLUMNS, ROWS = 12, 2


def main() -> None:
    """One band of rows for each set."""
    bands = []
    for name in procedural.NAMES:
        pixels, _ = procedural.render(name, "val", n=COLUMNS * ROWS)
        rows = pixels.reshape(ROWS, COLUMNS, 3, 64, 64).permute(0, 3, 1, 4, 2).reshape(ROWS * 64, COLUMNS * 64, 3)
        bands.append(rows)
    Image.fromarray(torch.cat(bands).numpy()).save(sys.argv[1], optimize=True)


if __name__ == "__main__":
    main()
