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
_MICROSECONDS = 6


@dataclass(frozen=True, slots=True)
class Format:
    """
    One way to write a date or a time.

    Attributes:
        pattern: In the notation of `strftime`.
        timed: Whether it has a time of day.
        utc: Whether it says that it is UTC; what says nothing stays without a zone.
        slashed: Month first, which a column has to prove.
        form: A regular expression for what `pattern` writes, where each number has a fixed width and so one spelling.
    """

    pattern: str
    timed: bool = False
    utc: bool = False
    slashed: bool = False
    form: str | None = None

    def read(self, text: pl.Series) -> pl.Series:
        """The dates, or null where the text is not of this format; perhaps also where it is read too kindly."""
        if not self.timed:
            return text.str.strptime(pl.Date, self.pattern, strict=False)
        # cache=False: times hardly repeat, and looking for them costs more than reading them
        moments = text.str.strptime(pl.Datetime("us"), self.pattern, strict=False, cache=False)
        return moments.dt.replace_time_zone("UTC") if self.utc else moments

    def fits(self, text: pl.Series, dates: pl.Series) -> pl.Series:
        """
        For each text whether `dates`, what `read` made of it, would be written back as the same text.

        Where a form says so, the numbers of the text have one spelling only, and writing them back is not needed.
        """
        same = text.str.contains(self.form) & dates.is_not_null() if self.form else self.write(dates) == text
        return same.fill_null(value=False)

    def write(self, dates: pl.Series) -> pl.Series:
        """The text of each date."""
        return dates.dt.strftime(self.pattern)


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
    pattern, form = f"%Y-%m-%d{between}%H:%M", f"^[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}{between}[0-9]{{2}}:[0-9]{{2}}"
    if seconds:
        # Not 60: a leap second would be read as the first of the next minute.
        pattern, form = f"{pattern}:%S", f"{form}:[0-5][0-9]"
    if fraction:
        pattern += _FRACTIONS[len(fraction)]
        form += r"\.[0-9]{6}0" if len(fraction) > _MICROSECONDS else rf"\.[0-9]{{{len(fraction)}}}"
    if zone:
        pattern, form = pattern + zone, form + re.escape(zone)
    return (Format(pattern, timed=True, utc=bool(zone), form=form + "$"),)
