"""Names of columns and metrics that a query text can carry."""

from __future__ import annotations

import re
from collections.abc import Iterable

# Blanks, commas, quotes, brackets and comparison signs end a name in the query language.
_WHOLE_NAME = re.compile(r"[^\s,;'\"()\[\]{}<>=!]+")


def can_stand_in_query(name: str) -> bool:
    """Whether a listed name can be written into a query: one word of printable characters (behaviours 56 and 68)."""
    return _WHOLE_NAME.fullmatch(name) is not None and name.isprintable()


def unique_names(names: Iterable[str]) -> tuple[str, ...]:
    """Each name once, in the order and spelling of its first occurrence: queries ignore case (behaviour 60)."""
    first: dict[str, str] = {}
    for name in names:
        first.setdefault(name.casefold(), name)
    return tuple(first.values())
