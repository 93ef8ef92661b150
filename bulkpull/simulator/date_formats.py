"""Date and month formats of files: ISO inside the simulator, the column's format in files (behaviours 185, 186)."""

from __future__ import annotations

from datetime import datetime

import polars as pl

from bulkpull.simulator.datasets import Column, Form

_PATTERNS: dict[Form, str] = {"MMM-YYYY": "%^b-%Y", "yyyyMMdd": "%Y%m%d"}


def written(column: Column) -> pl.Expr:
    """The column's values as its file writes them; a value that is no date stays as it is."""
    text = pl.col(column.name)
    pattern = _pattern(column)
    if pattern is None:
        return text
    dates = text.cast(pl.String).str.to_date("%Y-%m-%d", strict=False)
    shown = dates.dt.strftime(pattern.replace("%^b", "%b"))
    shown = shown.str.to_uppercase() if "%^b" in pattern else shown
    return shown.fill_null(text).alias(column.name)


def as_iso(value: str, column: Column) -> str:
    """A compared value in the form of the data inside, in lower case: the service converts it (behaviour 66)."""
    pattern = _pattern(column)
    if pattern is not None:
        try:
            return datetime.strptime(value.strip(), pattern.replace("%^b", "%b")).date().isoformat()  # noqa: DTZ007 - a day, no moment
        except ValueError:
            pass
    return value.lower()


def _pattern(column: Column) -> str | None:
    return column.form if "%" in column.form else _PATTERNS.get(column.form)
