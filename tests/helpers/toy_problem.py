"""A problem that trains in a second: four classes told apart by where a bright square is."""

import torch

from utsearch.backbones import Backbone, load_backbone
from utsearch.data import Dataset, Preprocessing, Split
from utsearch.design import Design
from utsearch.training import Problem, Recipe

RECIPE = Recipe(epochs=4, rungs=(1, 2, 4), views=2, batch_size=16)
DESIGN = Design.parse("ffn:adapter(4)@all")


def toy_split(n: int, classes: int, seed: int) -> Split:
    """Classes are the position of a bright square: easy, but not for a frozen random head."""
    generator = torch.Generator().manual_seed(seed)
    pixels = torch.randint(0, 60, (n, 3, 72, 72), dtype=torch.uint8, generator=generator)
    labels = torch.arange(n) % classes
    for i, label in enumerate(labels.tolist()):
        pixels[i, :, 10 + 12 * label : 20 + 12 * label, 30:40] = 255
    return Split(pixels, labels)


def toy_problem(recipe: Recipe = RECIPE, device: str = "cpu") -> Problem:
    data = Dataset(
        name="toy",
        class_names=("a", "b", "c", "d"),
        preprocessing=Preprocessing(resize=64, crop=64),
        train=toy_split(64, 4, 0),
        val=toy_split(40, 4, 1),
        fingerprint="toy",
        synthetic=True,
        read_test=lambda: toy_split(40, 4, 2),
    )
    backbone: Backbone = load_backbone("vit_mini").to(torch.device(device))
    return Problem(backbone, data, recipe, torch.device(device))
