"""Records of a made-up search: what the reports draw is checked against them, so nothing is trained here."""

import math
import os
import random
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from utsearch.pareto import Scale
from utsearch.report.groups import About
from utsearch.report.story import Confirmed, Rivalry, Story
from utsearch.search import Record

KNOWN = {
    "linear": ("linear", 0, 0.512),
    "lora-8": ("qkv:lora(8)@all", 24576, 0.741),
    "lora-1": ("qkv:lora(1)@all", 3072, 0.668),
    "adaptformer": ("ffn:adapter(16, insert=parallel, scale=0.1)@all", 19296, 0.735),
    "houlsby": ("mha:adapter(8) + ffn:adapter(8)@all", 20064, 0.752),
    "pfeiffer": ("ffn:adapter(16)@all", 19300, 0.729),
    "adapter-plus": ("block:adapter(8, scale=channel)@all", 10704, 0.738),
    "vpt-deep": ("mha:prompt(10)@all", 5760, 0.671),
    "prefix-10": ("mha:prefix(10)@all", 11520, 0.662),
    "ssf": ("linears|norms:ssf@all", 14976, 0.704),
}


def make_record(number: int = 0, **given: Any) -> Record:
    """A finished trial of 4 rungs with 2,000 validation images; every field can be given."""
    values: dict[str, Any] = {
        "number": number,
        "design": f"ffn:adapter({number + 1})@last/2",
        "digest": f"{number:016x}",
        "n_params": 1000 * (number + 1),
        "n_head": 3880,
        "top1": 0.7,
        "epoch": 12,
        "status": "finished",
        "baseline": None,
        "seconds": 31.0 + number,
        "reason": None,
        "seed": 0,
        "started": datetime(2026, 1, 2, 3, 4, number % 60, tzinfo=UTC),
        **given,
    }
    top1 = values["top1"]
    error = None if top1 is None else math.sqrt(top1 * (1 - top1) / 2000)
    epochs = [epoch for epoch in (1, 3, 6, 12) if epoch <= values["epoch"]] if top1 is not None else []
    rungs = tuple({"index": i, "epoch": epoch, "top1": top1 * epoch / epochs[-1]} for i, epoch in enumerate(epochs))
    return Record(**{"standard_error": error, "rungs": rungs, **values})


def make_study(new: int = 48, seed: int = 3) -> list[Record]:
    """Catalogue designs first, then new ones: a third finished, half stopped, a few failed, repeated or too large."""
    rng = random.Random(seed)
    known = [
        make_record(i, baseline=name, design=design, n_params=n_params, top1=top1)
        for i, (name, (design, n_params, top1)) in enumerate(KNOWN.items())
    ]
    return known + [_random_record(len(known) + i, rng) for i in range(new)]


def _random_record(number: int, rng: random.Random) -> Record:
    sites, form = rng.choice(["mha", "ffn", "block", "qkv"]), rng.choice(["adapter", "lora", "prefix", "ssf"])
    design = f"{sites}:{form}({rng.choice([1, 2, 4, 8, 16])})@{rng.choice(['all', 'last/2', '3-5', '2,4'])}"
    if rng.random() < 0.5:
        design += f" + ffn:adapter({rng.choice([2, 4, 8])}, act=relu, insert=parallel)@first/2"
    n_params = round(10 ** rng.uniform(2.4, 5.1))
    best = 0.53 + 0.24 * (1 - math.exp(-n_params / 4000))
    fate = rng.choices(["finished", "stopped", "failed", "duplicate", "infeasible"], [34, 50, 5, 8, 3])[0]
    lost = abs(rng.gauss(0, 0.045))
    given: dict[str, Any] = {"design": design, "n_params": n_params, "status": fate}
    if fate in ("failed", "infeasible"):
        return make_record(number, **given, top1=None, epoch=0, reason="the loss became NaN")
    if fate == "stopped":
        epoch = rng.choice([1, 1, 3, 6])
        return make_record(number, **given, top1=best - lost - {1: 0.14, 3: 0.08, 6: 0.05}[epoch], epoch=epoch)
    return make_record(number, **given, top1=best - lost)


@pytest.fixture(scope="session")
def study() -> Sequence[Record]:
    """About 60 trials."""
    return make_study()


@pytest.fixture(scope="session")
def about() -> About:
    """The words and constants that go with them."""
    settings = {
        "dataset": {"name": "mini-birds", "fingerprint": "6a1f0c52d9e37b84", "classes": 40, "train": 800, "val": 2000},
        "backbone": {"name": "vit_mini", "weights": "vit_mini 1", "fingerprint": "03c9d2ab5517ee60", "img_size": 64},
        "recipe": {"epochs": 12, "rungs": [1, 3, 6, 12], "learning_rate": 0.002, "fingerprint": "99b0aa7144c2d0f1"},
        "space": {"name": "mini", "fingerprint": "5e0c6b1f2a7d9384"},
        "seed": 0,
        "versions": {"utsearch": "0.1.0", "torch": "2.15.0", "timm": "1.0.31", "optuna": "5.0.0", "python": "3.11.2"},
    }
    return About.of("birds", settings, Scale(200, 200_000, 0.512))


@pytest.fixture(scope="session")
def record() -> Callable[..., Record]:
    """A function that makes one record."""
    return make_record


BROWSERS = (os.environ.get("CHROMIUM", ""), "chromium", "chromium-browser", "google-chrome", "chrome")


@pytest.fixture(scope="session")
def chromium() -> str:
    """The path of a Chromium; without one the test is skipped."""
    for name in BROWSERS:
        if name and (path := shutil.which(name)):
            return path
    pytest.skip("no Chromium on this machine (set CHROMIUM to its path)")


@pytest.fixture(scope="session")
def story(study: Sequence[Record], about: About) -> Story:
    """All parts of a report."""
    return make_story(study, about)


def make_story(records: Sequence[Record], about: About) -> Story:
    """Records with costs, importance, and results over seeds."""
    costly = [
        replace(r, cost={"flops": 2e8 + 50 * r.n_params, "memory": 3e7 + 900 * r.n_params})
        if r.status == "finished"
        else r
        for r in records
    ]
    goals = ("reaching the front", "top-1", "few parameters")
    return Story(
        about,
        costly,
        depth=6,
        importance={goal: {"ffn.form": 0.6, "mha.rank": 0.3, "qkv.first": 0.1} for goal in goals},
        confirmed=[
            Confirmed("lora-8", "qkv:lora(8)", 24576, known=True, top1=0.74, interval=(0.732, 0.749), seeds=5),
            Confirmed("trial 33", "ffn:adapter(4)@last/2", 4000, known=False, top1=0.76, interval=None, seeds=1),
        ],
        rivalries=[Rivalry("trial 33", "lora-8", 0.02, 0.01, 0.03, 0.004, "better")],
        sessions=[{"host": "vm", "started": "2026-01-01", "command": "cli.py search"}],
    )


@pytest.fixture(scope="session")
def many() -> Callable[[int], list[Record]]:
    """A function that makes a study of so many new designs."""
    return make_study
