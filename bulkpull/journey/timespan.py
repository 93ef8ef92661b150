"""Which TIMESPAN a query gets, of those that its dataset offers (pure)."""

from __future__ import annotations

from collections.abc import Sequence

from bulkpull.errors import SettingsError

WIDEST = "widest"
# From narrow to wide. Spans of (nearly) equal length stand beside each other; the calendar form counts as the wider.
_BY_WIDTH = (
    "TODAY",
    "YESTERDAY",
    "LAST_7_DAYS",
    "LAST_14_DAYS",
    "LAST_30_DAYS",
    "LAST_MONTH",
    "LAST_90_DAYS",
    "LAST_3_MONTHS",
    "LAST_180_DAYS",
    "LAST_6_MONTHS",
    "LAST_365_DAYS",
    "LAST_1_YEAR",
    "LIFETIME",
)


def choose_timespan(ranges: Sequence[str], *, asked: str | None, default: str) -> tuple[str | None, str | None]:
    """
    The TIMESPAN to use, and the widest one when that is wider.

    `None` means to leave the clause out: where the dataset offers no range (behaviour 51), and where nothing up to
    `default` is offered, so that the service's own six months hold (61).

    Raises:
        SettingsError: `asked` is not among the ranges; the message names the choices.
    """
    spelled = {name.upper(): name for name in ranges}
    known = [name for name in _BY_WIDTH if name in spelled]
    if not ranges:
        return None, None
    if asked is None:
        fitting = [name for name in known if _BY_WIDTH.index(name) <= _BY_WIDTH.index(default)]
        chosen = fitting[-1] if fitting else None
    elif asked == WIDEST:
        chosen = known[-1] if known else None
    elif asked.upper() in spelled:
        chosen = asked.upper()
    else:
        raise SettingsError(f"the time span {asked} is not offered", fix=f"choose one of {', '.join(ranges)}")
    widest = known[-1] if known else None
    wider = widest if widest != chosen else None
    return (spelled[chosen] if chosen else None), (spelled[wider] if wider else None)
