"""Numbers and names as people read them: percent, parameters, durations, text from data without control characters."""

import math

MINUTE, HOUR = 60, 3600


def percent(fraction: float, digits: int = 1) -> str:
    """A fraction in percent, without the sign.

    >>> percent(0.8123)
    '81.2'
    """
    return f"{100 * fraction:.{digits}f}"


def points(difference: float) -> str:
    """A signed difference of two fractions, in percentage points.

    >>> points(-0.0123)
    '−1.2'
    """
    return f"{100 * difference:+.1f}".replace("-", "−")


def count(n: int) -> str:
    """A whole number with thousands separated.

    >>> count(12345)
    '12,345'
    """
    return f"{n:,}"


def short_count(n: float) -> str:
    """A number in at most four characters and a letter.

    >>> [short_count(n) for n in (0, 960, 1000, 12345, 2500000)]
    ['0', '960', '1k', '12k', '2.5M']
    """
    for size, letter in ((1e6, "M"), (1e3, "k")):
        if n >= 0.9995 * size:  # 999,999 rounds to 1M
            return f"{n / size:.{0 if n >= 10 * size else 1}f}".removesuffix(".0") + letter
    return f"{n:.0f}"


def duration(seconds: float) -> str:
    """A time in its two leading units.

    >>> [duration(s) for s in (0.42, 12, 200, 4000)]
    ['0.4 s', '12 s', '3 min 20 s', '1 h 06 min']
    """
    if not math.isfinite(seconds):
        return "?"
    if seconds < 9.95:
        return f"{max(seconds, 0):.1f} s"
    whole = round(seconds)
    if whole < MINUTE:
        return f"{whole} s"
    if whole < HOUR:
        return f"{whole // MINUTE} min {whole % MINUTE:02d} s"
    return f"{whole // HOUR} h {whole % HOUR // MINUTE:02d} min"


def clean(text: str) -> str:
    r"""Text from data without control characters, which a terminal would obey.

    >>> clean("a\x1b[2Jb")
    'a�[2Jb'
    """
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in text)


def plural(n: int, word: str, words: str | None = None) -> str:
    """A number with its noun.

    >>> plural(1, "trial"), plural(2, "trial"), plural(0, "family", "families")
    ('1 trial', '2 trials', '0 families')
    """
    return f"{count(n)} {word if n == 1 else words or word + 's'}"
