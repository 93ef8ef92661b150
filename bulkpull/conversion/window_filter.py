"""
Filters a file's rows by its window, row by row, without assumptions about how the service applies windows.

It is not documented whether the end of a window is inclusive, or whether the service honours windows at all (behaviours
83 and 84). So each row's time is parsed, in its column's format, and compared with the window. Rows outside are left
out and counted; the caller decides what the counts mean.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, time, timedelta

import numpy as np
import polars as pl

from bulkpull.catalog import ColumnType
from bulkpull.conversion.date_formats import instant_of, read_dates
from bulkpull.conversion.messages import ColumnPlan, Misfit, WindowBounds, WindowRows
from bulkpull.conversion.type_inference import ColumnTyper

_DAY = timedelta(days=1)
# Years that the service writes for "none" and "never" (behaviour 189).
_FIRST_YEAR, _LAST_YEAR = 1901, 9998
_HAS_DIGITS = r"\d"
_VALUE_SHOWN = 80


class WindowCut:
    """Filters all rows of a file, batch by batch."""

    def __init__(self, bounds: WindowBounds, plan: ColumnPlan, *, time_at: int) -> None:
        self._bounds, self._time_at = bounds, time_at
        declared = plan.declared if plan.declared.is_time else ColumnType.DATE
        # A reading of its own: the published column may be text, for reasons that do not concern the window.
        self._times = ColumnTyper(ColumnPlan(plan.name, declared))
        self._start, self._end = (moment.astimezone(UTC).replace(tzinfo=None) for moment in (bounds.start, bounds.end))
        self._first_day_end, self._edge_end = (
            datetime.combine(moment, time()) + _DAY for moment in (self._start, self._end)
        )
        self._counts = WindowRows()
        self._undated: list[int] = []
        self._skipped = pl.Series(bounds.skip_undated, dtype=pl.UInt64)

    def keep(self, text: pl.DataFrame, *, first_row: int) -> pl.Series:
        """
        Which rows of the next batch to keep.

        All columns of `text` are as the file wrote them; the times are in the one at `time_at`. `first_row` is the
        number of the first of these rows in the file, from 1.
        """
        times = text.to_series(self._time_at)
        form = self._bounds.form
        typed = self._times.convert(times, first_row=first_row) if form is None else read_dates(times, form)
        frame = pl.DataFrame({"text": times, "at": typed}).with_columns(at=instant_of(pl.col("at"), dtype=typed.dtype))
        at, start, end = pl.col("at"), pl.lit(self._start), pl.lit(self._end)
        has_time = at.is_not_null()
        no_time = ~has_time & ~pl.col("text").str.contains(_HAS_DIGITS).fill_null(value=False)
        never = has_time & ~at.dt.year().is_between(_FIRST_YEAR, _LAST_YEAR)
        kinds = frame.select(
            undated=no_time | never,
            unread=~has_time & ~no_time,
            before=has_time & ~never & (at < start),
            first_day=has_time & (at >= start) & (at < pl.min_horizontal(pl.lit(self._first_day_end), end)),
            edge=has_time & (at >= end) & (at < pl.lit(self._edge_end)),
            after=has_time & ~never & (at >= pl.lit(self._edge_end)),
        )
        kept = ~(kinds["before"] | kinds["after"] | kinds["unread"])
        if not self._bounds.keep_edge:
            kept &= ~kinds["edge"]
        if self._bounds.skip_first_day:
            kept &= ~kinds["first_day"]
        if len(self._skipped):
            kept &= ~(kinds["undated"] & text.hash_rows().is_in(self._skipped.implode()))
        self._count(text, frame, kinds.with_columns(left_out=~kept), first_row=first_row)
        return kept

    def outcome(self) -> WindowRows:
        """What was found, once the whole file was looked at."""
        form, is_ambiguous = self._bounds.form, False
        if form is None and self._times.dtype != pl.String():
            self._times.finalize()
            is_ambiguous = self._times.dtype == pl.String()
            form = self._times.format
        return replace(self._counts, undated_hashes=tuple(self._undated), form=form, is_ambiguous=is_ambiguous)

    def _count(self, text: pl.DataFrame, frame: pl.DataFrame, kinds: pl.DataFrame, *, first_row: int) -> None:
        counts = self._counts
        sums = {name: getattr(counts, name) + int(kinds[name].sum()) for name in kinds.columns}
        times = frame["at"].filter(~kinds["undated"])
        known = [moment for moment in (counts.earliest, counts.latest) if moment is not None]
        found = [moment.replace(tzinfo=UTC) for moment in (times.min(), times.max()) if isinstance(moment, datetime)]
        midnight = frame["at"].dt.truncate("1d") == frame["at"]
        on_edges = (kinds["edge"] | kinds["first_day"]) & ~midnight.fill_null(value=True)
        if kinds["undated"].any():
            self._undated += text.filter(kinds["undated"]).hash_rows().to_list()
        self._counts = replace(
            counts,
            **sums,
            edge_digest=_digest(text, kinds["edge"], counts.edge_digest),
            first_day_digest=_digest(text, kinds["first_day"], counts.first_day_digest),
            edges_are_days=counts.edges_are_days and not on_edges.any(),
            first_unread=counts.first_unread or _first(frame, kinds["unread"], first_row=first_row),
            first_outside=counts.first_outside or _first(frame, kinds["before"] | kinds["after"], first_row=first_row),
            earliest=min(known + found, default=None),
            latest=max(known + found, default=None),
            only_first_days=counts.only_first_days and bool((times.dt.day() == 1).all()),
        )


def _digest(text: pl.DataFrame, which: pl.Series, before: int) -> int:
    """A number that stands for these rows in any order, added to the one of the batches before."""
    if not which.any():
        return before
    hashes = text.filter(which).hash_rows().to_numpy().astype(np.uint64)
    return (before + int(hashes.sum(dtype=np.uint64))) % 2**63


def _first(frame: pl.DataFrame, which: pl.Series, *, first_row: int) -> Misfit | None:
    if not which.any():
        return None
    place = int(which.arg_max() or 0)
    return Misfit(row=first_row + place, value=str(frame["text"][place])[:_VALUE_SHOWN])
