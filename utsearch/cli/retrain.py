"""What `evaluate` and `confirm` share: designs retrained over fresh seeds, and the comparison told."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from utsearch.cli.printing import print_json

if TYPE_CHECKING:
    from utsearch.search import Study
    from utsearch.search.evaluation import Result, Subject
    from utsearch.training import Problem

RATES = {1: (1.0,), 3: (0.5, 1.0, 2.0), 5: (0.25, 0.5, 1.0, 2.0, 4.0)}


@dataclass(frozen=True)
class Retraining:
    """Chosen designs over fresh seeds; whatever is stored already does not run again.

    Attributes:
        study: keeps every run.
        problem: of the search.
        seeds: how many.
        rates: how many learning rates every design tries on validation first: 1, 3 or 5.
        part: of how many parts this process does which, from 1: (2, 3) is the second of three.
        place: of outcomes on other data than the study's.
        say: is told a line at a time.
    """

    study: "Study"
    problem: "Problem"
    seeds: int
    rates: int = 1
    part: tuple[int, int] = (1, 1)
    place: str = ""
    say: Callable[[str], None] = print

    def run(self, subjects: "Sequence[Subject]") -> "list[Result]":
        """Train what is missing; results of all subjects of this part."""
        from utsearch.search.evaluation import FIRST_SEED, best_rates, evaluate
        from utsearch.training.final import FinalProblem

        number, parts = self.part
        own = sorted(subjects, key=lambda subject: subject.n_params)[number - 1 :: parts]
        problem, total = self._cached(own), len(own) * self.seeds
        each = f" after {self.rates} rates each" if self.rates > 1 else ""
        self.say(f"{len(own)} designs, {self.seeds} seeds{each}: {total} runs, each reads test once")
        if self.rates > 1:
            own = best_rates(
                self.study,
                own,
                RATES[self.rates],
                FinalProblem.with_validation(problem),
                lambda s, rate, top1: self.say(f"{s.name} at {rate:g} times the rate: {100 * top1:.1f} % val top-1"),
            )
        return evaluate(
            self.study,
            own,
            range(FIRST_SEED, FIRST_SEED + self.seeds),
            lambda seed: FinalProblem.of(problem, seed),
            lambda o, done, total: self.say(
                f"{done}/{total} {o.subject.name}, seed {o.seed}: {100 * o.top1:.1f} % test top-1"
            ),
            lambda s, seed, reason: self.say(f"{s.name}, seed {seed} failed: {reason}"),
            place=self.place,
        )

    def _cached(self, subjects: "Sequence[Subject]") -> "Problem":
        """The problem with its prefix cache, if it has any room, cut where these designs begin."""
        from utsearch.design import Design
        from utsearch.search.cuts import best_cuts
        from utsearch.search.evaluation import FULL

        firsts = Counter(self.problem.first_tuned(Design.parse(s.design)) for s in subjects if s.name != FULL)
        return replace(self.problem, cuts=best_cuts(firsts, self.problem.depth))


def part_of(text: str) -> tuple[int, int]:
    """`2/3` as (2, 3).

    Raises:
        UserError: it is none.
    """
    import re

    from utsearch.errors import UserError

    found = re.fullmatch(r"(\d{1,4})/(\d{1,4})", text)
    if not found or not 1 <= int(found[1]) <= int(found[2]):
        raise UserError(f"--part {text!r} is none: 1/2 is the first of two parts, 2/2 the second")
    return int(found[1]), int(found[2])


def check_rates(rates: int) -> None:
    """Only numbers of rates that are centred on the recipe's.

    Raises:
        UserError: another.
    """
    from utsearch.errors import UserError

    if rates not in RATES:
        raise UserError(f"--rates {rates} is none of {', '.join(map(str, RATES))}")


def given_designs(chosen: "list[Subject]", problem: "Problem", texts: Sequence[str]) -> "list[Subject]":
    """The chosen subjects, and designs given as text."""
    from utsearch.search.evaluation import Subject
    from utsearch.tuning import named

    found = {subject.digest: subject for subject in chosen}
    for text in texts:
        resolved = problem.resolve(named(text))
        own = Subject(text, str(resolved.design), resolved.digest, resolved.n_params, known=False)
        found.setdefault(resolved.digest, own)
    return list(found.values())


def with_peers(subjects: "Sequence[Subject]", problem: "Problem") -> "list[Subject]":
    """The known forms at the size of every new design, each once."""
    from utsearch.search.evaluation import Subject
    from utsearch.tuning import peers

    found = {subject.digest: subject for subject in subjects}
    for subject in subjects:
        for name, design in ({} if subject.known else peers(problem.backbone, subject.n_params)).items():
            resolved = problem.resolve(design)
            peer = Subject(name, str(resolved.design), resolved.digest, resolved.n_params, known=True)
            found.setdefault(resolved.digest, peer)
    return list(found.values())


def full(problem: "Problem") -> "Subject":
    """Full fine-tuning; its size is the backbone's."""
    from utsearch.search.evaluation import FULL, Subject

    return Subject(FULL, "", FULL, sum(p.numel() for p in problem.backbone.model.parameters()), known=True)


def tell(found: "list[Result]", *, whole: bool, as_json: bool) -> None:
    """Tables or JSON, and after a run on the whole set how far the order of the designs is kept."""
    from utsearch.report.confirmed import confirmed_json, print_confirmed
    from utsearch.search.comparing import agreement, comparisons

    pairs, ranks = comparisons(found), agreement(found) if whole else None
    if as_json:
        print_json({**confirmed_json(found, pairs), **({"rank_correlation": ranks} if whole else {})})
        return
    print_confirmed(found, pairs)
    if ranks is not None:
        print(
            f"\nsubset's validation against the whole set's test, {ranks['designs']} designs: "
            f"Spearman's ρ {ranks['rho']:.2f}, 95 % interval {ranks['low']:.2f} to {ranks['high']:.2f}"
        )
    elif whole:
        print("\ntoo few designs that differ to compare their order on the subset and on the whole set")
