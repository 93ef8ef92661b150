"""
Date formats in `strftime` notation, and formatting dates back to their original text.

The notation is used for the manifest's `format` and the metadata key `bulkpull.format.<column>` of Parquet files. `%-m`
is a number without padding; `%^b`, as in GNU `date`, is the month's short name in capitals. A format without a day is a
month, which is read as its first day (behaviours 155, 185, 186 and 188).
"""

from __future__ import annotations

from datetime import date, datetime
from typing import TypeVar

import polars as pl

_LAST_YEAR = 9999

Values = TypeVar("Values", pl.Series, pl.Expr)


def write_dates(values: Values, form: str) -> Values:
    """Dates or moments (a series or an expression) as the text that `form` gives."""
    text = values.dt.strftime(form.replace("%^b", "%b"))
    return text.str.to_uppercase() if "%^b" in form else text


def read_dates(values: Values, form: str) -> Values:
    """
    Text (a series or an expression) as dates or moments.

    Returns:
        Date, or Datetime (microseconds, without a zone: what is UTC by its form is so) where the form has a time; null
        where the text is empty, is no such date, or is not written exactly in that form.
    """
    dates = parse_dates(values, form)
    is_same = is_written_so(dates, values, form)
    if isinstance(dates, pl.Series):
        return dates.set(~is_same.fill_null(value=False), None)
    return pl.when(is_same).then(dates)


def is_written_so(dates: Values, text: Values, form: str) -> Values:
    """Where the dates, written in that form, are the text; years with a sign are not dates that other programs hold."""
    return (write_dates(dates, form) == text) & dates.dt.year().is_between(0, _LAST_YEAR)


def read_time(value: str, form: str) -> date | datetime | None:
    """One text under `form` as a date or a moment; `None` when it is not written exactly in that form."""
    found: date | datetime | None = read_dates(pl.Series([value]), form)[0]
    return found


def parse_dates(values: Values, form: str) -> Values:
    """As `read_dates`, but also what is written nearly in that form; null where it cannot be read."""
    pattern = form.replace("%^b", "%b")
    if ":" in pattern:
        # cache=False: times hardly repeat, and looking for them costs more than reading them
        return values.str.strptime(pl.Datetime("us"), pattern.replace("%.6f0", "%.f"), strict=False, cache=False)
    if "%d" not in pattern and "%-d" not in pattern:
        return ("01 " + values).str.strptime(pl.Date, "%d " + pattern, strict=False)
    return values.str.strptime(pl.Date, pattern, strict=False)
