"""Formula-driven images: every label is a parameter of the formula that drew the image, so nobody had to label it.

The idea is that of formula-driven supervised learning (Kataoka et al. 2020, arXiv:2101.08515; radial contours: Kataoka
et al. 2022, arXiv:2206.09132). An image shows one closed contour in polar form, filled with a periodic texture, with
small parts set around it, before a textured background and under random pose, colour, light and occlusion. Contour,
texture and parts are three independent labels.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

CONTOURS, TEXTURES, PARTS = 200, 100, 100
HARMONICS = 7
SIDE = 64


@dataclass(frozen=True)
class Formulas:
    """The parameters of all categories; a category differs from another in these numbers only.

    Attributes:
        amplitude, phase: (CONTOURS, HARMONICS) of r(t) = 1 + Σ a_k cos(kt + φ_k).
        wave: (TEXTURES, 3, 4) frequency, angle, radial share and weight of three waves; `sharp`: (TEXTURES,).
        part: (PARTS, 5) count, spread, size, distance and elongation of the parts.
    """

    amplitude: Tensor
    phase: Tensor
    wave: Tensor
    sharp: Tensor
    part: Tensor

    def targets(self, labels: Tensor) -> Tensor:
        """The numbers behind labels (n, 3), standardised over the categories, (n, 2·HARMONICS + 13 + 5)."""
        contour = torch.cat([self.amplitude * self.phase.cos(), self.amplitude * self.phase.sin()], dim=1)
        texture = torch.cat([self.wave.flatten(1), self.sharp[:, None]], dim=1)
        tables = [(x - x.mean(0)) / x.std(0) for x in (contour, texture, self.part)]
        return torch.cat([table[labels[:, i]] for i, table in enumerate(tables)], dim=1)


def formulas(seed: int = 0) -> Formulas:
    """The categories, drawn once from a seed."""
    g = torch.Generator().manual_seed(seed)

    def uniform(*shape: int, low: float = 0.0, high: float = 1.0) -> Tensor:
        return low + (high - low) * torch.rand(*shape, generator=g)

    decay = torch.arange(1, HARMONICS + 1).float().rsqrt()
    sparse = (uniform(CONTOURS, HARMONICS) < 0.45).float()
    wave = torch.stack(
        [
            uniform(TEXTURES, 3, low=2.0, high=11.0),
            uniform(TEXTURES, 3, high=torch.pi),
            (uniform(TEXTURES, 3) < 0.3).float(),
            uniform(TEXTURES, 3) * (uniform(TEXTURES, 3) < 0.7),
        ],
        dim=-1,
    )
    part = torch.stack(
        [
            torch.randint(1, 7, (PARTS,), generator=g).float(),
            uniform(PARTS, low=0.25, high=1.05),
            uniform(PARTS, low=0.10, high=0.24),
            uniform(PARTS, low=0.55, high=1.25),
            uniform(PARTS, low=0.4, high=2.2),
        ],
        dim=-1,
    )
    return Formulas(
        amplitude=sparse * decay * uniform(CONTOURS, HARMONICS, low=-0.45, high=0.45),
        phase=uniform(CONTOURS, HARMONICS, high=2 * torch.pi),
        wave=wave,
        sharp=uniform(TEXTURES, low=0.8, high=6.0),
        part=part,
    )


def draw(n: int, seed: int, table: Formulas) -> tuple[Tensor, Tensor, Tensor]:
    """Draw a batch.

    Returns:
        uint8 images (n, 3, 64, 64), int64 labels (n, 3) of contour, texture and parts, and uint8 maps (n, 3, 8, 8): how
        much of each 8-pixel patch, of 255, the body, the parts and the dark side of the texture on the body cover.
    """
    g = torch.Generator().manual_seed(seed)
    labels = torch.stack([torch.randint(k, (n,), generator=g) for k in (CONTOURS, TEXTURES, PARTS)], dim=1)
    u, v = _pose(n, g)
    image = _background(n, g)
    body = _contour(u, v, labels[:, 0], table, g)
    texture = _texture(u, v, labels[:, 1], table, g)
    image = _over(image, _blend(texture, n, g), body)
    edge = (1 - (body - 0.5).abs() * 2) * torch.rand(n, 1, 1, generator=g)
    image = _over(image, _colour(n, g), edge)
    parts = _parts(u, v, labels[:, 2], table, g)
    image = _over(image, _colour(n, g), parts)
    for _ in range(2):
        image = _over(image, _colour(n, g), _occluder(n, g))
    maps = F.avg_pool2d(torch.stack([body, parts, body * texture], dim=1), 8)
    return _light(image, g), labels, (maps * 255).round().to(torch.uint8)


def _grid() -> tuple[Tensor, Tensor]:
    line = torch.linspace(-1, 1, SIDE)
    return line[None, :].expand(SIDE, SIDE), line[:, None].expand(SIDE, SIDE)


def _rand(n: int, g: torch.Generator, low: float = 0.0, high: float = 1.0) -> Tensor:
    return (low + (high - low) * torch.rand(n, generator=g))[:, None, None]


def _pose(n: int, g: torch.Generator) -> tuple[Tensor, Tensor]:
    """Coordinates (n, 64, 64) in the object's frame: shift, turn, scale, stretch and shear."""
    x, y = _grid()
    x, y = x - _rand(n, g, -0.3, 0.3), y - _rand(n, g, -0.3, 0.3)
    angle = _rand(n, g, -0.6, 0.6)
    scale = _rand(n, g, 0.38, 0.72)
    stretch = torch.exp(_rand(n, g, -0.2, 0.2))
    u = (angle.cos() * x + angle.sin() * y) / (scale * stretch)
    v = (-angle.sin() * x + angle.cos() * y) / scale * stretch
    return u + _rand(n, g, -0.2, 0.2) * v, v


def _contour(u: Tensor, v: Tensor, label: Tensor, table: Formulas, g: torch.Generator) -> Tensor:
    """Soft mask of r < 1 + Σ a_k cos(kt + φ_k), with a little jitter of the amplitudes."""
    n = len(label)
    amplitude = table.amplitude[label] + 0.02 * torch.randn(n, HARMONICS, generator=g)
    angle, radius = torch.atan2(v, u), torch.hypot(u, v)
    limit = torch.ones_like(angle)
    for k in range(HARMONICS):
        limit = limit + amplitude[:, k, None, None] * torch.cos((k + 1) * angle + table.phase[label, k, None, None])
    return torch.sigmoid((limit.clamp_min(0.2) - radius) * 18)


def _texture(u: Tensor, v: Tensor, label: Tensor, table: Formulas, g: torch.Generator) -> Tensor:
    """A product-and-sum of three waves in the object's frame, squashed to 0…1, (n, 64, 64)."""
    radius = torch.hypot(u, v)
    total = torch.zeros_like(u)
    for k in range(3):
        frequency, angle, radial, weight = (table.wave[label, k, i, None, None] for i in range(4))
        along = torch.where(radial > 0.5, radius, angle.cos() * u + angle.sin() * v)
        total = total + weight * torch.sin(frequency * along + _rand(len(label), g, -0.4, 0.4))
    return torch.sigmoid(table.sharp[label, None, None] * total)


def _parts(u: Tensor, v: Tensor, label: Tensor, table: Formulas, g: torch.Generator) -> Tensor:
    """Soft mask of the union of up to six small ellipses on an arc around the object."""
    count, spread, size, distance, long = (table.part[label, i, None, None] for i in range(5))
    start = _rand(len(label), g, -0.15, 0.15) - 1.2
    mask = torch.zeros_like(u)
    for k in range(6):
        turn = start + k * spread
        x, y = u - distance * turn.cos(), v - distance * turn.sin()
        a, b = turn.cos() * x + turn.sin() * y, -turn.sin() * x + turn.cos() * y
        inside = torch.sigmoid((size - torch.hypot(a / long.sqrt(), b * long.sqrt())) * 30)
        mask = torch.maximum(mask, inside * (k < count))
    return mask


def _occluder(n: int, g: torch.Generator) -> Tensor:
    """A random bar or blob, in a third of the images, that says nothing of any label."""
    x, y = _grid()
    angle = _rand(n, g, 0, torch.pi)
    a = angle.cos() * x + angle.sin() * y - _rand(n, g, -0.9, 0.9)
    b = -angle.sin() * x + angle.cos() * y - _rand(n, g, -0.9, 0.9)
    blob = torch.hypot(a, b * _rand(n, g, 0.0, 1.0)) - _rand(n, g, 0.03, 0.18)
    return torch.sigmoid(-blob * 30) * (_rand(n, g) < 0.35)


def _colour(n: int, g: torch.Generator) -> Tensor:
    return torch.rand(n, 3, 1, 1, generator=g)


def _blend(mix: Tensor, n: int, g: torch.Generator) -> Tensor:
    """Two random colours mixed by a map (n, 64, 64) to (n, 3, 64, 64)."""
    return torch.lerp(_colour(n, g), _colour(n, g), mix[:, None])


def _background(n: int, g: torch.Generator) -> Tensor:
    """Two colours mixed by three random waves."""
    x, y = _grid()
    total = torch.zeros(n, SIDE, SIDE)
    for _ in range(3):
        angle, frequency = _rand(n, g, 0, torch.pi), torch.exp(_rand(n, g, 0.0, 3.0))
        total = total + torch.sin(frequency * (angle.cos() * x + angle.sin() * y) + _rand(n, g, 0, 6.3))
    return _blend(torch.sigmoid(total * _rand(n, g, 0.2, 2.0)), n, g)


def _over(image: Tensor, paint: Tensor, mask: Tensor) -> Tensor:
    return torch.lerp(image, paint.expand_as(image), mask[:, None])


def _light(image: Tensor, g: torch.Generator) -> Tensor:
    """Gain, a gradient, noise; to uint8."""
    n = len(image)
    x, y = _grid()
    slope = 1 + _rand(n, g, -0.25, 0.25) * x + _rand(n, g, -0.25, 0.25) * y
    image = image * (slope * _rand(n, g, 0.7, 1.2))[:, None]
    noise = torch.randn(image.shape, generator=g) * _rand(n, g, 0.0, 0.06)[:, None]
    return ((image + noise).clamp(0, 1) * 255).round().to(torch.uint8)
