"""Chooses the TIMESPAN of a query from those that its dataset offers (pure)."""

from __future__ import annotations

from collections.abc import Sequence

from bulkpull.errors import SettingsError
from bulkpull.suggestions import did_you_mean
from bulkpull.timespans import WIDEST, has_time_axis, order_by_length, span_days


def choose_timespan(ranges: Sequence[str], *, asked: str | None, default: str) -> tuple[str | None, str | None]:
    """
    The TIMESPAN to use, and the widest one when that is wider.

    Any listed span may be requested by its name. A span whose length is not known by its name is never chosen here.
    `None` means to leave the clause out: where the dataset has no time axis (behaviours 51 and 165), and where nothing
    up to `default` is offered, so that the service's own six months hold (61).

    Args:
        ranges: The spans that the dataset lists, as the service spells them.
        asked: A name in any case, `widest`, or `None` for the widest up to `default`.

    Raises:
        SettingsError: `asked` is not among the ranges; the message names the choices.
    """
    if not has_time_axis(ranges):
        return None, None
    known = order_by_length(ranges)
    widest = known[-1] if known else None
    if asked is None:
        longest_days = span_days(default) or 0.0
        fitting = [name for name in known if (span_days(name) or 0.0) <= longest_days]
        chosen = fitting[-1] if fitting else None
    elif asked.casefold() == WIDEST:
        chosen = widest
    else:
        chosen = next((name for name in ranges if name.casefold() == asked.casefold()), None)
        if chosen is None:
            raise SettingsError(f"the time span {asked} is not offered", fix=f"choose one of {', '.join(ranges)}")
    return chosen, widest if _is_wider(widest, chosen) else None


def check_timespan(asked: str | None, *, ranges: Sequence[Sequence[str]], documented: Sequence[str]) -> None:
    """
    Refuse a time span that neither the documents nor any listed dataset knows: it is a slip of the pen.

    Args:
        asked: A name in any case, `widest` or `None`.
        ranges: The spans of every listed dataset.

    Raises:
        SettingsError: With the nearest span and all that are offered.
    """
    offered = list(dict.fromkeys(name for names in ranges for name in names))
    known = {name.casefold() for name in (*offered, *documented, WIDEST)}
    if asked is None or asked.casefold() in known:
        return
    ordered = order_by_length(offered)
    listed = [*ordered, *(name for name in offered if name not in ordered)]
    days = span_days(asked)
    # A name with a length is not a typing error: a similar name may be years longer.
    longer = next((name for name in ordered if days is not None and (span_days(name) or 0.0) >= days), None)
    hint = f"the shortest that holds it is {longer};" if longer else did_you_mean(asked, listed)
    raise SettingsError(
        f"no dataset offers the time span {asked}",
        fix=f"{hint + ' ' if hint else ''}offered are {', '.join(listed)}, or use `{WIDEST}`",
    )


def _is_wider(widest: str | None, chosen: str | None) -> bool:
    if widest is None or widest == chosen:
        return False
    widest_days, chosen_days = span_days(widest), span_days(chosen) if chosen else None
    return widest_days is not None and (chosen_days is None or widest_days > chosen_days)
