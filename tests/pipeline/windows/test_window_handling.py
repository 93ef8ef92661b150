"""The rows of a report say how the service treated its window."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from bulkpull.conversion.messages import WindowBounds, WindowRows
from bulkpull.model import Window
from bulkpull.pipeline.windows.window_check import WindowHandling, divide_edges, undated_rows, window_handling

WINDOW = Window(datetime(2026, 3, 5, tzinfo=UTC), datetime(2026, 3, 20, tzinfo=UTC))
WHOLE = Window(datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 7, 1, tzinfo=UTC))
MADE_AT = datetime(2026, 11, 23, tzinfo=UTC)


def day(month: int, number: int) -> datetime:
    return datetime(2026, month, number, tzinfo=UTC)


@pytest.mark.case("W1")
@pytest.mark.behaviour(83, 84)
@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        (WindowRows(earliest=day(3, 5), latest=day(3, 19)), WindowHandling.KEPT),
        (WindowRows(before=2, earliest=day(3, 1), latest=day(3, 19)), WindowHandling.ROUNDED),
        (WindowRows(after=2, earliest=day(3, 5), latest=day(3, 31)), WindowHandling.ROUNDED),
        (WindowRows(before=2, earliest=day(2, 20), latest=day(3, 19)), WindowHandling.IGNORED),
        (WindowRows(after=2, earliest=day(3, 5), latest=day(4, 2)), WindowHandling.IGNORED),
        (
            WindowRows(before=2, after=2, earliest=datetime(2025, 12, 1, tzinfo=UTC), latest=day(8, 1)),
            WindowHandling.WHOLE,
        ),
    ],
    ids=["inside", "from the first of the month", "to the last of the month", "earlier", "later", "everything"],
)
def test_rows_outside_on_either_side_tell_how_the_window_was_treated(
    rows: WindowRows, expected: WindowHandling
) -> None:
    part: Any = SimpleNamespace(
        window_rows=rows,
        window=WINDOW,
        execution=SimpleNamespace(generated_at=MADE_AT),
    )

    assert window_handling(part, whole=WHOLE) is expected


def with_undated(*rows: int, hour: int) -> Any:
    found = WindowRows(undated=len(rows), undated_hashes=rows)
    return SimpleNamespace(window_rows=found, execution=SimpleNamespace(generated_at=MADE_AT.replace(hour=hour)))


@pytest.mark.case("W1")
@pytest.mark.parametrize(
    ("parts", "skipped"),
    [
        ([(1, 2), (1, 2)], [(1, 2), ()]),
        ([(1, 2), (3,)], [(), ()]),
        ([(1, 2), (1, 3), (1, 4)], [(1,), (1,), ()]),
        ([(1, 1, 2), (1, 3)], [(), (1,)]),
    ],
    ids=["all come with each", "each has its own", "some come with each", "one has it twice"],
)
def test_every_row_without_a_time_is_kept_by_one_part(
    parts: list[tuple[int, ...]], skipped: list[tuple[int, ...]]
) -> None:
    made = [with_undated(*rows, hour=hour) for hour, rows in enumerate(parts)]

    bounds = [WindowBounds("Day", WINDOW.start, WINDOW.end)] * len(made)

    assert divide_edges(made, bounds) == [replace(bounds[0], skip_undated=rows) for rows in skipped]
    kept = [row for rows, skips in zip(parts, skipped, strict=True) for row in rows if row not in skips]
    assert Counter(kept) == undated_rows([part.window_rows for part in made])
