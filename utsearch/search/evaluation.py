"""The final evaluation: chosen designs retrained over fresh seeds and read on test once, kept with the study."""

import base64
import platform
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from utsearch.design import Design
from utsearch.errors import TrainingFailed
from utsearch.search.damage import ADVICE, check_outcome, readable
from utsearch.search.protocol import RunLike
from utsearch.search.record import Record, finished, front_records
from utsearch.search.storage import StudyError, database_errors
from utsearch.search.study import Study, check_writable
from utsearch.stats import Hits, spread

FIRST_SEED = 1000  # fresh: searches take small ones
FULL = "full"  # the name of full fine-tuning
PREFIX, RATES = "final/", "rate/"
WHOLE_SET = "whole"  # where outcomes on the whole set of a study on a subset are kept


class FinalRunLike(RunLike, Protocol):
    """A run that can say which images it classified right."""

    @property
    def correct(self) -> npt.NDArray[np.bool_]: ...


class FinalProblemLike(Protocol):
    """A problem that trains on train+val and reads test: see `utsearch.training.final`."""

    @property
    def settings(self) -> Mapping[str, Any]: ...
    def start(self, design: Design, seed: int = 0, rate: float = 1.0) -> FinalRunLike: ...
    def start_full(self, seed: int = 0, rate: float = 1.0) -> FinalRunLike: ...


@dataclass(frozen=True)
class Subject:
    """What is evaluated.

    Attributes:
        name: of the known design, `full`, or `trial 7`.
        design: canonical text; empty for full fine-tuning.
        digest: of the design.
        n_params: of the tuner.
        known: whether it is a bound or a design of the catalogue, with which new ones are compared.
        val_top1: of the search, by which it was chosen.
        rate: factor of the recipe's tuner learning rate.
    """

    name: str
    design: str
    digest: str
    n_params: int
    known: bool
    val_top1: float | None = None
    rate: float = 1.0

    @property
    def key(self) -> str:
        """Design and rate: what decides a result beside the seed."""
        return f"{self.digest}/{self.rate:g}"


@dataclass(frozen=True)
class Outcome:
    """One seed of one subject on test."""

    subject: Subject
    seed: int
    top1: float
    balanced: float
    loss: float
    ece: float
    seconds: float
    correct: npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Result:
    """A subject over its seeds."""

    subject: Subject
    outcomes: tuple[Outcome, ...]

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds, from small to large."""
        return tuple(outcome.seed for outcome in self.outcomes)

    @property
    def top1(self) -> float:
        """Mean over the seeds."""
        return statistics.mean(outcome.top1 for outcome in self.outcomes)

    @cached_property
    def interval(self) -> tuple[float, float] | None:
        """95% interval of the mean over seeds and images; None of one seed."""
        return None if len(self.outcomes) < 2 else spread(self.hits(self.seeds))

    def hits(self, seeds: Sequence[int]) -> Hits:
        """Which images were right, (seeds, images)."""
        return np.stack([outcome.correct for outcome in self.outcomes if outcome.seed in seeds])


def choose(
    records: Sequence[Record],
    *,
    front: bool = False,
    top: int = 0,
    trials: Sequence[int] = (),
    baselines: bool = True,
    most: int | None = None,
) -> list[Subject]:
    """Subjects of a study, chosen on validation alone.

    Args:
        records: of the study.
        front: those of the Pareto front.
        top: the best, as many.
        trials: by number.
        baselines: every finished baseline, on the front or not.
        most: of the front's new designs only so many: those that gain most on the best smaller baseline.

    Raises:
        StudyError: nothing has finished, or there is no such trial.
    """
    done = finished(list(records))
    if not done:
        raise StudyError("no trial has finished yet; go on with: python cli.py search")
    by_number = {record.number: record for record in done}
    if missing := [number for number in trials if number not in by_number]:
        raise StudyError(f"trial {missing[0]} has not finished; those that have: {_some(sorted(by_number))}")
    chosen = [record for record in done if record.baseline is not None] if baselines else []
    chosen += _clearest(done, most) if front else []
    chosen += sorted(done, key=lambda r: -(r.top1 or 0.0))[:top]
    chosen += [by_number[number] for number in trials]
    return list({record.digest: _subject(record) for record in chosen}.values())


def _clearest(done: list[Record], most: int | None) -> list[Record]:
    """The front, of its new designs only those that gain most on the baselines of at most their size."""
    members = front_records(done)
    known = [record for record in done if record.baseline is not None]

    def gain(record: Record) -> float:
        rivals = [rival.top1 or 0.0 for rival in known if rival.n_params <= record.n_params]
        return (record.top1 or 0.0) - max(rivals, default=0.0)

    new = sorted((record for record in members if record.baseline is None), key=gain, reverse=True)
    kept = {record.number for record in new[:most]}
    return [record for record in members if record.baseline is not None or record.number in kept]


def _subject(record: Record) -> Subject:
    name = record.baseline or f"trial {record.number}"
    return Subject(name, record.design, record.digest, record.n_params, record.baseline is not None, record.top1)


def _some(numbers: list[int]) -> str:
    return ", ".join(map(str, numbers[:10])) + (f" … {numbers[-1]}" if len(numbers) > 10 else "")


def evaluate(
    study: Study,
    subjects: Sequence[Subject],
    seeds: Sequence[int],
    problem_of: Callable[[int], FinalProblemLike],
    on_outcome: Callable[[Outcome, int, int], None] = lambda outcome, done, total: None,
    on_failure: Callable[[Subject, int, str], None] = lambda subject, seed, reason: None,
    *,
    place: str = "",
) -> list[Result]:
    """Run what the study does not hold yet; every outcome is stored as soon as it is there.

    Args:
        study: holds the outcomes.
        subjects: from `choose`.
        seeds: each decides views, initial values and order, the same for all subjects.
        problem_of: the final problem of a seed.
        on_outcome: is told each new outcome, how many runs are done, and how many there are.
        on_failure: is told what failed and why; the others go on.
        place: keeps outcomes on other data than the study's apart from those on its own.
    """
    stored = {(o.subject.key, o.seed) for o in outcomes(study, place)}
    total, done = len(subjects) * len(seeds), 0
    for seed in seeds:
        missing = [subject for subject in subjects if (subject.key, seed) not in stored]
        done += len(subjects) - len(missing)
        if not missing:
            continue
        check_writable(study)
        problem = problem_of(seed)
        for subject in missing:
            try:
                outcome = _run(problem, subject, seed)
            except TrainingFailed as error:
                on_failure(subject, seed, str(error))
                continue
            _store(study, outcome, problem, place)
            done += 1
            on_outcome(outcome, done, total)
    return results(study, subjects, seeds, place)


def best_rates(
    study: Study,
    subjects: Sequence[Subject],
    rates: Sequence[float],
    problem: FinalProblemLike,
    on_rate: Callable[[Subject, float, float], None] = lambda subject, rate, top1: None,
) -> list[Subject]:
    """The subjects, each at the learning rate that is best on validation: the same number of rates for all.

    Args:
        study: keeps what each rate gave.
        subjects: designs; the linear probe and full fine-tuning too.
        rates: factors of the recipe's rate; the search's own result is not reused, so that all are measured alike.
        problem: the search's own, which knows no test, at the seed of the search.
        on_rate: is told each result, new or stored.
    """
    chosen = []
    for subject in subjects:
        if not subject.n_params:  # the linear probe has nothing at this rate
            chosen.append(subject)
            continue
        found = {}
        for rate in rates:
            key = f"{RATES}{subject.digest}/{rate:g}"
            kept = study.optuna.user_attrs.get(key)
            if kept is None:
                check_writable(study)
                kept = _validate(problem, replace(subject, rate=rate), int(problem.settings.get("seed", 0)))
                with database_errors(study.url):
                    study.optuna.set_user_attr(key, kept)
            found[rate] = float(kept)
            on_rate(subject, rate, found[rate])
        chosen.append(replace(subject, rate=max(rates, key=lambda rate: found[rate])))
    return chosen


def _validate(problem: FinalProblemLike, subject: Subject, seed: int) -> float:
    try:
        return _run(problem, subject, seed).top1
    except TrainingFailed:  # a rate at which training diverges is a bad rate
        return 0.0


def _run(problem: FinalProblemLike, subject: Subject, seed: int) -> Outcome:
    if subject.name == FULL:
        run = problem.start_full(seed, subject.rate)
    else:
        run = problem.start(Design.parse(subject.design), seed, subject.rate)
    *_, last = run.rungs()
    return Outcome(subject, seed, last.top1, last.balanced, last.loss, last.ece, round(last.seconds, 1), run.correct)


def _store(study: Study, outcome: Outcome, problem: FinalProblemLike, place: str) -> None:
    value = {
        **asdict(outcome.subject),
        "seed": outcome.seed,
        "top1": outcome.top1,
        "balanced": outcome.balanced,
        "loss": outcome.loss,
        "ece": outcome.ece,
        "seconds": outcome.seconds,
        "images": len(outcome.correct),
        "correct": base64.b64encode(np.packbits(outcome.correct).tobytes()).decode(),
        "made_by": {
            "at": datetime.now(UTC).isoformat(timespec="seconds"),
            "host": platform.node(),
            **{key: problem.settings[key] for key in ("dataset", "versions", "machine") if key in problem.settings},
        },
    }
    with database_errors(study.url):
        study.optuna.set_user_attr(f"{place}{PREFIX}{outcome.subject.key}/{outcome.seed}", value)


def outcomes(study: Study, place: str = "") -> list[Outcome]:
    """All outcomes that are stored at a place, by default those on the study's own data."""
    with database_errors(study.url):
        kept = study.optuna.user_attrs
    mine = {key: value for key, value in sorted(kept.items()) if key.startswith(f"{place}{PREFIX}")}
    with readable("the study's final evaluation"):
        return [_outcome(check_outcome(key, value)) for key, value in mine.items()]


def _outcome(value: Mapping[str, Any]) -> Outcome:
    packed = np.frombuffer(base64.b64decode(value["correct"]), dtype=np.uint8)
    subject = Subject(**{field.name: value[field.name] for field in fields(Subject)})
    numbers = {name: value[name] for name in ("seed", "top1", "balanced", "loss", "ece", "seconds")}
    return Outcome(subject, **numbers, correct=np.unpackbits(packed, count=value["images"]).astype(bool))


def results(
    study: Study, subjects: Sequence[Subject] | None = None, seeds: Sequence[int] | None = None, place: str = ""
) -> list[Result]:
    """The stored outcomes by subject, from small to large; of `subjects` and `seeds` only, where given.

    Without `subjects`, a design that was evaluated at several rates stands there once: at the one with most seeds.
    """
    wanted = None if subjects is None else {subject.key for subject in subjects}
    grouped: dict[str, list[Outcome]] = {}
    for outcome in outcomes(study, place):
        if (wanted is None or outcome.subject.key in wanted) and (seeds is None or outcome.seed in seeds):
            grouped.setdefault(outcome.subject.key, []).append(outcome)
    for rows in grouped.values():
        if len({len(outcome.correct) for outcome in rows}) > 1:
            raise StudyError(f"the results of {rows[0].subject.name} are of different numbers of images: {ADVICE}")
    found = [Result(rows[0].subject, tuple(sorted(rows, key=lambda o: o.seed))) for rows in grouped.values()]
    if wanted is None:
        found.sort(key=lambda result: (len(result.seeds), _tried(study, result.subject)))
        found = list({result.subject.digest: result for result in found}.values())
    return sorted(found, key=lambda result: (result.subject.n_params, result.subject.name))


def _tried(study: Study, subject: Subject) -> float:
    """What validation said of this rate, where several were tried."""
    with readable("the study's learning rates"):
        return float(study.optuna.user_attrs.get(f"{RATES}{subject.key}", 0.0))
