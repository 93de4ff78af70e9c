"""What an export says of itself: `design.json`, whose schema this is."""

from collections.abc import Mapping
from importlib.metadata import version
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

FORMAT = 1


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class BackboneCard(_Strict):
    """Which frozen network the tuner belongs to: timm's name and the hash of the weights."""

    name: str
    weights: str
    fingerprint: str
    img_size: int = Field(gt=0, le=4096)
    pool: str | None = None


class PreprocessingCard(_Strict):
    """Short side to `resize`, centre crop to `crop` pixels, then the backbone's mean and deviation."""

    resize: int = Field(gt=0, le=8192)
    crop: int = Field(gt=0, le=4096)
    interpolation: Literal["nearest", "bilinear", "bicubic", "lanczos"] = "bilinear"
    protocol: str = ""
    mean: tuple[float, float, float]
    std: tuple[float, float, float]


class Confirmation(_Strict):
    """The design retrained over fresh seeds and read on test: mean top-1 and its 95% interval over seeds and images.

    `rate` is the factor of the recipe's tuner learning rate with which that was done.
    """

    test_top1: float = Field(ge=0, le=1)
    low: float = Field(ge=0, le=1)
    high: float = Field(ge=0, le=1)
    seeds: int = Field(ge=2)
    rate: float = Field(gt=0)


class Metrics(_Strict):
    """Validation results of the exported weights; `seeds` says how many runs stand behind them.

    `confirmed` is of the design, not of these weights; None where it was not confirmed.
    """

    val_top1: float = Field(ge=0, le=1)
    standard_error: float = Field(ge=0)
    n_params: int = Field(ge=0)
    n_head: int = Field(ge=0)
    epoch: int
    seconds: float
    seeds: int
    confirmed: Confirmation | None = None


class Card(_Strict):
    """Everything in `design.json`."""

    format: int
    design: str
    backbone: BackboneCard
    class_names: list[str] = Field(min_length=1, max_length=100_000)
    preprocessing: PreprocessingCard
    metrics: Metrics
    provenance: dict[str, Any]


def make_card(settings: Mapping[str, Any], design: str, metrics: Metrics, provenance: Mapping[str, Any]) -> Card:
    """The card of a design that was trained with these settings (`Problem.settings`, or what a study recorded)."""
    return Card(
        format=FORMAT,
        design=design,
        backbone=BackboneCard(**settings["backbone"]),
        class_names=settings["class_names"],
        preprocessing=PreprocessingCard(**settings["preprocessing"]),
        metrics=metrics,
        provenance={
            **{key: settings[key] for key in ("dataset", "recipe", "versions", "machine")},
            "views_seed": settings["seed"],
            "exported_by": f"utsearch {version('utsearch')}",
            **provenance,
        },
    )
