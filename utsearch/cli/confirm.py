"""`confirm`: the front over fresh seeds, against every known form of its size."""

from typing import Annotated

import typer

from utsearch.cli.completing import complete_design
from utsearch.cli.options import STUDIES, AsJson, Cache, Device, Storage, Studies, StudyName, Threads


def confirm(
    study: StudyName = None,
    most: Annotated[
        int | None, typer.Option(min=1, help="Only so many new designs of the front: the clearest on validation.")
    ] = None,
    front: Annotated[bool, typer.Option("--front/--no-front", help="The designs of the Pareto front.")] = True,
    trial: Annotated[list[int] | None, typer.Option(help="A trial by its number; may be given several times.")] = None,
    design: Annotated[
        list[str] | None,
        typer.Option(
            help="A design or a known one's name; may be given several times.", autocompletion=complete_design
        ),
    ] = None,
    seeds: Annotated[int, typer.Option(min=2, help="Fresh seeds, the same for all designs.")] = 5,
    rates: Annotated[int, typer.Option(help="Learning rates to try on validation for every design: 1, 3 or 5.")] = 3,
    bounds: Annotated[bool, typer.Option("--bounds", help="Full fine-tuning too.")] = False,
    part: Annotated[
        str, typer.Option(help="Train only this part of the designs: 1/2 in one process, 2/2 in another.")
    ] = "1/1",
    as_json: AsJson = False,
    storage: Storage = None,
    studies: Studies = STUDIES,
    device: Device = "auto",
    threads: Threads = None,
    cache: Cache = "1g",
) -> None:
    """Confirm the front: retrain it over fresh seeds against every known form of its size, and say what beats what.

    For each new design every known form is trained too, at the largest rank that has no more parameters. All try the
    same number of learning rates on validation; then train and val are learnt from, and test is read once. Means have
    95% intervals over seeds and images; p-values are corrected for the number of comparisons (Holm). Every run is kept:
    the same command goes on after Ctrl-C, and without --part it collects what parts have trained.

    Example: python cli.py confirm --study cars --most 3 --seeds 10 --threads 1 --part 1/2
    """
    from dataclasses import replace

    from utsearch.cli.opening import problem_of, use_threads
    from utsearch.cli.retrain import Retraining, check_rates, full, given_designs, part_of, tell, with_peers
    from utsearch.search import open_study, parse_bytes
    from utsearch.search.evaluation import choose

    check_rates(rates)
    piece, room = part_of(part), parse_bytes(cache)
    use_threads(threads)
    opened = open_study(study, storage, studies_dir=studies)
    chosen = choose(opened.records(), front=front, trials=trial or [], baselines=False, most=most)
    problem = replace(problem_of(opened, device), cache=room)
    subjects = with_peers(given_designs(chosen, problem, design or []), problem)
    subjects = [*subjects, full(problem)] if bounds else subjects

    def say(line: str) -> None:
        if not as_json:
            print(line, flush=True)

    found = Retraining(opened, problem, seeds, rates, piece, say=say).run(subjects)
    if piece == (1, 1):
        tell(found, whole=False, as_json=as_json)
    else:
        say(f"part {part} is done; when the others are, the same command without --part tells the result")
