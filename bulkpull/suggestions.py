"""Suggests the name that was probably meant, and says so: one rule and one question for every name a user writes."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from itertools import islice

# Beyond this, comparing takes seconds, and the name that is meant shares its first letter.
_COMPARED = 2_000


def nearest_names(word: str, known: Iterable[str], *, n: int = 1, cutoff: float = 0.6) -> list[str]:
    """At most `n` known names that are like `word`, the nearest first, spelled as known; in any case of letters."""
    spelled = {name.casefold(): name for name in known}
    word = word.strip().casefold()
    compared: Iterable[str] = spelled
    if len(spelled) > _COMPARED:
        compared = islice((name for name in spelled if name[:1] == word[:1]), _COMPARED)
    return [spelled[name] for name in get_close_matches(word, list(compared), n=n, cutoff=cutoff)]


def nearest(word: str, known: Iterable[str], *, cutoff: float = 0.6) -> str | None:
    """The known name most like `word`, spelled as known; `None` when none is like it."""
    found = nearest_names(word, known, cutoff=cutoff)
    return found[0] if found else None


def did_you_mean(word: str, known: Iterable[str], *, quote: str = "", cutoff: float = 0.6) -> str | None:
    """The nearest name as a question, in the quotes that are given; `None` when none is near."""
    near = nearest(word, known, cutoff=cutoff)
    return suggest(f"{quote}{near}{quote}") if near else None


def suggest(names: str) -> str:
    """The question about a name, or several in one phrase, that may have been meant."""
    return f"did you mean {names}?"
