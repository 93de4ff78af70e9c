"""How far a merged network is from the tuned one, for every form that merges.

    python benchmarks/merge.py --out benchmarks/results/merge.json

Each form stands at all its sites of vit_mini where it folds, with every tuner value moved away from where it starts, in
float32. The difference is the largest one of all logits of 64 images, divided by the largest logit: on random pixels
and on validation images of mini-birds.
"""

import argparse
import json
import platform
import sys
from importlib.metadata import version
from pathlib import Path

import torch

from utsearch.backbones import Backbone, load_backbone
from utsearch.backbones.sites import QKV
from utsearch.data import centre_crop, normalise, open_dataset
from utsearch.design import Design, DesignError
from utsearch.files import write_atomic
from utsearch.forms import catalogue
from utsearch.tuning import attached, largest_difference, merge, resolve


def designs(backbone: Backbone) -> dict[str, str]:
    """Each merging form at all sites that take it."""
    found = {}
    for name, form in catalogue().items():
        text = f"{name}(4)" if form.info().rank else name
        there = [
            site for site in backbone.sites if form.merges and site in form.sites and _stands(site, text, backbone)
        ]
        sites = [site for site in there if site not in QKV or "qkv" not in there]
        if sites:
            found[name] = f"{'|'.join(sites)}:{text}"
    return found


def _stands(site: str, text: str, backbone: Backbone) -> bool:
    """Whether the form may stand there and leaves nothing behind when merged."""
    try:
        resolve(Design.parse(f"{site}:{text}"), backbone)
    except DesignError:
        return False
    with attached(backbone, f"{site}:{text}") as tuned:
        return not merge(tuned).stays


def differences(backbone: Backbone, design: str, images: dict[str, torch.Tensor]) -> dict[str, float]:
    """Relative to the largest logit."""
    draw = torch.Generator().manual_seed(0)
    with attached(backbone, design) as tuned:
        for value in tuned.parameters():
            value.data += 0.05 * torch.randn(value.shape, generator=draw)
        merged = merge(tuned)
        return {name: largest_difference(backbone.model, merged.model, x) for name, x in images.items()}


def main() -> None:
    """Parse the command line and measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    backbone, size = load_backbone(), load_backbone().img_size
    pixels = centre_crop(open_dataset("mini-birds", img_size=size).val.pixels[:64], size)
    birds = normalise(pixels, backbone.mean, backbone.std)
    images = {"random": torch.randn(64, 3, size, size, generator=torch.Generator().manual_seed(1)), "mini-birds": birds}
    rows = {name: {"design": text, **differences(backbone, text, images)} for name, text in designs(backbone).items()}
    for name, row in rows.items():
        print(f"{name}: {row['random']:.1e} random, {row['mini-birds']:.1e} mini-birds  ({row['design']})")
    if arguments.out:
        made_by = {
            "command": " ".join([Path(sys.argv[0]).name, *sys.argv[1:]]),
            "machine": platform.machine(),
            "versions": {package: version(package) for package in ("utsearch", "torch", "timm")},
        }
        write_atomic(arguments.out, json.dumps({"made_by": made_by, "forms": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
