"""
The formats of dates and times that may be narrowed, told from one value and proved by all the others.

ISO forms, and the US forms of .NET and of spreadsheets. A value alone may fit several formats (`11/12/2026` with or
without padding); each that survives all values gives the same dates.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import product

import polars as pl

_ISO = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
    r"(?:(?P<between>[T ])[0-9]{2}:[0-9]{2}(?P<seconds>:[0-9]{2}(?:\.(?P<fraction>[0-9]+))?)?(?P<zone>Z|\+00:?00)?)?"
)
_US = re.compile(
    r"[0-9]{1,2}/[0-9]{1,2}/[0-9]{4}(?P<time> [0-9]{1,2}:[0-9]{2}(?P<seconds>:[0-9]{2})?(?P<half> [AP]M)?)?"
)
# Microseconds are what Parquet's readers share: a seventh digit, as .NET writes it, fits only while it is zero.
_FRACTIONS = {3: "%.3f", 6: "%.6f", 7: "%.6f0"}


@dataclass(frozen=True, slots=True)
class Format:
    """
    One way to write a date or a time.

    Attributes:
        pattern: In the notation of `strftime`.
        timed: Whether it has a time of day.
        utc: Whether it says that it is UTC; what says nothing stays without a zone.
        slashed: Month first, which a column has to prove.
    """

    pattern: str
    timed: bool = False
    utc: bool = False
    slashed: bool = False

    def read(self, text: pl.Series) -> pl.Series:
        """The dates, or null where the text is not of this format."""
        if not self.timed:
            return text.str.strptime(pl.Date, self.pattern, strict=False)
        moments = text.str.strptime(pl.Datetime("us"), self.pattern, strict=False)
        return moments.dt.replace_time_zone("UTC") if self.utc else moments

    def gives_back(self, text: pl.Series) -> pl.Series:
        """For each text whether it is read and written back to the same text."""
        return (self.read(text).dt.strftime(self.pattern) == text).fill_null(value=False)


def formats_of(value: str) -> tuple[Format, ...]:
    """The formats that `value` may be written in; none when it is not written in a supported one."""
    if iso := _ISO.fullmatch(value):
        return _iso_format(between=iso["between"], seconds=iso["seconds"], fraction=iso["fraction"], zone=iso["zone"])
    if american := _US.fullmatch(value):
        days = ("%m/%d/%Y", "%-m/%-d/%Y")
        if not american["time"]:
            return tuple(Format(day, slashed=True) for day in days)
        hours = (" %I:%M", " %-I:%M") if american["half"] else (" %H:%M", " %-H:%M")
        rest = (":%S" if american["seconds"] else "") + (" %p" if american["half"] else "")
        return tuple(Format(day + hour + rest, timed=True, slashed=True) for day, hour in product(days, hours))
    return ()


def _iso_format(
    *, between: str | None, seconds: str | None, fraction: str | None, zone: str | None
) -> tuple[Format, ...]:
    if not between:
        return (Format("%Y-%m-%d"),)
    if fraction and len(fraction) not in _FRACTIONS:
        return ()
    pattern = f"%Y-%m-%d{between}%H:%M"
    if seconds:
        pattern += ":%S" + (_FRACTIONS[len(fraction)] if fraction else "")
    return (Format(pattern + (zone or ""), timed=True, utc=bool(zone)),)
