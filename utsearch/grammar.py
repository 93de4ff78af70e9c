"""Reads the text form of a design; the grammar stands in `utsearch.design`."""

import math
import re

from utsearch.design import (
    ALL,
    INT,
    MOST_RANK,
    NAME,
    NUMBER,
    WORD,
    Blocks,
    Design,
    DesignError,
    Slot,
    Value,
    parse_value,
)

MOST_TEXT = 20_000  # characters; a design with a slot of its own at every site of 100 blocks has fewer
MOST_DIGITS = 18  # of a whole number

_BLOCKS = re.compile(r"[^\s+,]*(?:\s*,\s*[^\s+,]*)*")
_REST = re.compile(r"[^\s+|:(),=@]*")


class Reader:
    """A cursor over the text; every method reads one rule of the grammar and moves on."""

    def __init__(self, text: str) -> None:
        self.text, self.at = text, 0

    def design(self) -> Design:
        """The whole text."""
        if len(self.text) > MOST_TEXT:
            raise DesignError(f"a design has at most {MOST_TEXT:,} characters, got {len(self.text):,}")
        if self.text.strip() == "linear":
            return Design()
        slots = [self.slot()]
        while self.take("+"):
            slots.append(self.slot())
        self.skip()
        if self.at < len(self.text):
            raise self.error('expected "+" and another slot, or the end')
        return Design(tuple(slots))

    def slot(self) -> Slot:
        """`sites:form(…)@blocks`."""
        self.skip()
        start = self.at
        sites = [self.match(NAME, "a site, as in mha:lora(8)")]
        while self.take("|"):
            sites.append(self.match(NAME, "a site after |"))
        self.expect(":", "a form, as in mha:lora(8)")
        form = self.match(NAME, "a form's name")
        rank, options = self.arguments() if self.take("(") else (None, [])
        blocks = self.blocks() if self.take("@") else ALL
        try:
            return Slot(tuple(sites), form, rank, tuple(options), blocks)
        except DesignError as error:
            raise self.error(error.reason, start, self.at) from None

    def arguments(self) -> tuple[int | None, list[tuple[str, Value]]]:
        """`[rank] {, key=value} )`, the opening bracket is read."""
        rank: int | None = None
        options: list[tuple[str, Value]] = []
        self.skip()
        if found := NUMBER.match(self.text, self.at):
            rank, self.at = self.rank(found), found.end()
        while not self.take(")"):
            if rank is not None or options:
                self.expect(",", "another option, or )")
            options.append(self.option([key for key, _ in options]))
        return rank, options

    def rank(self, found: re.Match[str]) -> int:
        """A whole number within what a network can have."""
        if not INT.fullmatch(found[0]) or len(found[0]) > MOST_DIGITS or not 1 <= int(found[0]) <= MOST_RANK:
            raise self.error(f"a rank is a whole number from 1 to {MOST_RANK:,}", found.start(), found.end())
        return int(found[0])

    def option(self, known: list[str]) -> tuple[str, Value]:
        """`key=value`, whose key is not among the known."""
        self.skip()
        start = self.at
        key = self.match(NAME, "an option, as in act=relu")
        if key in known:
            raise self.error(f"option {key} is given twice", start, self.at)
        self.expect("=", "a value, as in act=relu")
        self.skip()
        found = NUMBER.match(self.text, self.at) or WORD.match(self.text, self.at)
        if found is None:
            raise self.error("expected a number, true, false or a word")
        if INT.fullmatch(found[0]) and len(found[0]) > MOST_DIGITS:
            raise self.error(f"a number has at most {MOST_DIGITS} digits", found.start(), found.end())
        self.at = found.end()
        value = parse_value(found[0])
        if isinstance(value, float) and not math.isfinite(value):
            raise self.error("a number must be finite", found.start(), found.end())
        return key, value

    def blocks(self) -> Blocks:
        """`0-5` and the like, the @ is read."""
        self.skip()
        found = _BLOCKS.match(self.text, self.at)
        start, word = self.at, found[0] if found else ""
        self.at += len(word)
        try:
            return Blocks.parse("".join(word.split()))
        except DesignError as error:
            raise self.error(error.reason, start, self.at) from None

    def skip(self) -> None:
        """Over white space."""
        while self.text[self.at : self.at + 1].isspace():
            self.at += 1

    def take(self, mark: str) -> bool:
        """Read `mark` if it comes next."""
        self.skip()
        found = self.text.startswith(mark, self.at)
        self.at += len(mark) if found else 0
        return found

    def expect(self, mark: str, then: str) -> None:
        """Read `mark`, which must come next."""
        if not self.take(mark):
            raise self.error(f'expected "{mark}" and {then}')

    def match(self, pattern: re.Pattern[str], what: str) -> str:
        """Read what fits the pattern, which must come next."""
        self.skip()
        found = pattern.match(self.text, self.at)
        if found is None:
            raise self.error(f"expected {what}")
        self.at = found.end()
        return found[0]

    def error(self, reason: str, start: int | None = None, end: int | None = None) -> DesignError:
        """Underlines `start:end`, by default the rest of the word at the cursor."""
        if start is None:
            start = self.at
            word = _REST.match(self.text, start)
            end = word.end() if word else start
        return DesignError(reason, self.text, start, end)
