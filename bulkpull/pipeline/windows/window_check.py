"""
How a report kept to its window, and which of several reports keeps the rows at their edges (pure).

Little is documented about windows (behaviours 83 and 84), so only the rows of a report tell how its window was treated.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from enum import Enum
from itertools import pairwise

from bulkpull.conversion.messages import WindowBounds, WindowRows
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
    """How the service treated the window of a report."""
    rows, window = part.window_rows, part.window
    if not (rows.before or rows.after):
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


def divide_edges(
    parts: Sequence[ConvertedPull], bounds: Sequence[WindowBounds], *, undated_last: bool = False
) -> list[WindowBounds]:
    """
    The bounds with which each row of an edge, and each row without a time, is kept once.

    A day on the edge belongs to the part that begins with it. The part before keeps it where the following one has no
    such rows (a service whose windows begin after their start), or where both have it whole, in different readings, and
    its own is the later one. A row without a time that comes with several windows is kept where it is there most
    often, of equals in the latest report; rows that differ are all kept.

    Args:
        parts: In the order of their windows, each beginning where the one before ends.
        undated_last: Rows without a time belong to the last window that has them, which later runs request again.
    """
    divided = list(bounds)
    for place, (part, next_part) in enumerate(pairwise(parts)):
        one, other = part.window_rows, next_part.window_rows
        is_later = (
            one.edge_digest != other.first_day_digest
            and one.edges_are_days
            and other.edges_are_days
            and _made_at(part) > _made_at(next_part)
        )
        if one.edge and (is_later or not other.first_day):
            divided[place] = replace(divided[place], keep_edge=True)
            divided[place + 1] = replace(divided[place + 1], skip_first_day=bool(other.first_day))
    for place, hashes in _doubled_undated_rows(parts, undated_last=undated_last).items():
        divided[place] = replace(divided[place], skip_undated=tuple(sorted(hashes)))
    return divided


def undated_rows(found: Iterable[WindowRows]) -> Counter[int]:
    """All rows without a time, by hash: each as often as the window has it that has it most often."""
    rows: Counter[int] = Counter()
    for part in found:
        rows |= Counter(part.undated_hashes)
    return rows


def _doubled_undated_rows(parts: Sequence[ConvertedPull], *, undated_last: bool) -> dict[int, set[int]]:
    """By the place of a part, the hashes of its rows without a time that another part keeps."""
    counted = [Counter(part.window_rows.undated_hashes) for part in parts]
    keepers: dict[int, tuple[int, datetime, int]] = {}
    for place, counts in enumerate(counted):
        made_at = _LONG_AGO if undated_last else _made_at(parts[place])
        for row, times in counts.items():
            keepers[row] = max(keepers.get(row, (0, _LONG_AGO, 0)), (times, made_at, place))
    doubled = {place: {row for row in counts if keepers[row][2] != place} for place, counts in enumerate(counted)}
    return {place: rows for place, rows in doubled.items() if rows}


def _made_at(part: ConvertedPull) -> datetime:
    return part.execution.generated_at or _LONG_AGO
