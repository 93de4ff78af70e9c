"""What a stored study may hold: one that is damaged, or a stranger's, is refused in one line that names the trial.

Types and sizes are checked where a study is read, so that nothing behind has to.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, get_args

from optuna.trial import FrozenTrial, TrialState

from utsearch.design import Design, DesignError
from utsearch.errors import UserError
from utsearch.pareto import Scale
from utsearch.search.record import RESUMES, Status

MOST_TEXT = 20_000  # characters, as of a design
MOST = 10**15  # of whatever is counted
DEEPEST = 10  # levels of the settings
UNREADABLE = (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, AssertionError, RecursionError)
ADVICE = "restore the study from a copy"
_CONTROL = re.compile("[\0-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")  # a terminal obeys them, a file cannot hold them


class StudyError(UserError):
    """A study is missing, damaged, of other settings, or its database cannot be reached."""


@dataclass(frozen=True)
class Kind:
    """What an attribute is, and whether a value is one."""

    name: str
    fits: Callable[[Any], object]


def _is_prose(value: object) -> bool:
    return isinstance(value, str) and len(value) <= MOST_TEXT and not _CONTROL.search(value)


def _is_line(value: object) -> bool:
    return isinstance(value, str) and _is_prose(value) and "\n" not in value and "\t" not in value


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MOST


def _is_number(value: object) -> bool:
    """Finite, and no larger than a float can hold."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= 1e300


def _is_share(value: object) -> bool:
    return _is_number(value) and 0 <= value <= 1  # type: ignore[operator]


def _is_rungs(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(rung, dict) and _is_rung(rung) for rung in value)


def _is_rung(rung: Mapping[str, Any]) -> bool:
    needed = all(key in rung for key in ("index", "epoch", "top1", "loss"))
    return needed and all(key not in rung or kind.fits(rung[key]) for key, kind in _RUNG.items())


def _is_worker(value: object) -> bool:
    return isinstance(value, dict) and _is_line(value.get("host")) and _is_process(value.get("pid"))


def _is_process(value: object) -> bool:
    return _is_count(value) and 0 < value < 2**31  # type: ignore[operator]


def _is_cost(value: object) -> bool:
    return isinstance(value, dict) and all(_is_line(k) and _is_number(v) for k, v in value.items())


_LINE, _PROSE = Kind("a line of text", _is_line), Kind("a text", _is_prose)
_COUNT, _NUMBER, _SHARE = Kind("a count", _is_count), Kind("a number", _is_number), Kind("from 0 to 1", _is_share)
_RUNG = {
    **dict.fromkeys(("index", "epoch", "trial"), _COUNT),
    **dict.fromkeys(("top1", "balanced"), _SHARE),
    **dict.fromkeys(("standard_error", "loss", "ece", "images_per_second", "seconds"), _NUMBER),
}
_TRIAL = {
    **dict.fromkeys(("design", "digest", "baseline", "prior", "given", "queued_digest"), _LINE),
    **dict.fromkeys(("reason", "notice", "retry_reason"), _PROSE),
    **dict.fromkeys(("n_params", "n_head", "seed", "retries", "retry_of", RESUMES), _COUNT),
    **dict.fromkeys(("seconds_before", "prior_score"), _NUMBER),
    "status": Kind(f"one of {', '.join(get_args(Status))}", lambda value: value in get_args(Status)),
    "rungs": Kind("a list of rungs with index, epoch, top1 and loss", _is_rungs),
    "worker": Kind("a host and a process", _is_worker),
    "cost": Kind("a table of numbers", _is_cost),
}
_OUTCOME = {
    **dict.fromkeys(("name", "design", "digest"), _LINE),
    **dict.fromkeys(("n_params", "seed", "images"), _COUNT),
    **dict.fromkeys(("top1", "balanced"), _SHARE),
    **dict.fromkeys(("loss", "ece", "seconds"), _NUMBER),
    "rate": Kind("a positive number", lambda value: _is_number(value) and value > 0),
    "known": Kind("true or false", lambda value: isinstance(value, bool)),
    "val_top1": Kind("from 0 to 1", lambda value: value is None or _is_share(value)),
    "correct": Kind("base64", lambda value: isinstance(value, str) and re.fullmatch("[A-Za-z0-9+/]+={0,2}", value)),
}
_SYSTEM = re.compile(r"utsearch:beat|.*:(stopped|infeasible)")  # what this package writes there, all numbers
_NEEDED = ("design", "digest", "n_params", "rungs")


def check_trial(trial: FrozenTrial) -> None:
    """Refuse a trial that no search of ours has written.

    Raises:
        StudyError: it names the trial and the attribute.
    """
    if wrong := _wrong(trial):
        raise StudyError(f"trial {trial.number} is damaged: {wrong}; {ADVICE}")


def _wrong(trial: FrozenTrial) -> str | None:
    kept = trial.user_attrs
    if not all(isinstance(key, str) for key in (*kept, *trial.system_attrs)):
        return "an attribute has no name"
    for key, value in kept.items():
        if key in _TRIAL and not _TRIAL[key].fits(value):
            return f"its {key} is not {_TRIAL[key].name}"
    if not all(_is_number(value) for key, value in trial.system_attrs.items() if _SYSTEM.fullmatch(key)):
        return "a constraint or sign of life is not a number"
    if kept.get(RESUMES) is not None and kept[RESUMES] >= trial.number:
        return "it goes on with a later trial"
    if trial.state is TrialState.COMPLETE and kept.get("status") in ("finished", "stopped"):
        if lacking := [key for key in _NEEDED if not kept.get(key) and kept.get(key) != 0]:
            return f"it has ended without {', '.join(lacking)}"
        if trial.values is None or len(trial.values) != 2 or not all(map(_is_number, trial.values)):
            return "its two values are not numbers"
        if not _is_design(kept["design"]):
            return "its design is none"
    return None


def _is_design(text: str) -> bool:
    try:
        Design.parse(text)
    except DesignError:
        return False
    return True


def check_outcome(key: str, value: object) -> Mapping[str, Any]:
    """One run of a final evaluation.

    Raises:
        StudyError: it is none.
    """
    if isinstance(value, dict):
        wrong = [name for name, kind in _OUTCOME.items() if not kind.fits(value.get(name))]
        if not wrong and 0 <= 3 * len(value["correct"]) // 4 - value["images"] // 8 <= 3:  # base64 of one bit an image
            return value
    raise StudyError(f"the study's result {key[:80]!r} is damaged; {ADVICE}")


def check_settings(value: object) -> dict[str, Any]:
    """What made a study.

    Raises:
        StudyError: it is not what a search writes.
    """
    if not isinstance(value, dict) or not _is_plain(value, DEEPEST):
        raise StudyError(f"the study's settings are damaged: they are no table of texts and numbers; {ADVICE}")
    for key in ("dataset", "backbone", "recipe", "space", "preprocessing", "versions", "machine"):
        if not isinstance(value.get(key, {}), dict):
            raise StudyError(f"the study's settings are damaged: {key} is no table; {ADVICE}")
    return dict(value)


def _is_plain(value: object, depth: int) -> bool:
    if isinstance(value, dict):
        return depth > 0 and all(_is_line(k) and _is_plain(v, depth - 1) for k, v in value.items())
    if isinstance(value, list):
        return depth > 0 and all(_is_plain(one, depth - 1) for one in value)
    return value is None or isinstance(value, bool) or _is_number(value) or _is_prose(value)


def check_scale(value: object) -> Scale:
    """The constants of the hypervolume.

    Raises:
        StudyError: they are none.
    """
    try:
        if isinstance(value, dict) and all(map(_is_number, value.values())):
            return Scale.from_dict(value)
    except (KeyError, ValueError):
        pass
    raise StudyError(f"the constants of the study's hypervolume are damaged; {ADVICE}")


@contextmanager
def readable(what: str) -> Iterator[None]:
    """Say in one line that something stored is no JSON, or none of Optuna's."""
    try:
        yield
    except UserError:
        raise
    except UNREADABLE as error:
        why = _CONTROL.sub("�", (str(error).strip() or type(error).__name__).splitlines()[0][:100])
        raise StudyError(f"{what} cannot be read ({type(error).__name__}: {why}); {ADVICE}") from error
