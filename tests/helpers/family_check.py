"""What must hold of tuners at every site of a network, whatever its family."""

import torch
from torch import Tensor, nn

from utsearch.backbones import Backbone, Tuner
from utsearch.forms import catalogue
from utsearch.tuning import attached, dead_parameters, resolve

IDENTITY = {"adapter": "adapter(2, init=zero)", "lora": "lora(2)"}
SEQUENTIAL = {"adapter": "adapter(2)", "lora": "lora(2, insert=sequential)"}


def without_special_values(model: nn.Module) -> nn.Module:
    """Move gains and biases away from 0 and 1, where a random network may keep a branch silent."""
    draw = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim <= 1 or parameter.numel() == max(parameter.shape):
                parameter += 0.1 * torch.randn(parameter.shape, generator=draw)
    return model


def calibrated(backbone: Backbone) -> Backbone:
    """Give BatchNorm the statistics of noise: with those of a new network, activations grow until gradients vanish."""
    norms = [m for m in backbone.model.modules() if isinstance(m, nn.BatchNorm2d | nn.BatchNorm1d)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 1.0
        norm.train()
    draw = torch.Generator().manual_seed(2)
    _run(backbone, torch.randn(4, 3, backbone.img_size, backbone.img_size, generator=draw))
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
        norm.eval()
    return backbone


def designs(backbone: Backbone) -> list[tuple[str, bool]]:
    """Designs that together put every form of a layout of its own at every site, and whether they start as identity."""
    forms = catalogue()

    def everywhere(name: str, text: str, stands: bool = True) -> str:
        sites = [s for s in backbone.sites if s in forms[name].sites and (stands or _has_grid(backbone, s))]
        return f"{'|'.join(sites)}:{text}"

    return [
        (" + ".join(everywhere(name, text) for name, text in SEQUENTIAL.items()), False),
        (everywhere("adapter", IDENTITY["adapter"]) + " + " + everywhere("lora", "lora(2)", stands=False), True),
        (everywhere("ssf", "ssf"), False),
    ]


def faults(backbone: Backbone, *, images: int = 2, gradients: bool = True) -> list[str]:
    """One line for each thing that does not hold; none is what is wanted."""
    found = []
    draw = torch.Generator().manual_seed(1)
    x = torch.randn(images, 3, backbone.img_size, backbone.img_size, generator=draw)
    state = {name: value.clone() for name, value in backbone.model.state_dict().items()}
    bare = _run(backbone, x)
    for design, identity in designs(backbone):
        with attached(backbone, design) as tuned:
            if tuned.n_params != resolve(design, backbone).n_params:
                found.append(f"{design}: {tuned.n_params} values built, the formulas say otherwise")
            starts = all(t.identity for t in backbone.model.modules() if isinstance(t, Tuner))
            if starts and not torch.equal(_run(backbone, x), bare):
                found.append(f"{design}: the output is another at the start")
            assert not identity or starts
        if gradients and (dead := dead_parameters(backbone, design, images=images)):
            found.append(f"{design}: {len(dead)} never learn: {', '.join(dead[:3])}")
    after = backbone.model.state_dict()
    if list(after) != list(state) or not all(torch.equal(after[name], value) for name, value in state.items()):
        found.append("a frozen tensor is another")
    if not torch.equal(_run(backbone, x), bare):
        found.append("the output is another after detaching")
    return found


@torch.no_grad()
def _run(backbone: Backbone, x: Tensor) -> Tensor:
    return backbone.model(x)


def _has_grid(backbone: Backbone, site: str) -> bool:
    return all(op.stride for op in backbone.operations.values() if op.site == site)
