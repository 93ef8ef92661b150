"""
Combines all windows of a dataset into one table: each row once, and inside the requested window.

Window edges, rows without a time and date formats concern several files at once; some files may have to be converted
again with other bounds.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass, field, replace

from bulkpull.conversion.messages import WindowBounds
from bulkpull.errors import TimeNotReadable, WindowNotHonoured
from bulkpull.formatting import plural
from bulkpull.model import Window
from bulkpull.pipeline.steps.converted_pull import ConvertedPull
from bulkpull.pipeline.windows.date_windows import describe_window
from bulkpull.pipeline.windows.window_check import KeptRows, WindowHandling, divide_edges, undated_rows, window_handling

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
        rows, window = part.table.window, part.pull.window
        if rows is None or window is None or rows.unread or rows.is_ambiguous:
            return  # another part may settle its date format
        if self.is_limited and rows.left_out:
            raise WindowNotHonoured(
                f"the service did not keep to the window {describe_window(self.whole)} of a query with LIMIT",
                why=f"{rows.left_out:,} of its rows lie outside",
            )
        handling = window_handling(part, whole=self.whole)
        if handling is WindowHandling.IGNORED:
            first = rows.first_outside
            shown = (
                f"row {first.row:,} of its report has {self.column} {first.value!r}"
                if first
                else "rows lie outside of it"
            )
            raise WindowNotHonoured(
                f"the service did not keep to the window {describe_window(window)}",
                why=f"{rows.before + rows.after:,} rows lie outside of it, {shown}",
            )
        if handling is WindowHandling.WHOLE and window != self.whole:
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
        kept = divide_edges(agreed, undated_last=self.undated_last)
        for place, (part, keeps) in enumerate(zip(agreed, kept, strict=True)):
            rows, window = part.table.window, part.pull.window
            if keeps != KeptRows() and rows is not None and window is not None:
                bounds = replace(self.bounds_of(window, form=rows.form), **asdict(keeps))
                agreed[place] = await self.convert(part, bounds)
        self._add_notes(agreed, kept)
        return agreed

    async def _with_one_form(self, parts: Sequence[ConvertedPull]) -> list[ConvertedPull]:
        """Read parts with an ambiguous date format in the format of the other parts."""
        forms = {part.table.window.form for part in parts if part.table.window and part.table.window.form}
        agreed = list(parts)
        for place, part in enumerate(parts):
            rows, window = part.table.window, part.pull.window
            if rows is None or window is None or not (rows.unread or rows.is_ambiguous):
                continue
            if len(forms) != 1:
                self._refuse_unread_times(part)
            agreed[place] = await self.convert(part, self.bounds_of(window, form=next(iter(forms))))
            self._refuse_unread_times(agreed[place])
            self.check(agreed[place])
        return agreed

    def _refuse_unread_times(self, part: ConvertedPull) -> None:
        rows, window = part.table.window, part.pull.window
        if rows is None or not (rows.unread or rows.is_ambiguous):
            return
        shown = "day and month may stand either way round"
        if first := rows.first_unread:
            report = f"the report of {describe_window(window)}" if window else "its report"
            shown = f"{first.value!r} in row {first.row:,} of {report}"
        raise TimeNotReadable(f"its time column {self.column} does not tell which rows lie within a window", why=shown)

    def _add_notes(self, parts: Sequence[ConvertedPull], kept: Sequence[KeptRows]) -> None:
        found = [part.table.window for part in parts if part.table.window]
        if not found:
            return
        handlings = {window_handling(part, whole=self.whole) for part in parts}
        twice = sum(rows.edge for rows, keeps in zip(found[:-1], kept[:-1], strict=True) if not keeps.keep_edge)
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
            again = ", which came with several windows" if any(keeps.skip_undated for keeps in kept) else ""
            self.notes.append(f"{plural(undated, 'row')} without {self.column}{again}: kept, each once")
        if not sum(part.table.rows for part in parts):
            self.notes.append(f"no row lies within the window {describe_window(self.whole)}")
