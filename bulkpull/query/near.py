"""The name that was probably meant."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


def nearest(word: str, known: Iterable[str], *, cutoff: float = 0.6) -> str | None:
    """The known name most like `word`, spelled as known; `None` when none is like it."""
    spelled = {each.casefold(): each for each in known}
    found = get_close_matches(word.casefold(), spelled, n=1, cutoff=cutoff)
    return spelled[found[0]] if found else None


def did_you_mean(word: str, known: Iterable[str]) -> str | None:
    """The nearest name as a question; `None` when none is near."""
    near = nearest(word, known)
    return f"did you mean {near}?" if near else None
