"""`export`: the chosen tuner as a folder that loads anywhere."""

from pathlib import Path
from typing import Annotated

import typer

from utsearch.cli.options import STUDIES, Storage, Studies, StudyName


def export(
    out: Annotated[Path, typer.Option(help="Folder to write.")],
    study: StudyName = None,
    pick: Annotated[
        str, typer.Option(help="best, knee, under=50k (best with at most 50,000 tuner parameters), or trial=7.")
    ] = "best",
    also: Annotated[
        list[str] | None,
        typer.Option(
            help="Other formats, each may be given: timm (folded into plain weights), peft, onnx, pt2 (torch.export)."
        ),
    ] = None,
    storage: Storage = None,
    studies: Studies = STUDIES,
) -> None:
    """Write the best tuner of a study as a folder that loads anywhere.

    Example: python cli.py export --out my-tuner --pick under=5k --also timm --also onnx
    """
    from utsearch.export import load, write_export
    from utsearch.formats import writer
    from utsearch.report.picture import front_picture
    from utsearch.search import open_study, pick_record
    from utsearch.search.card import card_of

    writers = [writer(name) for name in also or []]
    opened = open_study(study, storage, studies_dir=studies)
    record = pick_record(opened.records(), pick)
    card = card_of(opened, record)
    write_export(out, card, opened.weights(record.number), front_picture(opened.records(), record.number))
    metrics, seen = card.metrics, card.metrics.confirmed
    sure = f"; confirmed: {100 * seen.test_top1:.1f} % test top-1 over {seen.seeds} seeds" if seen else ""
    print(
        f"wrote {out}: {record.design}, {record.n_params:,} tuner parameters, "
        f"{100 * metrics.val_top1:.1f} ± {100 * metrics.standard_error:.1f} % val top-1 (one seed){sure}"
    )
    for write in writers:
        print(f"wrote {write(load(out), out)}")
