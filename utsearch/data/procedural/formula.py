"""Formula-driven images: every label is a parameter of the formula that drew the image, so nobody had to label it.

The idea is that of formula-driven supervised learning (Kataoka et al. 2020, arXiv 2101.08515; radial contours: Kataoka
et al. 2022, arXiv 2206.09132). An image shows a closed contour in polar form with a texture, bands, a centre and small
parts around it, before a textured background and under random pose, colour, light and occlusion. Each attribute is
drawn independently of the others and is one label.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

SIDE = 64
ATTRIBUTES = {  # name -> number of values
    "lobes": 8,
    "profile": 4,
    "depth": 3,
    "aspect": 3,
    "texture": 8,
    "frequency": 3,
    "direction": 4,
    "parts": 5,
    "count": 5,
    "place": 4,
    "size": 2,
    "centre": 4,
    "bands": 3,
}
UNDEFINED = -100  # the label of an attribute that does not show, ignored by torch's cross entropy
_LOBES = (0.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0)

Labels = dict[str, Tensor]


def draw(n: int, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Draw a batch.

    Returns:
        uint8 images (n, 3, 64, 64), int64 labels (n, attributes) in the order of `ATTRIBUTES`, and uint8 maps
        (n, 3, 8, 8): how much of each 8-pixel patch, of 255, the body, the parts and the texture on the body cover.
    """
    g = torch.Generator().manual_seed(seed)
    chosen = {name: torch.randint(k, (n,), generator=g) for name, k in ATTRIBUTES.items()}
    u, v = _pose(n, g)
    u = u / _pick(chosen["aspect"], (1.0, 1.45, 2.0)).sqrt()
    v = v * _pick(chosen["aspect"], (1.0, 1.45, 2.0)).sqrt()
    image = _background(n, g)
    parts = _parts(u, v, chosen, g)
    image = _over(image, _colour(n, g), parts)
    body, texture = _contour(u, v, chosen, g), _texture(u, v, chosen, g)
    image = _over(image, _blend(texture, n, g), body)
    image = _over(image, _colour(n, g), body * _bands(u, v, chosen["bands"], g))
    image = _over(image, _colour(n, g), _centre(u, v, chosen["centre"], g))
    for _ in range(2):
        image = _over(image, _colour(n, g), _occluder(n, g))
    maps = F.avg_pool2d(torch.stack([body, parts * (1 - body), body * texture], dim=1), 8)
    return _light(image, g), _labels(chosen), (maps * 255).round().to(torch.uint8)


def _labels(chosen: Labels) -> Tensor:
    """(n, attributes), `UNDEFINED` where another attribute hides one."""
    round_, bare = chosen["lobes"] == 0, chosen["parts"] == 0
    plain = chosen["texture"] == 0
    turned = torch.isin(chosen["texture"], torch.tensor([1, 5, 7]))  # only these look different in each direction
    hidden = {
        "profile": round_,
        "depth": round_,
        "frequency": plain | (chosen["texture"] == 7),
        "direction": ~turned,
        "count": bare,
        "place": bare,
        "size": bare,
    }
    columns = [torch.where(hidden[k], UNDEFINED, v) if k in hidden else v for k, v in chosen.items()]
    return torch.stack(columns, dim=1)


def _pick(index: Tensor, values: tuple[float, ...]) -> Tensor:
    """(n, 1, 1) the value of an attribute."""
    return torch.tensor(values)[index][:, None, None]


def _grid() -> tuple[Tensor, Tensor]:
    line = torch.linspace(-1, 1, SIDE)
    return line[None, :].expand(SIDE, SIDE), line[:, None].expand(SIDE, SIDE)


def _rand(n: int, g: torch.Generator, low: float = 0.0, high: float = 1.0) -> Tensor:
    return (low + (high - low) * torch.rand(n, generator=g))[:, None, None]


def _pose(n: int, g: torch.Generator) -> tuple[Tensor, Tensor]:
    """Coordinates (n, 64, 64) in the object's frame: shift, turn, scale, stretch and shear."""
    x, y = _grid()
    x, y = x - _rand(n, g, -0.3, 0.3), y - _rand(n, g, -0.3, 0.3)
    angle = _rand(n, g, -0.5, 0.5)
    scale = _rand(n, g, 0.36, 0.66)
    stretch = torch.exp(_rand(n, g, -0.2, 0.2))
    u = (angle.cos() * x + angle.sin() * y) / (scale * stretch)
    v = (-angle.sin() * x + angle.cos() * y) / scale * stretch
    return u + _rand(n, g, -0.15, 0.15) * v, v


def _contour(u: Tensor, v: Tensor, chosen: Labels, g: torch.Generator) -> Tensor:
    """Soft mask of r < 1 + a·f(cos kt): f smooth, pointed, scalloped or squared."""
    n = len(u)
    angle, radius = torch.atan2(v, u), torch.hypot(u, v)
    lobes = _pick(chosen["lobes"], _LOBES)
    wave = torch.cos(lobes * angle + _rand(n, g, -0.3, 0.3))
    shapes = torch.stack([wave, 2 * wave.abs().sqrt() * (wave > 0) - 1, 1 - 2 * wave.abs(), torch.tanh(5 * wave)])
    shape = shapes[chosen["profile"], torch.arange(n)] * (lobes > 0)
    depth = _pick(chosen["depth"], (0.10, 0.22, 0.38)) * _rand(n, g, 0.9, 1.1)
    return torch.sigmoid((0.85 + depth * shape - radius) * 18)


def _texture(u: Tensor, v: Tensor, chosen: Labels, g: torch.Generator) -> Tensor:
    """Plain, stripes, checks, rings, rays, wavy stripes, dots or halves in the object's frame, 0…1, (n, 64, 64)."""
    n = len(u)
    turn = _pick(chosen["direction"], (0.0, 0.785, 1.571, 2.356))
    f = _pick(chosen["frequency"], (5.0, 9.0, 15.0)) * _rand(n, g, 0.9, 1.1)
    a, b = turn.cos() * u + turn.sin() * v, turn.cos() * v - turn.sin() * u
    phase = _rand(n, g, 0, 6.28)
    angle, radius = torch.atan2(v, u), torch.hypot(u, v)
    waves = torch.stack(
        [
            -torch.ones_like(u),
            torch.sin(f * a + phase),
            1.5 * torch.sin(f * u + phase) * torch.sin(f * v),
            torch.sin(f * radius + phase),
            torch.sin((f / 1.6).round() * angle + phase),
            torch.sin(f * a + 1.5 * torch.sin(5 * b) + phase),
            2 * (torch.sin(f * u + phase) * torch.sin(f * v) - 0.45),
            4 * a,
        ]
    )
    return torch.sigmoid(_rand(n, g, 2.0, 6.0) * waves[chosen["texture"], torch.arange(n)])


def _bands(u: Tensor, v: Tensor, kind: Tensor, g: torch.Generator) -> Tensor:
    """No, one or two bands across the object."""
    along = u * 0.9 + 0.3 * v - _rand(len(u), g, -0.25, 0.25)
    one = torch.sigmoid((0.10 - along.abs()) * 25)
    two = torch.sigmoid((0.07 - (along.abs() - 0.22).abs()) * 25)
    return torch.stack([torch.zeros_like(one), one, two])[kind, torch.arange(len(u))]


def _centre(u: Tensor, v: Tensor, kind: Tensor, g: torch.Generator) -> Tensor:
    """No mark, a disc, a ring or a star near the middle."""
    x, y = u - _rand(len(u), g, -0.3, 0.3), v - _rand(len(u), g, -0.3, 0.3)
    radius, size = torch.hypot(x, y), _rand(len(u), g, 0.16, 0.3)
    disc = torch.sigmoid((size - radius) * 25)
    ring = torch.sigmoid((0.06 - (radius - size).abs()) * 30)
    star = torch.sigmoid((size * (0.7 + 0.6 * torch.cos(5 * torch.atan2(y, x))) - radius) * 25)
    return torch.stack([torch.zeros_like(disc), disc, ring, star])[kind, torch.arange(len(u))]


def _parts(u: Tensor, v: Tensor, chosen: Labels, g: torch.Generator) -> Tensor:
    """No parts, or one to five dots, rods, cones or hoops side by side on one side of the object."""
    n = len(u)
    size = _pick(chosen["size"], (0.12, 0.2)) * _rand(n, g, 0.9, 1.1)
    middle = _pick(chosen["place"], (0.0, 1.571, 3.142, 4.712)) + _rand(n, g, -0.2, 0.2)
    total = chosen["count"][:, None, None] + 1
    mask = torch.zeros_like(u)
    for k in range(5):
        turn = middle + (k - (total - 1) / 2) * (0.2 + 1.6 * size)
        a, b = turn.cos() * u + turn.sin() * v, turn.cos() * v - turn.sin() * u
        a = a - 1.05  # outwards from the contour; b runs along it
        rod = torch.maximum(b.abs() - 0.35 * size, (a - 0.1).abs() - 2.0 * size)
        cone = torch.maximum(b.abs() - 0.7 * size * (1.2 - a / (2 * size)).clamp(0, 1.3), (a - 0.05).abs() - 2.0 * size)
        dot = torch.hypot(a - 0.1, b) - size
        hoop = dot.abs() - 0.3 * size
        distance = torch.stack([torch.ones_like(dot), dot, rod, cone, hoop])[chosen["parts"], torch.arange(n)]
        mask = torch.maximum(mask, torch.sigmoid(-distance * 30) * (k < total))
    return mask


def _occluder(n: int, g: torch.Generator) -> Tensor:
    """A random bar or blob, in a third of the images, that says nothing of any label."""
    x, y = _grid()
    angle = _rand(n, g, 0, torch.pi)
    a = angle.cos() * x + angle.sin() * y - _rand(n, g, -0.9, 0.9)
    b = -angle.sin() * x + angle.cos() * y - _rand(n, g, -0.9, 0.9)
    blob = torch.hypot(a, b * _rand(n, g, 0.0, 1.0)) - _rand(n, g, 0.03, 0.18)
    return torch.sigmoid(-blob * 30) * (_rand(n, g) < 0.25)


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
