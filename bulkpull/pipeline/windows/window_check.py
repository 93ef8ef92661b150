"""
How a report kept to its window, and which of several reports keeps the rows at their edges (pure).

Little is documented about windows (behaviours 83 and 84), so only the rows of a report tell how its window was treated.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import Enum

from bulkpull.conversion.messages import WindowRows
from bulkpull.model import Window
from bulkpull.pipeline.steps.converted_pull import ConvertedPull
from bulkpull.pipeline.windows.date_windows import first_of_month, next_month

_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


class WindowHandling(Enum):
    KEPT = "kept"
    ROUNDED = "rounded to whole months"
    WHOLE = "holds the whole window"
    IGNORED = "not honoured"


def window_handling(part: ConvertedPull, *, whole: Window) -> WindowHandling:
    rows, window = part.table.window, part.pull.window
    if rows is None or window is None or not (rows.before or rows.after):
        return WindowHandling.KEPT
    made_at = part.execution.generated_at or datetime.max.replace(tzinfo=UTC)
    if not rows.before and window.end >= made_at - timedelta(days=1):
        return WindowHandling.KEPT  # rows in the future do not matter here
    assert rows.earliest is not None
    assert rows.latest is not None
    last_month = first_of_month(window.end)
    months_end = last_month if last_month == window.end else next_month(last_month)
    if rows.earliest >= first_of_month(window.start) and rows.latest < months_end:
        return WindowHandling.ROUNDED
    ends = rows.latest >= whole.end or whole.end >= made_at - timedelta(days=1)
    return WindowHandling.WHOLE if rows.earliest < whole.start and ends else WindowHandling.IGNORED


@dataclass(frozen=True, slots=True)
class KeptRows:
    """The rows that a part keeps at its window edges, by the fields of `WindowBounds`."""

    keep_edge: bool = False
    skip_first_day: bool = False
    skip_undated: tuple[int, ...] = ()


def divide_edges(parts: Sequence[ConvertedPull], *, undated_last: bool = False) -> list[KeptRows]:
    """
    Decide which part keeps the rows of each edge, and the rows without a time, so that each row is kept once (pure).

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
            kept[place] = replace(kept[place], keep_edge=True)
        elif (
            one.edge_digest != other.first_day_digest
            and one.edges_are_days
            and other.edges_are_days
            and _made_at(before) > _made_at(following)
        ):
            kept[place] = replace(kept[place], keep_edge=True)
            kept[place + 1] = replace(kept[place + 1], skip_first_day=True)
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


def _made_at(part: ConvertedPull) -> datetime:
    return part.execution.generated_at or _LONG_AGO
