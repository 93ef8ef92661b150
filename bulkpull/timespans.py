"""
Time spans: the names for a TIMESPAN clause, and the length of each (pure).

The documented names are not complete: datasets offer others, such as `LAST_2_YEARS` (behaviours 62 and 164). So a span
is recognised by the pattern of its name, and any span that a dataset lists may be used.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

WIDEST = "widest"
"""Asks for the longest span that a dataset offers."""
LIFETIME = "LIFETIME"

_NAME = re.compile(r"[A-Z][A-Z0-9_]{0,63}")
_LAST = re.compile(r"LAST_(?:([0-9]{1,5})_)?(DAY|WEEK|MONTH|QUARTER|YEAR)S?")
# Days of a unit. A calendar month counts a little more than 30 days, so LAST_MONTH is longer than LAST_30_DAYS.
_UNIT_DAYS = {"DAY": 1.0, "WEEK": 7.0, "MONTH": 365.25 / 12, "QUARTER": 365.25 / 4, "YEAR": 365.25}
_FIXED_DAYS = {"TODAY": 0.5, "YESTERDAY": 1.0, LIFETIME: float("inf")}


def is_span_name(text: str) -> bool:
    """Whether `text` can be the name of a time span, in any case: letters, digits and underscores."""
    return _NAME.fullmatch(text.upper()) is not None


def span_days(name: str) -> float | None:
    """How long a span is, in days, by the form of its name in any case; infinite for `LIFETIME`."""
    folded = name.strip().upper()
    if folded in _FIXED_DAYS:
        return _FIXED_DAYS[folded]
    found = _LAST.fullmatch(folded)
    if found is None:
        return None
    return float(found[1] or 1) * _UNIT_DAYS[found[2]]


def order_by_length(names: Iterable[str]) -> list[str]:
    """The names of a known form, the shortest span first; names of an unknown form are left out."""
    lengths = {name: days for name in names if (days := span_days(name)) is not None}
    return sorted(lengths, key=lengths.__getitem__)


def has_time_axis(date_ranges: Sequence[str]) -> bool:
    """
    Whether a dataset that lists these spans has a time axis.

    A dataset that lists none, or only `LIFETIME`, is a snapshot: its query carries no TIMESPAN (behaviours 51, 165).
    """
    return any(name.strip().upper() != LIFETIME for name in date_ranges)
