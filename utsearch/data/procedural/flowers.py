"""mini-flowers: one blossom from above; petals, their edge and marks, centre and sepals tell the classes apart."""

import torch
from torch import Tensor

from utsearch.data.procedural.canvas import Draws, Frame, mix, paint
from utsearch.data.procedural.genus import Genus, Traits, pick
from utsearch.data.procedural.scene import backdrop, clutter, photograph

TRAITS = {
    "petals": ("five-petalled", "six-petalled", "seven-petalled", "eight-petalled", "ten-petalled"),
    "shape": ("broad", "narrow", "heart-shaped"),
    "edge": ("", "fringed", "rimmed"),
    "mark": ("", "veined", "eyed", "dotted"),
    "centre": ("", "seeded", "ringed", "starred"),
    "sepals": ("", "sepalled"),
}


def paint_flowers(traits: Traits, draws: Draws) -> Tensor:
    """Blossoms among leaves; hue, tilt, light and what lies over them say nothing of the class."""
    n = len(draws)
    image = backdrop(draws, draws.colour(0.05, 0.5), draws.colour(0.2, 0.8))
    image = clutter(image, draws, draws.colour(0.05, 0.5), draws.colour(0.2, 0.7), 6, thin=False)
    image = clutter(image, draws, draws.colour(0.05, 0.5), draws.colour(0.2, 0.7), 2, thin=True)
    frame = Frame.of_image(n).placed(
        draws.uniform(-0.12, 0.12), draws.uniform(-0.12, 0.12), draws.uniform(0.75, 1.0), draws.uniform(-0.3, 0.3)
    )
    frame = frame.sheared(draws.uniform(-0.12, 0.12), draws.uniform(0.92, 1.08))
    petal, other = draws.colour(0.3, 1.0), draws.colour(0.05, 1.0)
    image = _sepals(image, frame, traits, draws)
    image = _petals(image, frame, traits, draws, petal, other)
    image = _centre(image, frame, traits["centre"], draws, petal)
    image = clutter(image, draws, draws.colour(0.05, 0.5), draws.colour(0.2, 0.7), 1, thin=True)
    return photograph(image, draws, stream=3)


def _count(traits: Traits) -> Tensor:
    return pick(traits["petals"], (5.0, 6.0, 7.0, 8.0, 10.0))[:, None, None]


def _sepals(image: Tensor, frame: Frame, traits: Traits, draws: Draws) -> Tensor:
    angle, radius = frame.polar()
    tip = torch.cos(_count(traits) * angle + torch.pi).clamp_min(0) ** 3
    shown = frame.cover(radius - 0.45 - 0.5 * tip) * traits["sepals"].float()[:, None, None]
    return paint(image, shown, draws.colour(0.05, 0.5))


def _petals(image: Tensor, frame: Frame, traits: Traits, draws: Draws, petal: Tensor, other: Tensor) -> Tensor:
    angle, radius = frame.polar()
    wave = torch.cos(_count(traits) * angle)
    power = pick(traits["shape"], (0.7, 2.4, 0.8))[:, None, None]
    notch = (traits["shape"] == 2).float()[:, None, None] * 0.16 * (wave.clamp_min(0) ** 8)
    fringe = (traits["edge"] == 1).float()[:, None, None] * 0.045 * torch.sin(6 * _count(traits) * angle)
    limit = 0.34 + 0.52 * (0.5 + 0.5 * wave).clamp_min(1e-6) ** power - notch + fringe
    limit = limit * draws.uniform(0.94, 1.06)[:, None, None]
    flower = frame.cover(radius - limit)
    image = paint(image, flower, petal)
    gap = torch.sigmoid(-8 * (wave + 0.75))  # a shadow between petals
    image = paint(image, flower * gap * 0.5, 0.4 * petal)
    rim = flower * torch.sigmoid(30 * (radius - limit + 0.11)) * (traits["edge"] == 2).float()[:, None, None]
    image = paint(image, rim, other)
    return paint(image, flower * _marks(frame, traits, wave, radius), mix(0.35 * petal, other, 0.4))


def _marks(frame: Frame, traits: Traits, wave: Tensor, radius: Tensor) -> Tensor:
    """Coverage of veins, an eye around the centre, or a dot on each petal."""
    angle, _ = frame.polar()
    vein = torch.sigmoid(14 * (torch.cos(_count(traits) * angle) - 0.93)) * torch.sigmoid(20 * (0.6 - radius))
    eye = torch.sigmoid(30 * (0.40 - radius))
    dot = torch.sigmoid(14 * (wave - 0.6)) * torch.sigmoid(30 * (0.055 - (radius - 0.54).abs()))
    layers = torch.stack([torch.zeros_like(eye), vein, eye, dot])
    return layers[traits["mark"], torch.arange(len(radius))]


def _centre(image: Tensor, frame: Frame, kind: Tensor, draws: Draws, petal: Tensor) -> Tensor:
    angle, radius = frame.polar()
    disc = frame.cover(radius - 0.24)
    tone = mix(draws.colour(0.3, 1.0), 1 - petal, 0.5)
    image = paint(image, disc, tone)
    seeds = torch.sigmoid(9 * (torch.sin(42 * frame.x) * torch.sin(42 * frame.y) - 0.1))
    ring = torch.sigmoid(40 * (0.045 - (radius - 0.15).abs()))
    star = torch.sigmoid(9 * (torch.cos(5 * angle) - 0.1)) * torch.sigmoid(40 * (0.2 - radius))
    layers = torch.stack([torch.zeros_like(ring), seeds, ring, star])[kind, torch.arange(len(draws))]
    return paint(image, disc * layers, 0.25 * tone)


FLOWERS = Genus("mini-flowers", TRAITS, 40, paint_flowers, "flower")
