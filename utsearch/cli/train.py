"""`train`: one design without a search."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from utsearch.cli.completing import complete_design
from utsearch.cli.options import (
    BackboneName,
    Classes,
    Compile,
    DatasetName,
    Decoders,
    Device,
    Fraction,
    ImgSize,
    Pool,
    Protocol,
    RecipeText,
    Seed,
    Shots,
    SubsetSeed,
    Threads,
    ValShots,
)

if TYPE_CHECKING:
    from utsearch.card import Card
    from utsearch.design import Design
    from utsearch.training import Problem, Run, Rung
    from utsearch.tuning import Resolved


def train(
    design: Annotated[
        str | None,
        typer.Option(
            help="The design, such as 'mha:lora(8)@all', or a known one's name.", autocompletion=complete_design
        ),
    ] = None,
    config: Annotated[
        Path | None, typer.Option(help="An export folder: repeat the run that made it, with its data, recipe and seed.")
    ] = None,
    dataset: DatasetName = "mini-birds",
    backbone: BackboneName = "vit_mini",
    seed: Seed = 0,
    recipe: RecipeText = "",
    threads: Threads = None,
    out: Annotated[Path | None, typer.Option(help="Export folder to write.")] = None,
    device: Device = "auto",
    classes: Classes = None,
    shots: Shots = None,
    fraction: Fraction = None,
    val_shots: ValShots = None,
    subset_seed: SubsetSeed = 0,
    protocol: Protocol = None,
    img_size: ImgSize = None,
    pool: Pool = None,
    compiled: Compile = False,
    decoders: Decoders = None,
) -> None:
    """Train one design with the search's own recipe and validate it at every rung.

    Example: python cli.py train --design "qkv:lora(8)" --dataset mini-cars --out my-lora
    """
    from utsearch.cli.opening import Chosen, use_threads
    from utsearch.data import Subset
    from utsearch.errors import UserError
    from utsearch.tuning import named

    use_threads(threads)
    if (design is None) == (config is None):
        raise UserError("give either --design, as in --design 'mha:lora(8)', or --config with an export folder")
    if config is not None:
        _repeat(config, out, device)
        return
    parsed = named(design or "")
    subset = Subset(classes, shots, fraction, val_shots, subset_seed)
    _train(
        Chosen(dataset, backbone, recipe, device, seed, subset, protocol, img_size, pool, compiled, decoders).open(),
        parsed,
        seed,
        out,
    )


def _repeat(config: Path, out: Path | None, device: str) -> None:
    """The run behind an export, and whether it gives the recorded accuracy again."""
    from utsearch.data import Subset
    from utsearch.design import Design
    from utsearch.errors import UserError
    from utsearch.export import read_card
    from utsearch.training import Recipe, open_problem

    card = read_card(config)
    made = card.provenance
    if missing := [key for key in ("dataset", "recipe", "views_seed", "seed") if key not in made]:
        raise UserError(f"{config} does not say how it was made: it has no {', '.join(missing)}")
    recipe = Recipe.from_dict(made["recipe"])
    problem = open_problem(
        made["dataset"]["name"],
        card.backbone.name,
        recipe=recipe,
        device=device,
        seed=made["views_seed"],
        subset=Subset(**made["dataset"].get("subset", {})),
        protocol=card.preprocessing.protocol,
        img_size=card.backbone.img_size,
        pool=card.backbone.pool,
    )
    _same_data(card, problem)
    top1 = _train(problem, Design.parse(card.design), made["seed"], out, until=card.metrics.epoch).top1
    recorded = card.metrics.val_top1
    same = "the same" if top1 == recorded else "another machine, library version or thread count may round differently"
    print(f"recorded: {100 * recorded:.2f} %, now {100 * top1:.2f} %: {same}")


def _same_data(card: "Card", problem: "Problem") -> None:
    from utsearch.errors import UserError

    here, then = problem.dataset.fingerprint, card.provenance["dataset"]["fingerprint"]
    if here != then:
        raise UserError(f"{problem.dataset.name} has fingerprint {here} here, the run was made with {then}")
    if problem.backbone.fingerprint != card.backbone.fingerprint:
        raise UserError(
            f"{card.backbone.name} has weights {problem.backbone.fingerprint} here, "
            f"the run was made with {card.backbone.fingerprint}"
        )


def _train(problem: "Problem", design: "Design", seed: int, out: Path | None, until: int | None = None) -> "Rung":
    """Print every rung, up to an epoch if one is given; write the export."""
    resolved = problem.resolve(design)
    print(f"{resolved.design}: {resolved.n_params:,} tuner parameters, {problem.n_head:,} in the head", flush=True)
    run = problem.start(resolved.design, seed)
    for rung in run.rungs():
        print(
            f"epoch {rung.epoch}: {100 * rung.top1:.1f} ± {100 * rung.standard_error:.1f} % val top-1 "
            f"(balanced {100 * rung.balanced:.1f} %), loss {rung.loss:.3f}, ECE {100 * rung.ece:.1f} %, "
            f"{rung.images_per_second:.0f} images/s, {rung.seconds:.0f} s",
            flush=True,
        )
        if rung.epoch == until:
            break
    if out is not None:
        _export(problem, run, rung, resolved, seed, out)
    return rung


def _export(problem: "Problem", run: "Run", rung: "Rung", resolved: "Resolved", seed: int, out: Path) -> None:
    from tempfile import TemporaryDirectory

    from utsearch.card import Metrics, make_card
    from utsearch.export import write_export

    metrics = Metrics(
        val_top1=rung.top1,
        standard_error=rung.standard_error,
        n_params=resolved.n_params,
        n_head=problem.n_head,
        epoch=rung.epoch,
        seconds=rung.seconds,
        seeds=1,
    )
    card = make_card(problem.settings, str(resolved.design), metrics, {"digest": resolved.digest, "seed": seed})
    with TemporaryDirectory() as folder:
        run.save(Path(folder) / "weights")
        write_export(out, card, Path(folder) / "weights")
    print(f"wrote {out}")
