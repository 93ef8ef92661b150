"""The column along which windows cut a dataset, and why there may be none (pure)."""

from __future__ import annotations

from bulkpull.catalog import Catalog
from bulkpull.model import Pull
from bulkpull.timespans import has_time_axis


def time_column_of(pull: Pull, catalog: Catalog) -> str | None:
    """The column that windows cut along, as the query names it; `None` where the rows do not have it."""
    known = catalog.find(pull.reads)
    if known is None or known.time_column is None:
        return None
    for name in pull.columns:
        column = known.column(name)
        if column is not None and column.name == known.time_column:
            return name
    return None


def why_no_window(pull: Pull, catalog: Catalog) -> str | None:
    """Why the rows of a pull cannot be held against a window; `None` where they can."""
    if not has_time_axis(pull.offered.date_ranges):
        return "it has no time axis"
    if time_column_of(pull, catalog) is not None:
        return None
    known = catalog.find(pull.reads)
    if known is None or known.time_column is None:
        return "no document tells which of its columns is its time"
    return f"its time column {known.time_column} is not selected"
