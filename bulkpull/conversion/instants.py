"""Converts values of a time column to moments, whatever their type or format."""

from __future__ import annotations

import polars as pl

from bulkpull.conversion.forms import read_dates

# A time column that is text has values of several forms, or in one that no type gives back. Those that can be misread
# are not among these: day and month of `1/2/2026`, or the six digits of a day without its century.
_ISO = r"^(\d{4}-\d{2}-\d{2})(?:[T ](\d{2}:\d{2})(?::(\d{2}(?:\.\d+)?))?(?:Z|\+00:?00)?)?$"
_FORMS = ("%Y-%m", "%Y%m%d", "%Y%m", "%^b-%Y", "%b-%Y", "%^b %Y", "%b %Y")


def instant_of(times: pl.Expr, *, dtype: pl.DataType) -> pl.Expr:
    """
    The first moment of each value of a time column: of its day or month, or the moment itself.

    Args:
        times: A column of the type `dtype`: dates, moments, or text in any mixture of the forms that cannot be misread.

    Returns:
        Datetime (microseconds, UTC without saying so); null for an empty value and for one that cannot be read.

    Source: behaviours 84, 155, 185, 186 and 188.
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
