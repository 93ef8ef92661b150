"""
Date formats in `strftime` notation, and formatting dates back to their original text.

The notation is used for the manifest's `format` and the metadata key `bulkpull.format.<column>` of Parquet files. `%-m`
is a number without padding; `%^b`, as in GNU `date`, is the month's short name in capitals. A format without a day is a
month, which is read as its first day (behaviours 155, 185, 186 and 188).
"""

from __future__ import annotations

from typing import TypeVar

import polars as pl

_LAST_YEAR = 9999
# A time column that is text has values of several forms, or in one that no type gives back. Those that can be misread
# are not among these: day and month of `1/2/2026`, or the six digits of a day without its century.
_ISO = r"^(\d{4}-\d{2}-\d{2})(?:[T ](\d{2}:\d{2})(?::(\d{2}(?:\.\d+)?))?(?:Z|\+00:?00)?)?$"
_FORMS = ("%Y-%m", "%Y%m%d", "%Y%m", "%^b-%Y", "%b-%Y", "%^b %Y", "%b %Y")

Values = TypeVar("Values", pl.Series, pl.Expr)


def write_dates(values: Values, form: str) -> Values:
    """Dates or moments (a series or an expression) as the text that `form` gives."""
    text = values.dt.strftime(form.replace("%^b", "%b"))
    return text.str.to_uppercase() if "%^b" in form else text


def read_dates(values: Values, form: str) -> Values:
    """
    Text (a series or an expression) as dates, or as moments (microseconds, without a zone) where the form has a time.

    Null where the text is empty, is no such date, or is not written exactly in that form.
    """
    dates = parse_dates(values, form)
    is_same = is_written_so(dates, values, form)
    if isinstance(dates, pl.Series):
        return dates.set(~is_same.fill_null(value=False), None)
    return pl.when(is_same).then(dates)


def is_written_so(dates: Values, text: Values, form: str) -> Values:
    """Where the dates, written in that form, are the text; years with a sign are not dates that other programs hold."""
    return (write_dates(dates, form) == text) & dates.dt.year().is_between(0, _LAST_YEAR)


def parse_dates(values: Values, form: str) -> Values:
    """As `read_dates`, but also what is written nearly in that form; null where it cannot be read."""
    pattern = form.replace("%^b", "%b")
    if ":" in pattern:
        # cache=False: times hardly repeat, and looking for them costs more than reading them
        return values.str.strptime(pl.Datetime("us"), pattern.replace("%.6f0", "%.f"), strict=False, cache=False)
    if "%d" not in pattern and "%-d" not in pattern:
        return ("01 " + values).str.strptime(pl.Date, "%d " + pattern, strict=False)
    return values.str.strptime(pl.Date, pattern, strict=False)


def instant_of(times: pl.Expr, *, dtype: pl.DataType) -> pl.Expr:
    """
    The first moment of each value of a time column, of its day or month or itself, as UTC without a zone.

    The column has dates, moments, or text in any mixture of the forms that cannot be misread (behaviours 84, 155, 185,
    186 and 188); null for an empty value and for one that cannot be read.
    """
    match dtype:
        case pl.Date():
            return times.cast(pl.Datetime("us"))
        case pl.Datetime(time_zone=zone):
            return (times.dt.convert_time_zone("UTC").dt.replace_time_zone(None) if zone else times).cast(
                pl.Datetime("us")
            )
        case pl.String():
            parts = times.str.extract_groups(_ISO).struct
            text = parts.field("1") + " " + parts.field("2").fill_null("00:00") + ":" + parts.field("3").fill_null("00")
            iso = text.str.strptime(pl.Datetime("us"), "%Y-%m-%d %H:%M:%S%.f", strict=False)
            return pl.coalesce(iso, *(read_dates(times, form).cast(pl.Datetime("us")) for form in _FORMS))
        case _:
            return pl.lit(None, pl.Datetime("us"))
