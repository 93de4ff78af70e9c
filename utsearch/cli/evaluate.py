"""`evaluate`: chosen designs over fresh seeds, trained on train+val and read on test once."""

from typing import TYPE_CHECKING, Annotated

import typer

from utsearch.cli.options import STUDIES, Device, Storage, Studies, StudyName, Threads

if TYPE_CHECKING:
    from utsearch.search import Study
    from utsearch.search.evaluation import Result, Subject
    from utsearch.training import Problem

RATES = {1: (1.0,), 3: (0.5, 1.0, 2.0), 5: (0.25, 0.5, 1.0, 2.0, 4.0)}


def evaluate(
    study: StudyName = None,
    front: Annotated[bool, typer.Option("--front/--no-front", help="The designs of the Pareto front.")] = True,
    top: Annotated[int, typer.Option(min=0, help="The best by validation, as many.")] = 0,
    trial: Annotated[list[int] | None, typer.Option(help="A trial by its number; may be given several times.")] = None,
    design: Annotated[list[str] | None, typer.Option(help="A design; may be given several times.")] = None,
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
) -> None:
    """Retrain chosen designs over fresh seeds on train+val, read test once, and say which new ones beat the known.

    What is chosen is chosen on validation. Every run is kept with the study; the same command goes on where it was.

    Example: python cli.py evaluate --front --seeds 5 --peers
    """
    from utsearch.cli.opening import problem_of, use_threads
    from utsearch.errors import UserError
    from utsearch.search import open_study
    from utsearch.search.evaluation import FIRST_SEED, WHOLE_SET, best_rates
    from utsearch.search.evaluation import evaluate as run_evaluation
    from utsearch.training.final import FinalProblem

    if rates not in RATES:
        raise UserError(f"--rates {rates} is none of {', '.join(map(str, RATES))}")
    use_threads(threads)
    opened = open_study(study, storage, studies_dir=studies)
    if full and not opened.settings["dataset"].get("subset"):
        raise UserError(f"study {opened.name!r} searched on its whole data set already: leave out --full")
    problem = problem_of(opened, device, whole=full)
    subjects = _subjects(opened, problem, front=front, top=top, trials=trial or [], designs=design or [])
    subjects = _with_peers(subjects, problem) if peers else subjects
    subjects = [*subjects, _full(problem)] if bounds else subjects

    def say(line: str) -> None:
        if not as_json:
            print(line, flush=True)

    say(f"{len(subjects)} designs, {seeds} seeds: test is read once by each run")
    if rates > 1:
        subjects = best_rates(
            opened,
            subjects,
            RATES[rates],
            FinalProblem.with_validation(problem),
            lambda s, rate, top1: say(f"{s.name} at {rate:g} times the rate: {100 * top1:.1f} % val top-1"),
        )
    found = run_evaluation(
        opened,
        subjects,
        range(FIRST_SEED, FIRST_SEED + seeds),
        lambda seed: FinalProblem.of(problem, seed),
        lambda o, done, total: say(f"{done}/{total} {o.subject.name}, seed {o.seed}: {100 * o.top1:.1f} % test top-1"),
        lambda s, seed, reason: say(f"{s.name}, seed {seed} failed: {reason}"),
        place=f"{WHOLE_SET}/" if full else "",
    )
    _tell(found, full=full, as_json=as_json)


def _tell(found: "list[Result]", *, full: bool, as_json: bool) -> None:
    """Tables or JSON, and after `--full` how far the order of the designs is kept."""
    import json

    from utsearch.report.confirmed import confirmed_json, print_confirmed
    from utsearch.search.evaluation import agreement, comparisons

    pairs, ranks = comparisons(found), agreement(found) if full else None
    if as_json:
        print(json.dumps({**confirmed_json(found, pairs), **({"rank_correlation": ranks} if full else {})}, indent=2))
        return
    print_confirmed(found, pairs)
    if ranks is not None:
        print(
            f"\nsubset's validation against the whole set's test, {ranks['designs']} designs: "
            f"Spearman's ρ {ranks['rho']:.2f}, 95 % interval {ranks['low']:.2f} to {ranks['high']:.2f}"
        )
    elif full:
        print("\ntoo few designs that differ to compare their order on the subset and on the whole set")


def _subjects(
    study: "Study", problem: "Problem", *, front: bool, top: int, trials: list[int], designs: list[str]
) -> "list[Subject]":
    """What the options choose from the study, and designs given as text."""
    from utsearch.design import Design
    from utsearch.search.evaluation import Subject, choose

    chosen = choose(study.records(), front=front, top=top, trials=trials)
    taken = {subject.digest for subject in chosen}
    for text in designs:
        resolved = problem.resolve(Design.parse(text))
        if resolved.digest not in taken:
            chosen.append(Subject(text, str(resolved.design), resolved.digest, resolved.n_params, known=False))
    return chosen


def _with_peers(subjects: "list[Subject]", problem: "Problem") -> "list[Subject]":
    """The known methods at the size of every new design, each once."""
    from utsearch.search.evaluation import Subject
    from utsearch.tuning import peers

    found = {subject.digest: subject for subject in subjects}
    for subject in subjects:
        for name, design in ({} if subject.known else peers(problem.backbone, subject.n_params)).items():
            resolved = problem.resolve(design)
            peer = Subject(name, str(resolved.design), resolved.digest, resolved.n_params, known=True)
            found.setdefault(resolved.digest, peer)
    return list(found.values())


def _full(problem: "Problem") -> "Subject":
    """Full fine-tuning; its size is the backbone's."""
    from utsearch.search.evaluation import FULL, Subject

    return Subject(FULL, "", FULL, sum(p.numel() for p in problem.backbone.model.parameters()), known=True)
