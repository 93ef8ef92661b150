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

from bulkpull.tabular.iso import IsoFormat, iso_format_of

_US = re.compile(
    r"[0-9]{1,2}/[0-9]{1,2}/[0-9]{4}(?P<time> [0-9]{1,2}:[0-9]{2}(?P<seconds>:[0-9]{2})?(?P<half> [AP]M)?)?"
)
_SAMPLE = 1_000


@dataclass(frozen=True, slots=True)
class SlashedFormat:
    """
    One way to write a date or time with slashes, month first, which a column has to prove.

    Attributes:
        pattern: In the notation of `strftime`.
        timed: Whether it has a time of day.
    """

    pattern: str
    timed: bool = False

    def read(self, text: pl.Series) -> pl.Series | int:
        """The dates, null where the text is; or the index of the first text that is not of this format."""
        # A text is read in one way only, so what holds for each distinct text holds for all rows.
        distinct = text if _hardly_repeats(text) else text.unique()
        dates = self._parse(distinct)
        if first_false(dates.dt.strftime(self.pattern) == distinct, distinct) is None:
            return dates if distinct is text else self._parse(text)
        return int(first_false(self._parse(text).dt.strftime(self.pattern) == text, text) or 0)

    def _parse(self, text: pl.Series) -> pl.Series:
        if not self.timed:
            return text.str.strptime(pl.Date, self.pattern, strict=False)
        # cache=False: times hardly repeat, and looking for them costs more than reading them
        return text.str.strptime(pl.Datetime("us"), self.pattern, strict=False, cache=False)


Format = IsoFormat | SlashedFormat


def formats_of(value: str) -> tuple[Format, ...]:
    """The formats that `value` may be written in; none when it is not written in a supported one."""
    if iso := iso_format_of(value):
        return (iso,)
    if american := _US.fullmatch(value):
        days = ("%m/%d/%Y", "%-m/%-d/%Y")
        if not american["time"]:
            return tuple(SlashedFormat(day) for day in days)
        hours = (" %I:%M", " %-I:%M") if american["half"] else (" %H:%M", " %-H:%M")
        rest = (":%S" if american["seconds"] else "") + (" %p" if american["half"] else "")
        return tuple(SlashedFormat(day + hour + rest, timed=True) for day, hour in product(days, hours))
    return ()


def first_false(fits: pl.Series, text: pl.Series) -> int | None:
    """The index of the first value, empty ones aside, that does not fit; `None` when all do."""
    odd = ~fits.fill_null(value=False) & text.is_not_null()
    return odd.arg_max() if odd.any() else None


def _hardly_repeats(text: pl.Series) -> bool:
    sample = text.head(_SAMPLE)
    return 2 * sample.n_unique() > sample.len()
