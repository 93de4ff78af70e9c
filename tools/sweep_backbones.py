"""Attach tuners at every site of many timm architectures with random weights, and write docs/backbones.md.

    python tools/sweep_backbones.py [NAME ...] [--out FILE.jsonl]

Results are appended to the file as they come, so the sweep can be run in pieces; architectures that are in the file
are not run again. The page is written from the whole file.
"""

import argparse
import json
import sys
import time
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

import timm
import torch

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests" / "helpers"))
from family_check import calibrated, faults, without_special_values  # noqa: E402

from utsearch.backbones import Backbone, BackboneError, load_backbone  # noqa: E402
from utsearch.errors import UserError  # noqa: E402

PAGE = ROOT / "docs" / "backbones.md"
MAX_PARAMETERS = 100_000_000
SIZES = (64, 96, 128, None)  # the smallest that runs; None is the architecture's own
ARCHITECTURES = [
    "test_vit",
    "test_vit2",
    "test_vit3",
    "test_vit4",
    "test_vit_relpos",
    "test_resnet",
    "test_convnext",
    "test_convnext2",
    "test_convnext3",
    "test_efficientnet",
    "test_efficientnet_evos",
    "test_efficientnet_gn",
    "test_efficientnet_ln",
    "test_mambaout",
    "test_coatnet",
    "test_maxvit",
    "test_nfnet",
    "test_byobnet",
    "vit_tiny_patch16_224",
    "deit_tiny_patch16_224",
    "deit_tiny_distilled_patch16_224",
    "eva02_tiny_patch14_224",
    "beit_base_patch16_224",
    "vit_small_patch16_dinov3",
    "vit_small_patch14_reg4_dinov2",
    "vit_base_patch32_clip_224",
    "vit_base_patch16_siglip_224",
    "vit_relpos_small_patch16_224",
    "swin_tiny_patch4_window7_224",
    "swinv2_tiny_window8_256",
    "pvt_v2_b0",
    "twins_svt_small",
    "twins_pcpvt_small",
    "hiera_tiny_224",
    "nest_tiny",
    "davit_tiny",
    "gcvit_xxtiny",
    "focalnet_tiny_srf",
    "mvitv2_tiny",
    "coat_tiny",
    "crossvit_tiny_240",
    "pit_ti_224",
    "levit_128s",
    "tiny_vit_5m_224",
    "efficientformer_l1",
    "efficientformerv2_s0",
    "edgenext_xx_small",
    "mobilevit_xxs",
    "mobilevitv2_050",
    "fastvit_t8",
    "nextvit_small",
    "visformer_tiny",
    "xcit_nano_12_p16_224",
    "cait_xxs24_224",
    "volo_d1_224",
    "convit_tiny",
    "vitamin_small_224",
    "swiftformer_xs",
    "samvit_base_patch16_224",
    "caformer_s18",
    "poolformer_s12",
    "poolformerv2_s12",
    "convformer_s18",
    "mambaout_femto",
    "inception_next_atto",
    "convnext_atto",
    "convnextv2_atto",
    "sequencer2d_s",
    "mixer_s32_224",
    "resmlp_12_224",
    "gmlp_ti16_224",
    "resnet18",
    "resnet26",
    "resnetv2_50",
    "resnest14d",
    "res2net50_14w_8s",
    "regnetx_002",
    "mobilenetv3_small_050",
    "mobilenetv4_conv_small_035",
    "ghostnet_100",
    "repvit_m0_9",
    "starnet_s1",
    "fasternet_t0",
    "hgnet_tiny",
    "lcnet_050",
    "rexnet_100",
    "hrnet_w18_small",
    "dla34",
    "dpn48b",
    "cspresnet50",
    "vovnet39a",
    "xception41",
    "densenet121",
    "vgg11",
    "inception_v3",
    "convmixer_768_32",
    "selecsls42",
    "tnt_s_legacy_patch16_224",
]


def small(name: str) -> Backbone:
    """The architecture with random weights, on the smallest image that it takes."""
    fixed = name.startswith(("swin", "maxvit", "coatnet", "nest", "test_maxvit", "test_coatnet", "hiera", "volo"))
    for size in SIZES[-1:] if fixed else SIZES:
        torch.manual_seed(0)
        try:
            backbone = load_backbone(name, pretrained=False, img_size=size)
        except BackboneError:
            if size is None:
                raise
            continue
        without_special_values(backbone.model)
        return calibrated(backbone)
    raise AssertionError


def sweep(name: str) -> dict[str, Any]:
    """One row of the table."""
    start = time.perf_counter()
    row: dict[str, Any] = {"name": name, "family": timm.models._registry._model_to_module[name]}
    try:
        with torch.device("meta"):
            size = sum(p.numel() for p in timm.create_model(name).parameters())
        if size > MAX_PARAMETERS:
            return row | {"failed": f"not run: {size / 1e6:.0f} M parameters"}
        backbone = small(name)
        row |= _facts(backbone)
        row["failed"] = "; ".join(faults(backbone))
    except UserError as error:
        row["failed"] = " ".join(str(error).split())
    except Exception as error:  # a sweep goes on
        row["failed"] = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
    return row | {"seconds": round(time.perf_counter() - start, 1)}


def _facts(backbone: Backbone) -> dict[str, Any]:
    ops = backbone.operations
    layouts = Counter(ops["block", i].layout.name for i in range(backbone.depth))
    present = {site: sum(s == site for s, _ in ops) for site in backbone.sites}
    sites = [
        site if n == backbone.depth or site in ("stem", "tail") else f"{site} ({n})" for site, n in present.items()
    ]
    return {
        "img_size": backbone.img_size,
        "layout": ", ".join(layouts),
        "depth": backbone.depth,
        "width": backbone.width,
        "sites": ", ".join(sites),
    }


def page(rows: list[dict[str, Any]]) -> str:
    """docs/backbones.md."""
    good = [row for row in rows if not row["failed"]]
    held = (
        f"`tools/sweep_backbones.py` attached tuners at every site of {len(rows)} architectures of {_families(rows)} "
        f"timm families (timm {timm.__version__}, random weights, small images). On {len(good)} of them, of "
        f"{_families(good)} families, all of this held: adapters and LoRA that start as the identity leave the output "
        "as it was bit for bit, every tuner tensor learns within three steps, no frozen tensor changes, detaching "
        "restores the output bit for bit, and the counts of the formulas are those built. What failed is in the last "
        "column."
    )
    sites = (
        "A number behind a site says in how many of the blocks it is. Relative positions such as `all` or `last/3` "
        "mean those of their blocks that have the site. A few attention classes read the weights of their Linears "
        "without calling them (BEiT's and EVA's qkv, Swin v2's): such a part is no site."
    )
    lines = [
        "# Backbones",
        "",
        held,
        "",
        sites,
        "",
        "| architecture | family | layout | blocks | sites | failed |",
        "|---|---|---|---|---|---|",
    ]
    for row in sorted(rows, key=lambda row: (row["family"], row["name"])):
        told = (row["name"], row["family"], row.get("layout", ""), row.get("depth", ""), row.get("sites", ""))
        lines.append(f"| {' | '.join(map(str, told))} | {row['failed'].replace('|', ', ')} |")
    return "\n".join(lines) + "\n"


def _families(rows: list[dict[str, Any]]) -> int:
    return len({row["family"] for row in rows})


def main() -> None:
    """Run what is missing, then write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", default=ARCHITECTURES)
    parser.add_argument("--out", type=Path, default=Path("sweep.jsonl"))
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    known = [json.loads(line) for line in arguments.out.read_text().splitlines()] if arguments.out.exists() else []
    for name in arguments.names:
        if name not in {row["name"] for row in known}:
            known.append(sweep(name))
            with arguments.out.open("a") as file:
                file.write(json.dumps(known[-1]) + "\n")
            print(known[-1]["name"], known[-1].get("seconds"), known[-1]["failed"] or "ok", flush=True)
    PAGE.write_text(page(known))


if __name__ == "__main__":
    main()
