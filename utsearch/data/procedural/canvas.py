"""Painting of simple shapes over batches of images: every shape is a signed distance, every edge is anti-aliased.

Coordinates run from -1 to 1 across the image, x to the right, y down. Numbers of a shape are floats or tensors
(images,), one value for each image.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

SIDE = 64
PIXEL = 2 / SIDE

Number = float | Tensor


class Draws:
    """Random numbers of a batch of images, each image from its own stream: image i never depends on its batch."""

    def __init__(self, seeds: Sequence[np.random.SeedSequence], size: int = 256) -> None:
        table = np.stack([np.random.default_rng(seed).random(size, dtype=np.float32) for seed in seeds])
        self._table, self._at = torch.from_numpy(table), 0

    def __len__(self) -> int:
        return len(self._table)

    def uniform(self, low: float = 0.0, high: float = 1.0) -> Tensor:
        """(images,) between low and high."""
        self._at += 1
        return low + (high - low) * self._table[:, self._at - 1]

    def colour(self, low: float = 0.0, high: float = 1.0) -> Tensor:
        """(images, 3) between low and high."""
        return torch.stack([self.uniform(low, high) for _ in range(3)], dim=1)

    def flag(self, probability: float) -> Tensor:
        """(images,) 1 with this probability, else 0."""
        return (self.uniform() < probability).float()

    def noise(self, seed: int) -> Tensor:
        """Standard normal (images, 3, 64, 64), each image from a seed of its own."""
        seeds = (self._table[:, -1].double() * 2**31).long().tolist()
        normal = [np.random.default_rng([seed, s]).standard_normal((3, SIDE, SIDE), dtype=np.float32) for s in seeds]
        return torch.from_numpy(np.stack(normal))


class Frame:
    """Coordinates (images, 64, 64) of a part; `turned` and `moved` give those of a part of the part."""

    def __init__(self, x: Tensor, y: Tensor, unit: Number = 1.0) -> None:
        self.x, self.y, self.unit = x, y, unit  # unit: length of one frame unit in image units, for the edges

    @classmethod
    def of_image(cls, n: int) -> "Frame":
        """The image's own coordinates."""
        line = (torch.arange(SIDE) + 0.5) * PIXEL - 1
        return cls(line[None, None, :].expand(n, SIDE, SIDE), line[None, :, None].expand(n, SIDE, SIDE))

    def placed(self, x: Number, y: Number, scale: Number = 1.0, angle: Number = 0.0) -> "Frame":
        """The frame of a part at (x, y), enlarged by scale and turned by angle (radians, clockwise on screen)."""
        c, s = torch.cos(_column(angle)), torch.sin(_column(angle))
        dx, dy = self.x - _column(x), self.y - _column(y)
        size = _column(scale)
        return Frame((c * dx + s * dy) / size, (c * dy - s * dx) / size, _column(self.unit) * size)

    def sheared(self, amount: Number, stretch: Number = 1.0) -> "Frame":
        """X grows with y: a leaning or seen-from-the-side object; stretch widens it."""
        return Frame((self.x + _column(amount) * self.y) / _column(stretch), self.y, self.unit)

    def mirrored(self, flag: Tensor) -> "Frame":
        """Left and right exchanged where the flag is 1."""
        return Frame(self.x * (1 - 2 * _column(flag)), self.y, self.unit)

    def cover(self, distance: Tensor, softness: float = 0.6) -> Tensor:
        """Coverage 0…1 of a shape from its signed distance in frame units; the edge is about a pixel wide."""
        return torch.sigmoid(-distance * _column(self.unit) / (PIXEL * softness))

    def ellipse(self, x: Number, y: Number, rx: Number, ry: Number) -> Tensor:
        """Signed distance (first order) to an ellipse."""
        dx, dy, rx, ry = self.x - _column(x), self.y - _column(y), _column(rx), _column(ry)
        k = torch.sqrt((dx / rx) ** 2 + (dy / ry) ** 2 + 1e-9)
        slope = torch.sqrt((dx / rx**2) ** 2 + (dy / ry**2) ** 2 + 1e-9)
        return k * (k - 1) / slope

    def capsule(self, x0: Number, y0: Number, x1: Number, y1: Number, r0: Number, r1: Number | None = None) -> Tensor:
        """Signed distance to a line from (x0, y0) to (x1, y1) with round ends of radius r0 and r1."""
        x0, y0, x1, y1 = (_column(v) for v in (x0, y0, x1, y1))
        r0 = _column(r0)
        r1 = r0 if r1 is None else _column(r1)
        ax, ay = x1 - x0, y1 - y0
        along = (((self.x - x0) * ax + (self.y - y0) * ay) / (ax**2 + ay**2 + 1e-9)).clamp(0, 1)
        return torch.hypot(self.x - x0 - along * ax, self.y - y0 - along * ay) - (r0 + along * (r1 - r0))

    def box(self, x: Number, y: Number, half_width: Number, half_height: Number, radius: Number = 0.0) -> Tensor:
        """Signed distance to a rectangle with rounded corners."""
        r = _column(radius)
        dx = (self.x - _column(x)).abs() - _column(half_width) + r
        dy = (self.y - _column(y)).abs() - _column(half_height) + r
        outside = torch.hypot(dx.clamp_min(0), dy.clamp_min(0))
        return outside + torch.maximum(dx, dy).clamp_max(0) - r

    def polar(self) -> tuple[Tensor, Tensor]:
        """Angle and radius of every pixel."""
        return torch.atan2(self.y, self.x), torch.hypot(self.x, self.y)


def paint(image: Tensor, mask: Tensor, colour: Tensor) -> Tensor:
    """Lay a colour (images, 3) over images (images, 3, 64, 64) where the mask (images, 64, 64) covers."""
    return torch.lerp(image, colour[:, :, None, None].expand_as(image), mask[:, None])


def mix(a: Tensor, b: Tensor, share: Number) -> Tensor:
    """Colours between a and b."""
    return torch.lerp(a, b, _column(share)[..., 0] if isinstance(share, Tensor) else torch.tensor(share))


def _column(value: Number) -> Tensor:
    """A number or (images,) as something that broadcasts over (images, 64, 64)."""
    if not isinstance(value, Tensor):
        return torch.tensor(float(value))
    return value[:, None, None] if value.ndim == 1 else value
