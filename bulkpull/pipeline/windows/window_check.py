"""
Checks by its rows how a report treated its window: kept, rounded to months, or not honoured (pure).

Little is documented about windows (behaviours 83 and 84), so only the rows of a report decide.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import Enum

from bulkpull.clock import iso_utc
from bulkpull.conversion.messages import WindowBounds, WindowRows
from bulkpull.errors import TimeNotReadable, WindowNotHonoured
from bulkpull.model import Window
from bulkpull.pipeline.steps.converted_pull import ConvertedPull
from bulkpull.pipeline.windows.date_windows import first_of_month, next_month

_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


class HoldsWhole(WindowNotHonoured):
    """The report of one window holds the whole requested window: no other report is needed."""

    def __init__(self, part: ConvertedPull) -> None:
        self.part = part
        super().__init__("the service did not keep to the window of a report, which holds all that was asked for")


class WindowHandling(Enum):
    """How the service treated the window of one report."""

    KEPT = "kept"
    ROUNDED = "rounded to whole months"
    WHOLE = "holds the whole window"
    IGNORED = "not honoured"


def window_handling(part: ConvertedPull, *, whole: Window) -> WindowHandling:
    """How the service treated the window of a part."""
    rows, window = part.table.window, part.pull.window
    if rows is None or window is None or not (rows.before or rows.after):
        return WindowHandling.KEPT
    made_at = part.execution.generated_at or datetime.max.replace(tzinfo=UTC)
    is_to_the_present = window.end >= made_at - timedelta(days=1)
    if not rows.before and is_to_the_present:
        return WindowHandling.KEPT  # rows in the future do not matter here
    assert rows.earliest is not None
    assert rows.latest is not None
    first_month, months_end = _months_around(window)
    if rows.earliest >= first_month and rows.latest < months_end:
        return WindowHandling.ROUNDED
    begins = rows.earliest < whole.start
    ends = rows.latest >= whole.end or whole.end >= made_at - timedelta(days=1)
    return WindowHandling.WHOLE if begins and ends else WindowHandling.IGNORED


def refuse_foreign_rows(part: ConvertedPull, *, column: str) -> None:
    """Refuse a report that does not hold its window."""
    rows, window = part.table.window, part.pull.window
    assert rows is not None
    assert window is not None
    first = rows.first_outside
    shown = f"row {first.row:,} of its report has {column} {first.value!r}" if first else "rows lie outside of it"
    raise WindowNotHonoured(
        f"the service did not keep to the window {describe_window(window)}",
        why=f"{rows.before + rows.after:,} rows lie outside of it, {shown}",
    )


def refuse_unread_times(part: ConvertedPull, *, column: str) -> None:
    """Refuse a report whose rows cannot be compared with the window."""
    rows = part.table.window
    if rows is None or not (rows.unread or rows.is_ambiguous):
        return
    first = rows.first_unread
    shown = "day and month may stand either way round"
    if first:
        report = f"the report of {describe_window(part.pull.window)}" if part.pull.window else "its report"
        shown = f"{first.value!r} in row {first.row:,} of {report}"
    raise TimeNotReadable(f"its time column {column} does not tell which rows lie within a window", why=shown)


@dataclass(frozen=True, slots=True)
class KeptRows:
    """The rows that a part keeps at its window edges."""

    edge: bool = False
    first_day: bool = True
    skip_undated: tuple[int, ...] = ()

    def of(self, bounds: WindowBounds) -> WindowBounds:
        """The bounds of a conversion that does so."""
        return replace(bounds, keep_edge=self.edge, skip_first_day=not self.first_day, skip_undated=self.skip_undated)


def divide_edges(parts: Sequence[ConvertedPull], *, undated_last: bool = False) -> list[KeptRows]:
    """
    Decide which part keeps the rows of each edge, and the rows without a time, so that each row is kept once.

    A day on the edge belongs to the part that begins with it. The part before keeps it where the following one has no
    such rows (a service whose windows begin after their start), or where both have it whole, in different readings, and
    its own is the later one. A row without a time that comes with several windows is kept where it is there most
    often, of equals in the latest report; rows that differ are all kept.

    Args:
        parts: In the order of their windows, each beginning where the one before ends.
        undated_last: Rows without a time belong to the last window that has them, which later runs request again.
    """
    kept = [KeptRows() for _ in parts]
    for place in range(len(parts) - 1):
        before, following = parts[place], parts[place + 1]
        one, other = before.table.window, following.table.window
        if one is None or other is None or not one.edge:
            continue
        if not other.first_day:
            kept[place] = replace(kept[place], edge=True)
        elif (
            one.edge_digest != other.first_day_digest
            and one.edges_are_days
            and other.edges_are_days
            and _made_at(before) > _made_at(following)
        ):
            kept[place] = replace(kept[place], edge=True)
            kept[place + 1] = replace(kept[place + 1], first_day=False)
    for place, hashes in _doubled_undated_rows(parts, undated_last=undated_last).items():
        kept[place] = replace(kept[place], skip_undated=tuple(sorted(hashes)))
    return kept


def undated_rows(found: Iterable[WindowRows]) -> Counter[int]:
    """All rows without a time, by hash: each as often as the window has it that has it most often."""
    rows: Counter[int] = Counter()
    for part in found:
        rows |= Counter(part.undated_hashes)
    return rows


def _doubled_undated_rows(parts: Sequence[ConvertedPull], *, undated_last: bool) -> dict[int, set[int]]:
    """By the place of a part, the hashes of its rows without a time that another part keeps."""
    counted = [
        (place, Counter(part.table.window.undated_hashes))
        for place, part in enumerate(parts)
        if part.table.window and part.table.window.undated
    ]
    keepers: dict[int, tuple[int, datetime, int]] = {}
    for place, counts in counted:
        made_at = _LONG_AGO if undated_last else _made_at(parts[place])
        for row, times in counts.items():
            keepers[row] = max(keepers.get(row, (0, _LONG_AGO, 0)), (times, made_at, place))
    doubled = {place: {row for row in counts if keepers[row][2] != place} for place, counts in counted}
    return {place: rows for place, rows in doubled.items() if rows}


def describe_window(window: Window) -> str:
    """A window as messages name it: its days, where it consists of days."""
    return f"{_moment(window.start)} to {_moment(window.end)}"


def _moment(moment: datetime) -> str:
    text = iso_utc(moment)
    return text.removesuffix("T00:00:00Z")


def _months_around(window: Window) -> tuple[datetime, datetime]:
    last = first_of_month(window.end)
    return first_of_month(window.start), last if last == window.end else next_month(last)


def _made_at(part: ConvertedPull) -> datetime:
    return part.execution.generated_at or _LONG_AGO
