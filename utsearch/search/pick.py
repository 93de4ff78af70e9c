"""Which trial to take away: `best`, `knee`, `under=50k` or `trial=7`."""

import re

from utsearch import pareto
from utsearch.errors import UserError
from utsearch.search.record import Record, finished, front_records

_UNITS = {"": 1, "k": 1_000, "m": 1_000_000}
_BYTES = {**_UNITS, "g": 10**9, "t": 10**12}


def pick_record(records: list[Record], wish: str = "best") -> Record:
    """The finished trial that a wish names.

    Raises:
        UserError: no such wish or trial, or nothing has finished; says what there is.
    """
    done = finished(records)
    if not done:
        raise UserError("no trial has finished yet; go on with: python cli.py search")
    key, _, value = wish.strip().lower().partition("=")
    if key == "best" and not value:
        return max(front_records(records), key=lambda r: r.top1 or 0.0)
    if key == "knee" and not value:
        return done[pareto.knee([(r.n_params, r.top1 or 0.0) for r in done])]
    if key == "under":
        return _best_under(records, parse_size(value))
    if key == "trial" and value.isdigit():
        return _by_number(records, int(value))
    raise UserError(f"--pick {wish!r} is none of best, knee, under=50k, trial=7")


def parse_size(text: str) -> int:
    """A number of parameters: `50000`, `50k` or `1.5M`.

    >>> parse_size("1.5M")
    1500000

    Raises:
        UserError: it is none.
    """
    found = re.fullmatch(r"(\d{1,12}(?:\.\d{1,6})?)([km]?)", text.strip().lower(), re.ASCII)
    if not found:
        raise UserError(f"{text!r} is no number of parameters, such as 50000, 50k or 1.5M")
    return round(float(found[1]) * _UNITS[found[2]])


def parse_bytes(text: str) -> int:
    """An amount of memory: `0`, `500m`, `1.5g`.

    >>> parse_bytes("1.5g")
    1500000000

    Raises:
        UserError: it is none.
    """
    found = re.fullmatch(r"(\d{1,9}(?:\.\d{1,6})?)([kmgt]?)b?", text.strip().lower(), re.ASCII)
    if not found:
        raise UserError(f"{text!r} is no amount of memory, such as 500m, 1.5g or 0")
    return round(float(found[1]) * _BYTES[found[2]])


def _best_under(records: list[Record], limit: int) -> Record:
    small = [r for r in front_records(records) if r.n_params <= limit]
    if not small:
        least = min(r.n_params for r in finished(records))
        raise UserError(f"no finished design has at most {limit:,} parameters; the smallest has {least:,}")
    return max(small, key=lambda r: r.top1 or 0.0)


def _by_number(records: list[Record], number: int) -> Record:
    chosen = next((r for r in records if r.number == number), None)
    if chosen is None:
        raise UserError(f"no trial {number}; there are 0 to {len(records) - 1}")
    if chosen.status not in ("finished", "stopped"):
        raise UserError(f"trial {number} is {chosen.status} and has no weights; `pareto` lists those that have")
    return chosen
