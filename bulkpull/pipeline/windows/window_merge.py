"""
Combines all windows of a dataset into one table: each row once, and inside the requested window.

Window edges, rows without a time and date formats concern several files at once (`window_check`); some files may have
to be converted again with other bounds.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace

from bulkpull.conversion.messages import WindowBounds, WindowRows
from bulkpull.errors import TimeNotReadable, WindowNotHonoured
from bulkpull.formatting import plural
from bulkpull.model import Window
from bulkpull.pipeline.steps.converted_pull import ConvertedPull
from bulkpull.pipeline.windows.date_windows import describe_window
from bulkpull.pipeline.windows.window_check import WindowHandling, divide_edges, undated_rows, window_handling

Convert = Callable[[ConvertedPull, WindowBounds], Awaitable[ConvertedPull]]


class HoldsWhole(WindowNotHonoured):
    """The report of one window holds the whole requested window: no other report is needed."""

    def __init__(self, part: ConvertedPull) -> None:
        self.part = part
        super().__init__("the service did not keep to the window of a report, which holds all that was asked for")


@dataclass(slots=True)
class WindowAgreement:
    """
    The windows of one dataset.

    Args:
        is_limited: The query has a LIMIT, so that rows cannot be left out of its answer.
        convert: Converts a part once more, with other bounds and the columns that it has.
        undated_last: As for `divide_edges`.
    """

    whole: Window
    column: str
    is_limited: bool
    convert: Convert
    undated_last: bool = False
    notes: list[str] = field(default_factory=list)

    def bounds_of(self, window: Window, *, form: str | None = None) -> WindowBounds:
        """The bounds of a part's conversion, with the form of its times where that is known."""
        return WindowBounds(self.column, window.start, window.end, form)

    def check(self, part: ConvertedPull) -> None:
        """
        Check a part as soon as it has arrived.

        Raises:
            HoldsWhole: It holds the whole window, although a smaller one was requested.
            WindowNotHonoured: It holds rows outside its window.
        """
        rows = part.window_rows
        if _is_unread(rows):
            return  # another part may settle its date format
        if self.is_limited and rows.left_out:
            raise WindowNotHonoured(
                f"the service did not keep to the window {describe_window(self.whole)} of a query with LIMIT",
                why=f"{rows.left_out:,} of its rows lie outside",
            )
        handling = window_handling(part, whole=self.whole)
        if handling is WindowHandling.IGNORED:
            why = f"{rows.before + rows.after:,} rows lie outside of it"
            if first := rows.first_outside:
                why += f", row {first.row:,} of its report has {self.column} {first.value!r}"
            raise WindowNotHonoured(f"the service did not keep to the window {describe_window(part.window)}", why=why)
        if handling is WindowHandling.WHOLE and part.window != self.whole:
            raise HoldsWhole(part)

    async def cut_out(self, found: HoldsWhole) -> ConvertedPull:
        """The requested window, cut out of the one report that holds it."""
        whole = replace(found.part, pull=replace(found.part.pull, window=self.whole))
        self.notes.append("the service ignores windows for it: one report had all requested rows and was cut here")
        return await self.convert(whole, self.bounds_of(self.whole))

    async def agree(self, parts: Sequence[ConvertedPull]) -> list[ConvertedPull]:
        """
        The same parts, each row in one of them only.

        Raises:
            TimeNotReadable: The time column does not show which rows are within a window.
            HoldsWhole, WindowNotHonoured: As `check`.
        """
        agreed = await self._with_one_form(parts)
        bounds = [self.bounds_of(part.window, form=part.window_rows.form) for part in agreed]
        divided = divide_edges(agreed, bounds, undated_last=self.undated_last)
        for place, (usual, bound) in enumerate(zip(bounds, divided, strict=True)):
            if bound != usual:
                agreed[place] = await self.convert(agreed[place], bound)
        self._add_notes(agreed, divided)
        return agreed

    async def _with_one_form(self, parts: Sequence[ConvertedPull]) -> list[ConvertedPull]:
        """Read parts with an ambiguous date format in the format of the other parts."""
        forms = {part.window_rows.form for part in parts if part.window_rows.form}
        agreed = list(parts)
        for place, part in enumerate(parts):
            if not _is_unread(part.window_rows):
                continue
            if len(forms) != 1:
                self._refuse_unread_times(part)
            agreed[place] = await self.convert(part, self.bounds_of(part.window, form=next(iter(forms))))
            self._refuse_unread_times(agreed[place])
            self.check(agreed[place])
        return agreed

    def _refuse_unread_times(self, part: ConvertedPull) -> None:
        rows = part.window_rows
        if not _is_unread(rows):
            return
        shown = "day and month may stand either way round"
        if first := rows.first_unread:
            shown = f"{first.value!r} in row {first.row:,} of the report of {describe_window(part.window)}"
        raise TimeNotReadable(f"its time column {self.column} does not tell which rows lie within a window", why=shown)

    def _add_notes(self, parts: Sequence[ConvertedPull], bounds: Sequence[WindowBounds]) -> None:
        found = [part.window_rows for part in parts]
        handlings = {window_handling(part, whole=self.whole) for part in parts}
        twice = sum(rows.edge for rows, bound in zip(found[:-1], bounds[:-1], strict=True) if not bound.keep_edge)
        if twice:
            self.notes.append(f"{twice:,} rows on the edges of its windows came twice and are kept once")
        if at_end := found[-1].edge:
            self.notes.append(
                f"{plural(at_end, 'row')} of the day of the window's end, {self.whole.end:%Y-%m-%d}, came as "
                "well and are left out"
            )
        if outside := sum(rows.before + rows.after for rows in found):
            why = "are dated after its end"
            if WindowHandling.ROUNDED in handlings:
                why = "came because the service answers with whole months"
            elif WindowHandling.WHOLE in handlings:
                why = "came because the service does not keep to windows for it"
            self.notes.append(f"{plural(outside, 'row')} outside of the window {why}; they are left out")
        dated = [rows for rows in found if rows.earliest is not None]
        if self.whole.start.day != 1 and dated and all(rows.only_first_days for rows in dated):
            self.notes.append(
                "the row of a month lies on its first day: the month in which the window begins is not in it"
            )
        if undated := undated_rows(found).total():
            again = ", which came with several windows" if any(bound.skip_undated for bound in bounds) else ""
            self.notes.append(f"{plural(undated, 'row')} without {self.column}{again}: kept, each once")
        if not sum(part.table.rows for part in parts):
            self.notes.append(f"no row lies within the window {describe_window(self.whole)}")


def _is_unread(rows: WindowRows) -> bool:
    """Whether the times cannot be read, or not in one way."""
    return bool(rows.unread or rows.is_ambiguous)
