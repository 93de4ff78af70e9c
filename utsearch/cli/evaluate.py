"""`evaluate`: chosen designs over fresh seeds, trained on train+val and read on test once."""

from typing import Annotated

import typer

from utsearch.cli.completing import complete_design
from utsearch.cli.options import STUDIES, Cache, Device, Storage, Studies, StudyName, Threads


def evaluate(
    study: StudyName = None,
    front: Annotated[bool, typer.Option("--front/--no-front", help="The designs of the Pareto front.")] = True,
    top: Annotated[int, typer.Option(min=0, help="The best by validation, as many.")] = 0,
    trial: Annotated[list[int] | None, typer.Option(help="A trial by its number; may be given several times.")] = None,
    design: Annotated[
        list[str] | None,
        typer.Option(
            help="A design or a known one's name; may be given several times.", autocompletion=complete_design
        ),
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Fresh seeds, the same for all designs.")] = 3,
    bounds: Annotated[bool, typer.Option("--bounds/--no-bounds", help="Full fine-tuning too.")] = True,
    peers: Annotated[
        bool, typer.Option("--peers", help="Every known method at its largest rank within each new design's size.")
    ] = False,
    rates: Annotated[int, typer.Option(help="Learning rates to try on validation for every design: 1, 3 or 5.")] = 1,
    full: Annotated[
        bool, typer.Option("--full", help="On the whole data set, where the study searched on a subset of it.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
    storage: Storage = None,
    studies: Studies = STUDIES,
    device: Device = "auto",
    threads: Threads = None,
    cache: Cache = "1g",
) -> None:
    """Retrain chosen designs and the study's baselines over fresh seeds on train+val, and read test once.

    What is chosen is chosen on validation. Every run is kept with the study; the same command goes on where it was.
    `confirm` is this with everything that a claim needs.

    Example: python cli.py evaluate --front --seeds 5
    """
    from dataclasses import replace

    from utsearch.cli.opening import problem_of, use_threads
    from utsearch.cli.retrain import Retraining, check_rates, given_designs, tell, with_peers
    from utsearch.cli.retrain import full as full_tuning
    from utsearch.errors import UserError
    from utsearch.search import open_study, parse_bytes
    from utsearch.search.evaluation import WHOLE_SET, choose

    check_rates(rates)
    room = parse_bytes(cache)
    use_threads(threads)
    opened = open_study(study, storage, studies_dir=studies)
    if full and not opened.settings["dataset"].get("subset"):
        raise UserError(f"study {opened.name!r} searched on its whole data set already: leave out --full")
    chosen = choose(opened.records(), front=front, top=top, trials=trial or [])
    problem = replace(problem_of(opened, device, whole=full), cache=room)
    subjects = given_designs(chosen, problem, design or [])
    subjects = with_peers(subjects, problem) if peers else subjects
    subjects = [*subjects, full_tuning(problem)] if bounds else subjects

    def say(line: str) -> None:
        if not as_json:
            print(line, flush=True)

    place = f"{WHOLE_SET}/" if full else ""
    found = Retraining(opened, problem, seeds, rates, place=place, say=say).run(subjects)
    tell(found, whole=full, as_json=as_json)
