"""Lengths of time as people give them to an option (pure): `36h`, `2d`, `90m`, `1d12h`."""

from __future__ import annotations

import re
from datetime import timedelta

import typer

_UNITS = {"w": "weeks", "d": "days", "h": "hours", "m": "minutes", "s": "seconds"}
_PART = re.compile(r"(\d+(?:\.\d+)?)([wdhms])")


def read_span(text: str) -> timedelta:
    """
    `36h` → 36 hours; parts may follow each other, as in `1d12h`.

    Raises:
        typer.BadParameter: It is no length of time, or none at all.
    """
    folded = text.strip().lower()
    parts = _PART.findall(folded)
    if not parts or "".join(number + unit for number, unit in parts) != folded:
        raise typer.BadParameter(f"{text!r} is not a length of time such as 36h, 2d, 90m or 1d12h")
    try:
        span = sum((timedelta(**{_UNITS[unit]: float(number)}) for number, unit in parts), timedelta())
    except OverflowError:
        raise typer.BadParameter(f"{text!r} is too long") from None
    if not span:
        raise typer.BadParameter("the length of time must be positive")
    return span
