"""The README of an export: a model card as the Hugging Face hub reads it."""

from pathlib import PurePath
from typing import TYPE_CHECKING

from utsearch.card import Card

if TYPE_CHECKING:
    from huggingface_hub import EvalResult

PICTURE = "front.png"


def model_card(name: str, card: Card, *, with_picture: bool) -> str:
    """Front matter for the hub, then what the tuner is, what is known of it, and how to load it.

    Args:
        name: of the folder.
        card: what the export says of itself.
        with_picture: whether the front's picture lies beside it.
    """
    from huggingface_hub import ModelCardData  # here: it takes half a second to load

    backbone, metrics = card.backbone, card.metrics
    data = ModelCardData(
        library_name="utsearch",
        pipeline_tag="image-classification",
        tags=["utsearch", "parameter-efficient", "timm", *_forms(card)],
        base_model=_hub_name(backbone.weights),
        model_name=name,
        eval_results=_results(card),
    )
    picture = f"![the front of the search, this design marked]({PICTURE})\n\n" if with_picture else ""
    return f"""---
{data.to_yaml()}
---

# A tuner for `{backbone.name}`

    {card.design}

{picture}{metrics.n_params:,} tuner parameters and a head of {metrics.n_head:,}, {len(card.class_names)} classes of
`{_data_name(card)}`. Backbone weights: {backbone.weights}, fingerprint `{backbone.fingerprint}`.

## How good is it?

{_trust(card)}

## Use

```python
import utsearch
tuned = utsearch.load("{name}")  # .model, .transform and .class_names, ready to use
print(tuned.classify("image.png")[:3])
```

`python cli.py predict {name} image.png` does the same. `design.json` says what made it, and
`python cli.py train --config {name}` trains it again.
"""


def _trust(card: Card) -> str:
    metrics = card.metrics
    runs = "one seed" if metrics.seeds == 1 else f"{metrics.seeds} seeds"
    own = (
        f"These weights: {100 * metrics.val_top1:.1f} ± {100 * metrics.standard_error:.1f} % top-1 on validation "
        f"({runs}"
    )
    if card.provenance.get("study"):
        own += ", chosen as the best of a search, so expect a little less on new images"
    seen = metrics.confirmed
    if seen is None:
        return f"{own}). The design was not confirmed over fresh seeds."
    rate = "" if seen.rate == 1 else f", at {seen.rate:g} times the learning rate"
    return (
        f"{own}).\n\nThe design, confirmed: {100 * seen.test_top1:.1f} % top-1 on test, mean of {seen.seeds} fresh "
        f"seeds (95% interval {100 * seen.low:.1f} to {100 * seen.high:.1f}, over seeds and images){rate}."
    )


def _results(card: Card) -> "list[EvalResult]":
    """Validation of these weights, and test of the design where it was confirmed."""
    from huggingface_hub import EvalResult

    found = [("validation", "validation top-1 of these weights", card.metrics.val_top1)]
    if card.metrics.confirmed is not None:
        words = f"test top-1 of the design, mean of {card.metrics.confirmed.seeds} seeds"
        found.append(("test", words, card.metrics.confirmed.test_top1))
    dataset = _data_name(card)
    return [
        EvalResult(
            task_type="image-classification",
            dataset_type=dataset,
            dataset_name=dataset,
            dataset_split=split,
            metric_type="accuracy",
            metric_name=words,
            metric_value=round(value, 4),
        )
        for split, words, value in found
    ]


def _data_name(card: Card) -> str:
    """The data set's name, without the folders where it lay."""
    name = str(card.provenance.get("dataset", {}).get("name", "unknown"))
    reader, _, root = name.partition(":")
    return reader if root else PurePath(name).name


def _forms(card: Card) -> list[str]:
    from utsearch.design import Design, DesignError

    try:
        return sorted({slot.form for slot in Design.parse(card.design).slots})
    except DesignError:
        return []


def _hub_name(weights: str) -> str | None:
    """`timm/…` where the weights came from there."""
    found = [word for word in weights.split() if word.startswith("timm/")]
    return found[0] if found else None
