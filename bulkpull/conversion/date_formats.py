"""
The recognised date and time formats: guessed from one value, verified by all others.

ISO formats, the US formats of .NET and spreadsheets, `yyyyMMdd`, `dd.MM.yyyy`, and in month columns the month's name or
number with its year (behaviours 185, 186 and 188). One value may fit several formats (`11/12/2026` with or without
padding); all formats that fit every value give the same dates.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import product

import polars as pl

from bulkpull.catalog import ColumnType
from bulkpull.conversion.iso_dates import IsoFormat, day_format_of, iso_format_of, month_format_of
from bulkpull.conversion.strftime_formats import is_written_so, parse_dates

_US = re.compile(
    r"[0-9]{1,2}/[0-9]{1,2}/[0-9]{4}(?P<time> [0-9]{1,2}:[0-9]{2}(?P<seconds>:[0-9]{2})?(?P<half> [AP]M)?)?"
)
_MONTH_NAME = re.compile(r"(?P<name>[A-Z][A-Za-z]{2})(?P<between>[- ])[0-9]{4}")
_SAMPLE = 1_000


@dataclass(frozen=True, slots=True)
class WrittenFormat:
    """A date, time or month format; a value fits if formatting its parsed value gives the same text."""

    pattern: str

    def read(self, text: pl.Series) -> pl.Series | int:
        """The dates, null where the text is; or the index of the first text that is not of this format."""
        # A text is read in one way only, so what holds for each distinct text holds for all rows.
        distinct = text if _hardly_repeats(text) else text.unique()
        dates = parse_dates(distinct, self.pattern)
        if first_false(is_written_so(dates, distinct, self.pattern), distinct) is None:
            return dates if distinct is text else parse_dates(text, self.pattern)
        return int(first_false(is_written_so(parse_dates(text, self.pattern), text, self.pattern), text) or 0)


Format = IsoFormat | WrittenFormat


def needs_proof(written: Format) -> bool:
    """Whether day and month could stand the other way round, as long as no value tells."""
    return "/" in written.pattern or "." in written.pattern.partition("%H")[0]


def formats_of(value: str, declared: ColumnType) -> tuple[Format, ...]:
    """The formats that `value` of such a column may be written in; none when in no supported one."""
    if iso := iso_format_of(value) or day_format_of(value):
        return (iso,)
    if declared is ColumnType.MONTH:
        if digits := month_format_of(value):
            return (digits,)
        if named := _MONTH_NAME.fullmatch(value):
            month = "%^b" if named["name"].isupper() else "%b"
            return (WrittenFormat(f"{month}{named['between']}%Y"),)
    if american := _US.fullmatch(value):
        days = ("%m/%d/%Y", "%-m/%-d/%Y")
        if not american["time"]:
            return tuple(WrittenFormat(day) for day in days)
        hours = (" %I:%M", " %-I:%M") if american["half"] else (" %H:%M", " %-H:%M")
        rest = (":%S" if american["seconds"] else "") + (" %p" if american["half"] else "")
        return tuple(WrittenFormat(day + hour + rest) for day, hour in product(days, hours))
    return ()


def first_false(fits: pl.Series, text: pl.Series) -> int | None:
    """The index of the first value, empty ones aside, that does not fit; `None` when all do."""
    if fits.null_count() == text.null_count() and fits.sum() == text.len() - text.null_count():
        return None  # the usual case, without filling in what is null, which takes half a millisecond
    odd = ~fits.fill_null(value=False) & text.is_not_null()
    return odd.arg_max() if odd.any() else None


def _hardly_repeats(text: pl.Series) -> bool:
    sample = text.head(_SAMPLE)
    return 2 * sample.n_unique() > sample.len()
