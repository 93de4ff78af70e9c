"""How fast are images decoded, how fast is the cache, and what does a view bank cost?

    python benchmarks/data.py --images 500 --out benchmarks/results/data.json

Writes JPEG images of a photo's size and texture into a temporary folder, and measures: decoding them (images/s, by
number of threads), opening the set again from the cache, taking a batch from the bank to the network's input, and
building the bank with each augmentation. A batch's share of a training step is for the embedded backbone.
"""

import argparse
import json
import os
import platform
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageFilter
from torch.nn import functional as F

from utsearch.data import Augmentation, normalise, open_dataset, preprocessing_of, view_bank
from utsearch.data import decode as decode_module
from utsearch.design import Design
from utsearch.files import write_atomic
from utsearch.training import open_problem
from utsearch.training.train import clone_head
from utsearch.tuning import Classifier, attached

AUGMENTATIONS = {
    "random crop, flip": Augmentation(),
    "resized crop, flip": Augmentation("resized"),
    "random crop, flip, jitter": Augmentation(jitter=0.4),
    "random crop, flip, RandAugment 2": Augmentation(randaugment=2),
}


def write_photos(folder: Path, n: int) -> None:
    """Smooth noise at 500×375 and quality 90: about the 100 kB of a CUB image."""
    rng = np.random.default_rng(0)
    for i in range(n):
        path = folder / f"class{i % 10}" / f"{i}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        small = Image.fromarray(rng.integers(0, 256, (94, 125, 3), dtype=np.uint8))
        small.resize((500, 375), Image.Resampling.BICUBIC).filter(ImageFilter.SHARPEN).save(path, quality=90)


def seconds(what: Callable[[], Any], repeats: int = 1) -> float:
    """The least time of a few calls, work on the GPU included."""
    times = []
    for _ in range(repeats):
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        started = time.perf_counter()
        what()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        times.append(time.perf_counter() - started)
    return min(times)


def decoding(folder: Path, n: int) -> dict[str, float]:
    """Images/s by threads without the cache, then the cache's own times."""
    found: dict[str, float] = {}
    preprocessing = preprocessing_of("vpt", 224)

    def opened() -> Any:
        return open_dataset(str(folder), img_size=224, preprocessing=preprocessing)

    usual, in_memory = decode_module.n_workers, decode_module.IN_MEMORY
    decode_module.IN_MEMORY = 2**62
    for threads in sorted({1, usual()}):
        decode_module.n_workers = lambda threads=threads: threads
        found[f"decode, {threads} threads, images/s"] = 0.85 * n / seconds(opened)  # without the test split
    decode_module.n_workers, decode_module.IN_MEMORY = usual, 0
    found["decode into the cache, seconds"] = seconds(opened)
    found["open from the cache, seconds"] = seconds(opened, 3)
    decode_module.IN_MEMORY = in_memory
    return found


def banks(folder: Path, device: str) -> dict[str, float]:
    """Views/s of each augmentation on the device, and whether one seed gives one bank."""
    preprocessing = preprocessing_of("vpt", 224)
    data = open_dataset(str(folder), img_size=224, preprocessing=preprocessing)
    found = {}
    for name, chosen in AUGMENTATIONS.items():

        def build(chosen: Augmentation = chosen) -> torch.Tensor:
            return view_bank(data.train, data.preprocessing, views=1, seed=0, augmentation=chosen, device=device)

        first = build()
        found[f"{name}, views/s"] = len(data.train) / seconds(build, 2)
        found[f"{name}, repeats to the bit"] = float(torch.equal(first, build()))
    return found


def feeding(device: str) -> dict[str, float]:
    """A batch of the bank against forward and backward of LoRA on every attention; the optimiser would come on top."""
    problem = open_problem("mini-birds", device=device)
    backbone, material, size = problem.backbone, problem.material, problem.recipe.batch_size
    order = torch.randperm(len(material.labels))[:size].to(material.bank.device)

    def feed() -> Any:
        return normalise(material.bank[0][order], backbone.mean, backbone.std), material.labels[order]

    with attached(backbone, Design.parse("mha:lora(8)")) as tuned:
        model = Classifier(backbone, clone_head(problem.first_head), tuned)
        images, labels = feed()
        step = seconds(lambda: F.cross_entropy(model(images), labels).backward(), 20)
    batch = seconds(feed, 50)
    return {"batch, ms": 1e3 * batch, "step, ms": 1e3 * step, "batch / step": batch / step}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=500)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        os.environ["UTSEARCH_CACHE"] = f"{name}/cache"
        folder = Path(name) / "photos"
        write_photos(folder, options.images)
        size = sum(path.stat().st_size for path in folder.rglob("*.jpg")) / options.images
        result = {
            "machine": f"{platform.machine()}, {os.cpu_count()} processors, device {options.device}"
            + (f" ({torch.cuda.get_device_name()})" if options.device == "cuda" else ""),
            "torch": torch.__version__,
            "images": options.images,
            "bytes per image": round(size),
            "decoding": decoding(folder, options.images),
            "bank": banks(folder, options.device),
            "feeding": feeding(options.device),
        }
    text = json.dumps(result, indent=2)
    print(text)
    if options.out:
        write_atomic(options.out, text + "\n")


if __name__ == "__main__":
    main()
