"""What surrounds the object in every synthetic set: backdrop, clutter, occluders, light and noise."""

import torch
from torch import Tensor

from utsearch.data.procedural.canvas import SIDE, Draws, Frame, mix, paint


def backdrop(draws: Draws, low: Tensor, high: Tensor) -> Tensor:
    """Two colours (images, 3) blended by slow random waves, (images, 3, 64, 64)."""
    frame = Frame.of_image(len(draws))
    total = torch.zeros(len(draws), SIDE, SIDE)
    for octave in range(3):
        angle = draws.uniform(0, torch.pi)[:, None, None]
        frequency = draws.uniform(0.8, 2.5)[:, None, None] * 2**octave
        along = torch.cos(angle) * frame.x + torch.sin(angle) * frame.y
        total = total + torch.sin(frequency * along + draws.uniform(0, 6.3)[:, None, None]) / 1.5**octave
    share = torch.sigmoid(1.5 * total)[:, None]
    return torch.lerp(low[:, :, None, None], high[:, :, None, None], share)


def clutter(image: Tensor, draws: Draws, low: Tensor, high: Tensor, pieces: int, *, thin: bool) -> Tensor:
    """Twigs (thin) or leaves behind or before the object, in colours between two."""
    frame = Frame.of_image(len(draws))
    for _ in range(pieces):
        x, y, turn = draws.uniform(-1.1, 1.1), draws.uniform(-1.1, 1.1), draws.uniform(0, torch.pi)
        length = draws.uniform(0.5, 1.6) if thin else draws.uniform(0.12, 0.3)
        width = draws.uniform(0.015, 0.05) if thin else draws.uniform(0.05, 0.14)
        part = frame.placed(x, y, 1.0, turn)
        shape = part.capsule(-length, 0.0, length, 0.0, width) if thin else part.ellipse(0.0, 0.0, length, width)
        shown = part.cover(shape) * draws.flag(0.7)[:, None, None]
        image = paint(image, shown, mix(low, high, draws.uniform()))
    return image


def photograph(image: Tensor, draws: Draws, stream: int) -> Tensor:
    """Light from one side, a cast, exposure, blur in some images and noise; to uint8."""
    frame = Frame.of_image(len(draws))
    slope = draws.uniform(-0.3, 0.3)[:, None, None] * frame.x + draws.uniform(-0.3, 0.3)[:, None, None] * frame.y
    cast = draws.colour(0.85, 1.15)[:, :, None, None]
    image = image * (1 + slope)[:, None] * cast * draws.uniform(0.75, 1.15)[:, None, None, None]
    soft = torch.nn.functional.avg_pool2d(torch.nn.functional.pad(image, (1, 1, 1, 1), mode="replicate"), 3, 1)
    image = torch.lerp(image, soft, (draws.flag(0.3) * draws.uniform(0.2, 0.8))[:, None, None, None])
    image = image + draws.uniform(0.0, 0.04)[:, None, None, None] * draws.noise(stream)
    return (image.clamp(0, 1) * 255).round().to(torch.uint8)
