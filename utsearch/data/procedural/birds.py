"""mini-birds: one songbird in profile; beak, crest, wing bars, breast, eye line and tail tell the classes apart."""

import torch
from torch import Tensor

from utsearch.data.procedural.canvas import Draws, Frame, mix, paint
from utsearch.data.procedural.genus import Genus, Traits, pick
from utsearch.data.procedural.scene import backdrop, clutter, photograph

TRAITS = {
    "beak": ("short-billed", "long-billed", "thick-billed", "hook-billed"),
    "crest": ("", "crested", "tall-crested"),
    "wing": ("plain", "one-barred", "two-barred", "patched"),
    "breast": ("", "spotted", "streaked", "banded"),
    "eye": ("", "eye-lined", "ringed"),
    "tail": ("", "fork-tailed", "long-tailed"),
}


def paint_birds(traits: Traits, draws: Draws) -> Tensor:
    """Birds on a blurred backdrop with twigs; colours, pose and light say nothing of the class."""
    n = len(draws)
    image = backdrop(draws, draws.colour(0.1, 0.8), draws.colour(0.2, 0.95))
    image = clutter(image, draws, draws.colour(0.05, 0.5), draws.colour(0.1, 0.6), 2, thin=True)
    image = clutter(image, draws, draws.colour(0.1, 0.6), draws.colour(0.1, 0.7), 3, thin=False)
    frame = Frame.of_image(n).placed(
        draws.uniform(-0.08, 0.08), draws.uniform(-0.08, 0.08), draws.uniform(0.92, 1.12), draws.uniform(-0.12, 0.12)
    )
    frame = frame.mirrored(draws.flag(0.5)).sheared(draws.uniform(-0.08, 0.08), draws.uniform(0.94, 1.06))
    coat, belly, dark = _palette(draws)
    image = _tail_and_legs(image, frame, traits, draws, dark)
    image = _body(image, frame, traits, draws, coat, belly, dark)
    image = _head(image, frame, traits, draws, coat, belly, dark)
    image = clutter(image, draws, draws.colour(0.05, 0.5), draws.colour(0.1, 0.6), 1, thin=True)
    return photograph(image, draws, stream=1)


def _palette(draws: Draws) -> tuple[Tensor, Tensor, Tensor]:
    """Coat, belly and dark marks of each bird; the marks are darker or, in some birds, lighter than the coat."""
    coat = draws.colour(0.25, 0.85)
    belly = mix(coat, draws.colour(0.6, 1.0), draws.uniform(0.4, 0.9))
    mark = torch.where(draws.flag(0.25)[:, None] > 0, 0.45 + 0.55 * coat, coat * draws.uniform(0.1, 0.4)[:, None])
    return coat, belly, mark


def _tail_and_legs(image: Tensor, frame: Frame, traits: Traits, draws: Draws, dark: Tensor) -> Tensor:
    length = pick(traits["tail"], (0.78, 0.80, 1.10)) + draws.uniform(-0.04, 0.04)
    fork = pick(traits["tail"], (0.03, 0.16, 0.03))
    lift = draws.uniform(-0.05, 0.2)
    for side in (-1.0, 1.0):
        feather = frame.capsule(-0.3, 0.12, -length, lift + side * fork, 0.09, 0.055)
        image = paint(image, frame.cover(feather), dark)
    for x in (0.0, 0.12):
        leg = frame.capsule(x, 0.35, x + 0.03, 0.68, 0.022)
        image = paint(image, frame.cover(leg), 0.4 * dark + 0.1)
    return image


def _body(
    image: Tensor, frame: Frame, traits: Traits, draws: Draws, coat: Tensor, belly: Tensor, dark: Tensor
) -> Tensor:
    body = frame.cover(frame.ellipse(0.0, 0.12, 0.5, 0.33))
    image = paint(image, body, coat)
    front = body * frame.cover(frame.ellipse(0.2, 0.3, 0.36, 0.27))
    image = paint(image, front, belly)
    image = paint(image, front * _breast(frame, traits["breast"], draws), dark)
    wing = frame.placed(-0.12, 0.06, 1.0, draws.uniform(-0.35, 0.1))
    shape = wing.cover(wing.ellipse(0.0, 0.0, 0.36, 0.17))
    image = paint(image, shape, 0.75 * coat)
    light = 0.35 * coat + 0.65
    return paint(image, shape * _wing_marks(wing, traits["wing"], draws), light)


def _breast(frame: Frame, kind: Tensor, draws: Draws) -> Tensor:
    """Coverage of spots, streaks or a band on the breast; nothing for a plain one."""
    phase = draws.uniform(0, 6.3)[:, None, None]
    spots = torch.sigmoid(9 * (torch.sin(26 * frame.x + phase) * torch.sin(26 * frame.y) - 0.35))
    streaks = torch.sigmoid(6 * (torch.sin(30 * frame.x + 4 * frame.y + phase) - 0.35))
    band = frame.cover((frame.x - 0.26 + 0.25 * frame.y).abs() - 0.06)
    layers = torch.stack([torch.zeros_like(spots), spots, streaks, band])
    return layers[kind, torch.arange(len(kind))]


def _wing_marks(wing: Frame, kind: Tensor, draws: Draws) -> Tensor:
    """Coverage of no, one or two bars, or a patch."""
    shift = draws.uniform(-0.03, 0.03)[:, None, None]
    one = wing.cover((wing.x - shift - 0.02 + 0.3 * wing.y).abs() - 0.035)
    two = torch.maximum(
        wing.cover((wing.x - shift - 0.1 + 0.3 * wing.y).abs() - 0.03),
        wing.cover((wing.x - shift + 0.08 + 0.3 * wing.y).abs() - 0.03),
    )
    patch = wing.cover(wing.ellipse(0.02, 0.0, 0.1, 0.08))
    return torch.stack([torch.zeros_like(one), one, two, patch])[kind, torch.arange(len(kind))]


def _head(
    image: Tensor, frame: Frame, traits: Traits, draws: Draws, coat: Tensor, belly: Tensor, dark: Tensor
) -> Tensor:
    head = frame.placed(0.4, -0.22, 1.0, draws.uniform(-0.12, 0.12))
    image = _crest(image, head, traits["crest"], dark)
    image = _beak(image, head, traits["beak"], draws, dark)
    image = paint(image, head.cover(head.ellipse(0.0, 0.0, 0.25, 0.23)), coat)
    ring = head.cover((torch.hypot(head.x - 0.07, head.y + 0.04) - 0.085).abs() - 0.03)
    line = head.cover(head.capsule(-0.16, 0.0, 0.22, -0.04, 0.035))
    marks = torch.stack([torch.zeros_like(ring), line, torch.zeros_like(ring)])
    each = torch.arange(len(draws))
    image = paint(image, marks[traits["eye"], each], dark)
    rings = torch.stack([torch.zeros_like(ring), torch.zeros_like(ring), ring])
    image = paint(image, rings[traits["eye"], each], 0.3 * belly + 0.7)
    return paint(image, head.cover(head.ellipse(0.07, -0.04, 0.045, 0.045)), torch.full_like(coat, 0.03))


def _crest(image: Tensor, head: Frame, kind: Tensor, dark: Tensor) -> Tensor:
    height = pick(kind, (0.0, 0.16, 0.30))
    for k, lean in enumerate((-0.20, -0.12, -0.04)):
        spike = head.capsule(lean * 0.8, -0.12, lean - 0.9 * height, -0.18 - height * (1 - 0.15 * k), 0.06, 0.02)
        image = paint(image, head.cover(spike) * (kind > 0).float()[:, None, None], dark)
    return image


def _beak(image: Tensor, head: Frame, kind: Tensor, draws: Draws, dark: Tensor) -> Tensor:
    length = pick(kind, (0.14, 0.34, 0.17, 0.20)) * draws.uniform(0.92, 1.08)
    base = pick(kind, (0.055, 0.05, 0.115, 0.07))
    hook = pick(kind, (0.0, 0.0, 0.02, 0.13))
    colour = mix(0.5 * dark, draws.colour(0.4, 0.9), 0.5)
    upper = head.capsule(0.2, 0.0, 0.2 + length, 0.03, base, 0.018)
    tip = head.capsule(0.17 + length, 0.03, 0.2 + length, 0.04 + hook, 0.03, 0.015)
    return paint(image, torch.maximum(head.cover(upper), head.cover(tip) * (hook > 0.1).float()[:, None, None]), colour)


BIRDS = Genus("mini-birds", TRAITS, 40, paint_birds, "bird")
