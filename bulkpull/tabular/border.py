"""
The border between two windows of one dataset: no row in both, none in neither.

Whether the end of a window is inclusive is not documented (behaviour 84). So each window is asked for up to the start
of the next one. A row that lies exactly on that edge may come with both; it is left to the later window, and counted on
either side, so that whoever joins the windows sees whether it really came twice.
"""

from __future__ import annotations

from datetime import UTC, datetime

import polars as pl

# Texts such as `2026-11`, `2026-11-01` or `2026-11-01T00:00:00Z` that mean the first moment of a day.
_DAY = r"^(\d{4}-\d{2}(?:-\d{2})?)(?:[T ]00:00(?::00(?:\.0+)?)?(?:Z|\+00:00)?)?$"
_MONTH_LENGTH = len("2026-11")


def lies_at(moment: datetime, *, column: str, dtype: pl.DataType) -> pl.Expr:
    """
    Whether a row's time is exactly `moment`.

    Args:
        moment: Aware; the start of a day, UTC.
        column: The dataset's time column: dates, moments, or text. An empty value, and one that cannot be read, is no.
    """
    moment = moment.astimezone(UTC)
    match dtype:
        case pl.Date():
            found = pl.col(column) == moment.date()
        case pl.Datetime(time_zone=zone):
            found = pl.col(column) == (moment if zone else moment.replace(tzinfo=None))
        case pl.String():
            day = pl.col(column).str.extract(_DAY)
            day = pl.when(day.str.len_chars() == _MONTH_LENGTH).then(day + "-01").otherwise(day)
            found = day == f"{moment:%Y-%m-%d}"
        case _:
            found = pl.lit(value=False)
    return found.fill_null(value=False)
