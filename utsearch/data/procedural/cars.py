"""mini-cars: one car from the front; grille, lamps, roof line, mirrors, bumper and badge tell the classes apart."""

import torch
from torch import Tensor

from utsearch.data.procedural.canvas import Draws, Frame, mix, paint
from utsearch.data.procedural.genus import Genus, Traits, pick
from utsearch.data.procedural.scene import backdrop, clutter, photograph

TRAITS = {
    "grille": ("slatted", "barred", "meshed", "split"),
    "lamps": ("round-lamped", "square-lamped", "slit-lamped", "twin-lamped"),
    "roof": ("flat-roofed", "round-roofed", "tall"),
    "bumper": ("", "vented", "fog-lamped"),
    "rack": ("", "railed", "finned"),
    "stripe": ("", "striped", "two-striped"),
}


def paint_cars(traits: Traits, draws: Draws) -> Tensor:
    """Cars on a road; paint, view, light and what stands around say nothing of the class."""
    n = len(draws)
    image = backdrop(draws, draws.colour(0.2, 0.8), draws.colour(0.4, 1.0))
    image = clutter(image, draws, draws.colour(0.1, 0.6), draws.colour(0.2, 0.8), 4, thin=False)
    image = _road(image, draws)
    frame = Frame.of_image(n).placed(
        draws.uniform(-0.12, 0.12), draws.uniform(-0.1, 0.15), draws.uniform(0.8, 1.05), draws.uniform(-0.12, 0.12)
    )
    frame = frame.sheared(draws.uniform(-0.12, 0.12), draws.uniform(0.92, 1.08)).mirrored(draws.flag(0.5))
    body = draws.colour(0.1, 0.95)
    image = _cabin(image, frame, traits, draws, body)
    image = _body(image, frame, traits, draws, body)
    image = _lamps(image, frame, traits["lamps"], draws)
    image = _grille(image, frame, traits["grille"], draws)
    image = _bumper(image, frame, traits["bumper"], draws, body)
    image = clutter(image, draws, draws.colour(0.1, 0.5), draws.colour(0.1, 0.6), 1, thin=True)
    return photograph(image, draws, stream=2)


def _road(image: Tensor, draws: Draws) -> Tensor:
    frame = Frame.of_image(len(draws))
    tone = draws.uniform(0.2, 0.6)[:, None].expand(-1, 3) * draws.colour(0.85, 1.15)
    return paint(image, frame.cover(draws.uniform(0.0, 0.5)[:, None, None] - frame.y), tone)


def _cabin(image: Tensor, frame: Frame, traits: Traits, draws: Draws, body: Tensor) -> Tensor:
    top = pick(traits["roof"], (-0.50, -0.52, -0.68))
    radius = pick(traits["roof"], (0.06, 0.28, 0.12))
    rail = frame.box(0.0, top - 0.03, 0.34, 0.03, 0.02)
    fin = frame.capsule(0.0, top + 0.02, 0.06, top - 0.12, 0.05, 0.02)
    layers = torch.stack([torch.zeros_like(rail), frame.cover(rail), frame.cover(fin)])
    image = paint(image, layers[traits["rack"], torch.arange(len(draws))], 0.4 * body)
    cabin = frame.box(0.0, 0.5 * top, 0.46, -0.5 * top, radius)
    image = paint(image, frame.cover(cabin), body)
    glass = frame.box(0.0, 0.5 * top + 0.02, 0.38, -0.5 * top - 0.1, 0.7 * radius)
    return paint(image, frame.cover(glass), draws.uniform(0.1, 0.45)[:, None] * draws.colour(0.8, 1.2))


def _body(image: Tensor, frame: Frame, traits: Traits, draws: Draws, body: Tensor) -> Tensor:
    for side in (-1.0, 1.0):
        wheel = frame.box(side * 0.5, 0.62, 0.12, 0.16, 0.06)
        image = paint(image, frame.cover(wheel), torch.full_like(body, 0.06))
        mirror = frame.ellipse(side * 0.56, -0.08, 0.09, 0.06)
        image = paint(image, frame.cover(mirror), 0.8 * body)
    hull = frame.cover(frame.box(0.0, 0.28, 0.66, 0.34, 0.12))
    image = paint(image, hull, body)
    bonnet = hull * frame.cover(frame.y - 0.12)
    one = frame.cover(frame.x.abs() - 0.07)
    two = frame.cover((frame.x.abs() - 0.16).abs() - 0.045)
    layers = torch.stack([torch.zeros_like(one), one, two])
    stripe = layers[traits["stripe"], torch.arange(len(draws))]
    return paint(image, bonnet * stripe, 1 - 0.8 * body)


def _lamps(image: Tensor, frame: Frame, kind: Tensor, draws: Draws) -> Tensor:
    glow = mix(draws.colour(0.7, 1.0), torch.ones(len(draws), 3), 0.5)
    each = torch.arange(len(draws))
    for side in (-1.0, 1.0):
        x = side * 0.5
        slit = frame.placed(x, 0.2, 1.0, 0.3 * side)
        pair = torch.minimum(frame.ellipse(x - 0.075, 0.2, 0.065, 0.07), frame.ellipse(x + 0.075, 0.2, 0.065, 0.07))
        shapes = torch.stack(
            [
                frame.ellipse(x, 0.2, 0.12, 0.12),
                frame.box(x, 0.2, 0.12, 0.1, 0.02),
                slit.ellipse(0.0, 0.0, 0.16, 0.05),
                pair,
            ]
        )[kind, each]
        image = paint(image, frame.cover(shapes - 0.03), torch.full_like(glow, 0.12))
        image = paint(image, frame.cover(shapes), glow)
    return image


def _grille(image: Tensor, frame: Frame, kind: Tensor, draws: Draws) -> Tensor:
    chrome = draws.uniform(0.55, 0.95)[:, None].expand(-1, 3)
    opening = frame.cover(frame.box(0.0, 0.27, 0.28, 0.13, 0.05))
    image = paint(image, opening, torch.full_like(chrome, 0.08))
    slats = torch.sigmoid(6 * torch.sin(48 * frame.y))
    bars = torch.sigmoid(6 * torch.sin(48 * frame.x))
    mesh = torch.sigmoid(9 * (torch.sin(36 * (frame.x + frame.y)) * torch.sin(36 * (frame.x - frame.y))))
    split = frame.cover(frame.x.abs() - 0.06)
    layers = torch.stack([slats, bars, mesh, split])[kind, torch.arange(len(draws))]
    return paint(image, opening * layers, chrome)


def _bumper(image: Tensor, frame: Frame, kind: Tensor, draws: Draws, body: Tensor) -> Tensor:
    image = paint(image, frame.cover(frame.box(0.0, 0.53, 0.66, 0.08, 0.05)), mix(body, draws.colour(0.1, 0.5), 0.6))
    vent = frame.cover(frame.box(0.0, 0.53, 0.22, 0.04, 0.02))
    fog = frame.cover(torch.minimum(frame.ellipse(-0.42, 0.53, 0.06, 0.05), frame.ellipse(0.42, 0.53, 0.06, 0.05)))
    each = torch.arange(len(draws))
    blank = torch.zeros_like(vent)
    image = paint(image, torch.stack([blank, vent, blank])[kind, each], torch.full_like(body, 0.05))
    return paint(image, torch.stack([blank, blank, fog])[kind, each], torch.full_like(body, 0.95))


CARS = Genus("mini-cars", TRAITS, 40, paint_cars, "car")
