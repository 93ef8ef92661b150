"""The time column of a dataset, by which windows are applied, or the reason why it has none (pure)."""

from __future__ import annotations

from dataclasses import replace

from bulkpull.catalog import Catalog
from bulkpull.errors import SettingsError
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
    """Why the rows of a pull cannot be compared with a window; `None` if they can."""
    if not has_time_axis(pull.offered.date_ranges):
        return "it has no time axis"
    if time_column_of(pull, catalog) is not None:
        return None
    known = catalog.find(pull.reads)
    if known is None or known.time_column is None:
        return "its time column is not documented"
    return f"its time column {known.time_column} is not selected"


def window_instead_of(timespan: str) -> str:
    """The note on a pull with a window where a time span was requested as well."""
    return f"the time span {timespan} is not used, because --since and --until take its place"


def with_usable_window(pull: Pull, *, catalog: Catalog, named: bool) -> Pull:
    """
    The pull with its window, if its rows can be compared with it; else without a window, and with a note.

    Args:
        named: The user named it: then an unusable window is refused.

    Raises:
        SettingsError: The rows of a named pull cannot be compared with the window.
    """
    if pull.window is None:
        return pull
    why = why_no_window(pull, catalog)
    if why is None:
        return pull
    if named:
        raise SettingsError(
            f"{pull.dataset}: a window cannot be kept for it, because {why}",
            fix="leave --since and --until out for it, or select its time column",
        )
    return replace(pull, window=None, notes=(*pull.notes, f"exported whole, without the window: {why}"))
