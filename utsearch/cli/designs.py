"""`designs`: the known methods as designs, and what they cost on a backbone."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from utsearch.cli.options import BackboneName
from utsearch.cli.printing import print_json

if TYPE_CHECKING:
    from utsearch.backbones import Backbone
    from utsearch.tuning import Known


def designs(
    backbone: BackboneName = "vit_mini",
    as_json: Annotated[bool, typer.Option("--json", help="Print them as JSON.")] = False,
) -> None:
    """List the known methods as designs: formula, source, parameters on a backbone, and whether they merge.

    Weights are not loaded: only shapes matter.

    Example: python cli.py designs --backbone vit_base_patch16_224
    """
    from utsearch.backbones import load_backbone
    from utsearch.tuning import known_designs

    network = load_backbone(backbone, pretrained=False)
    rows = [_row(known, network) for known in known_designs()]
    if as_json:
        print_json({"backbone": backbone, "designs": rows})
    else:
        _print(rows, backbone)


def _row(known: "Known", backbone: "Backbone") -> dict[str, Any]:
    """One method; without parameters, and with the reason, where it does not fit."""
    from utsearch.design import DesignError
    from utsearch.forms import catalogue
    from utsearch.tuning import resolve

    n_params: int | None = None
    reason: str | None = None
    try:
        n_params = resolve(known.design, backbone).n_params
    except DesignError as error:
        reason = error.reason
    return {
        "name": known.name,
        "design": str(known.design),
        "formula": known.formula,
        "source": known.source,
        "n_params": n_params,
        "merges": all(catalogue()[s.form].merges and "gate" not in dict(s.options) for s in known.design.slots),
        "enqueued": known.enqueue,
        "does_not_fit": reason,
    }


def _print(rows: list[dict[str, Any]], backbone: str) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title=f"Known designs on {backbone} (head not counted)", title_justify="left")
    for column in ("name", "design and formula", "source", "merges"):
        table.add_column(column, overflow="fold")
    table.add_column("parameters", justify="right")
    for row in rows:
        cost = f"{row['n_params']:,}" if row["does_not_fit"] is None else "does not fit"
        what = f"{row['design']}\n{row['formula']}" + (f"\n{row['does_not_fit']}" if row["does_not_fit"] else "")
        table.add_row(row["name"], what, row["source"], "yes" if row["merges"] else "no", cost)
    Console(markup=False, highlight=False).print(table)
