"""
Time spans: names for a TIMESPAN clause, their lengths, and the choice among those that a dataset offers (pure).

The documented names are not complete (behaviours 62 and 164), so a span is recognised by the pattern of its name.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from bulkpull.errors import SettingsError
from bulkpull.suggestions import did_you_mean

WIDEST = "widest"
"""Asks for the longest span that a dataset offers."""
LIFETIME = "LIFETIME"
SERVICE_SPAN = "LAST_6_MONTHS"
"""What the service takes where a query names no span (behaviour 61)."""

_NAME = re.compile(r"[A-Z][A-Z0-9_]{0,63}")
_LAST = re.compile(r"LAST_(?:([0-9]{1,5})_)?(DAY|WEEK|MONTH|QUARTER|YEAR)S?")
# Days of a unit. A calendar month counts a little more than 30 days, so LAST_MONTH is longer than LAST_30_DAYS.
_UNIT_DAYS = {"DAY": 1.0, "WEEK": 7.0, "MONTH": 365.25 / 12, "QUARTER": 365.25 / 4, "YEAR": 365.25}
_FIXED_DAYS = {"TODAY": 0.5, "YESTERDAY": 1.0, LIFETIME: float("inf")}

# All names of spans are alike: below this, the nearest one may be years longer than what was meant.
_ALIKE = 0.75


def is_span_name(text: str) -> bool:
    """Whether `text` can be the name of a time span, in any case: letters, digits and underscores."""
    return _NAME.fullmatch(text.upper()) is not None


def span_days(name: str) -> float | None:
    """How long a span is, in days, by the form of its name in any case; infinite for `LIFETIME`."""
    folded = name.strip().upper()
    if folded in _FIXED_DAYS:
        return _FIXED_DAYS[folded]
    found = _LAST.fullmatch(folded)
    return float(found[1] or 1) * _UNIT_DAYS[found[2]] if found else None


def lengths_days(names: Iterable[str]) -> dict[str, float]:
    """How long the spans of a known form are, the shortest first; names of an unknown form are left out."""
    lengths = {name: days for name in names if (days := span_days(name)) is not None}
    return dict(sorted(lengths.items(), key=lambda item: item[1]))


def has_time_axis(date_ranges: Sequence[str]) -> bool:
    """Whether a dataset lists more spans than `LIFETIME`; else its query carries no TIMESPAN (behaviours 51, 165)."""
    return any(name.strip().upper() != LIFETIME for name in date_ranges)


def choose_timespan(ranges: Sequence[str], *, asked: str | None, default: str) -> tuple[str | None, str | None]:
    """
    The TIMESPAN to use, and the widest one when that is wider.

    `None` means to leave the clause out: where the dataset has no time axis (behaviours 51 and 165), and where nothing
    up to `default` is offered, so that the service's own six months hold (61).

    Args:
        ranges: The spans that the dataset lists, as the service spells them.
        asked: A name in any case (`SettingsError` where it is not listed), `widest`, or `None` for the widest of known
            length up to `default`.
    """
    if not has_time_axis(ranges):
        return None, None
    lengths = lengths_days(ranges)
    widest = next(reversed(lengths), None)
    if asked is None:
        longest_days = span_days(default) or 0.0
        chosen = next((name for name in reversed(lengths) if lengths[name] <= longest_days), None)
    elif asked.casefold() == WIDEST:
        chosen = widest
    else:
        chosen = next((name for name in ranges if name.casefold() == asked.casefold()), None)
        if chosen is None:
            raise SettingsError(f"the time span {asked} is not offered", fix=f"choose one of {', '.join(ranges)}")
    is_widest = widest is not None and chosen in lengths and lengths[chosen] >= lengths[widest]
    return chosen, None if is_widest else widest


def check_timespan(asked: str | None, *, ranges: Sequence[Sequence[str]], documented: Sequence[str]) -> None:
    """Refuse a time span that neither the documents nor any listed dataset knows, by a `SettingsError`."""
    offered = list(dict.fromkeys(name for names in ranges for name in names))
    known = {name.casefold() for name in (*offered, *documented, WIDEST)}
    if asked is None or asked.casefold() in known:
        return
    lengths = lengths_days(offered)
    listed = [*lengths, *(name for name in offered if name not in lengths)]
    days = span_days(asked)
    # A name with a length is not a typing error: a similar name may be years longer.
    longer = next((name for name, length in lengths.items() if days is not None and length >= days), None)
    hint = f"the shortest that holds it is {longer};" if longer else did_you_mean(asked, listed, cutoff=_ALIKE)
    raise SettingsError(
        f"no dataset offers the time span {asked}",
        fix=f"{hint + ' ' if hint else ''}offered are {', '.join(listed)}, or use `{WIDEST}`",
    )
