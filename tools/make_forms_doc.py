"""Write docs/forms.md from the forms themselves: formula, source, options, size, and where each may stand.

python tools/make_forms_doc.py
"""

from pathlib import Path

import timm
import torch

from utsearch.backbones import Backbone, Tuner
from utsearch.forms import catalogue
from utsearch.tuning import Placement, count, placements

PATH = Path(__file__).parents[1] / "docs" / "forms.md"
INTRO = """# Forms

Written by `python tools/make_forms_doc.py` from the forms themselves. Sizes are those of one slot at the named site of
a ViT-B/16 (all blocks, rank 8, head not counted). `gate=sigmoid` and `gate=scalar` are options of every form: a factor
on what the tuner changes, of d + 1 values (read from the operation's input) or one.
[new-form.md](new-form.md) adds a form.
"""


def vit_base() -> Backbone:
    """Of ViT-B/16 shapes are enough."""
    with torch.device("meta"):
        return Backbone("vit_base", "none", timm.create_model("vit_base_patch16_224", num_classes=0), 224)


def page() -> str:
    """The whole file."""
    backbone = vit_base()
    found = list(placements(backbone))
    parts = [INTRO]
    for name, form in catalogue().items():
        parts.append(_form(form, [row for row in found if row.form == name], backbone))
    return "\n".join(parts)


def _form(form: type[Tuner], rows: list[Placement], backbone: Backbone) -> str:
    info = form.info()
    fits = [row for row in rows if row.reason is None]
    design = f"{fits[0].site}:{form.name}" + ("(8)" if info.rank else "")
    options = [f"`{key}={str(o.default).lower()}`" for key, o in info.options.items() if key != "gate"]
    doc = " ".join(line.strip() for line in (form.__doc__ or "").splitlines()[1:])
    facts = [
        f"## {form.name}",
        f"`{info.summary}` — {info.source}",
        doc.strip(),
        f"- stands at: {', '.join(dict.fromkeys(row.site for row in fits))}",
        f"- options: {', '.join(options) or 'none'}",
        f"- size: `{design}` has {count(design, backbone):,}; {(form.num_params.__doc__ or '').strip()} per operation",
        f"- starts as the identity: {_yes(_identity(form, backbone, fits[0].site))}; merges: {_yes(form.merges)}",
    ]
    reasons = dict.fromkeys(row.reason for row in rows if row.reason and row.site in info.sites)
    elsewhere = [f"- elsewhere: {info.elsewhere}"] if info.elsewhere else []
    refused = [*elsewhere, *(f"- {reason}" for reason in reasons)]
    return "\n".join([facts[0], "", facts[1], "", facts[2], "", *facts[3:], *refused, ""])


def _yes(fact: bool) -> str:
    return "yes" if fact else "no"


def _identity(form: type[Tuner], backbone: Backbone, site: str) -> bool:
    """Of a tuner as built with its default options: some forms decide it there."""
    op = next(op for (name, _), op in backbone.operations.items() if name == site)
    with torch.device("meta"):
        return form.build(op, 8 if form.info().rank else None, {}).identity


if __name__ == "__main__":
    PATH.write_text(page(), encoding="utf-8")
    print(f"wrote {PATH}")
