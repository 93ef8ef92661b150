"""Windows: long spans by month, failed ones in halves; nothing twice, nothing left out."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bulkpull.model import OfferedDataset, Pull, Window
from bulkpull.pipeline.windows.date_windows import LONG, split_in_half, split_pull, window_of_span


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def window(start: str, end: str) -> Window:
    return Window(at(start), at(end))


def windows_of(asked: Window, *, column: str = "Month") -> tuple[Window, ...]:
    """The windows in which a dataset is requested of which that column is selected."""
    offered = OfferedDataset("AzureUsage", (column,))
    pull = Pull("AzureUsage", offered, (column,), "SELECT Month FROM AzureUsage", window=asked)
    pulls = split_pull(pull, now=asked.end)
    return tuple(part.window for part in pulls if part.window)


MOMENTS = st.integers(0, 631_152_000).map(lambda second: datetime(2015, 1, 1, tzinfo=UTC) + timedelta(seconds=second))


@pytest.mark.parametrize("end", ["2026-02-01", "2026-06-30", "2026-07-04"])
def test_a_span_of_six_months_is_one_report(end: str) -> None:
    asked = window("2026-01-01", end)

    assert windows_of(asked) == (asked,)


def test_a_longer_span_is_cut_where_months_begin() -> None:
    parts = windows_of(window("2025-11-20", "2026-06-03T02:00:00"))

    assert [f"{part.start:%m-%d}" for part in parts] == [
        "11-20",
        "12-01",
        "01-01",
        "02-01",
        "03-01",
        "04-01",
        "05-01",
        "06-01",
    ]
    assert parts[-1].end == at("2026-06-03T02:00:00")


def test_a_dataset_without_a_time_column_stays_whole() -> None:
    asked = window("2020-01-01", "2026-01-01")

    assert windows_of(asked, column="MPNId") == (asked,)


@given(MOMENTS, st.timedeltas(min_value=timedelta(seconds=1), max_value=timedelta(days=3_000)))
def test_the_parts_follow_each_other_and_are_the_whole(start: datetime, length: timedelta) -> None:
    whole = Window(start, start + length)
    parts = windows_of(whole)

    assert (parts[0].start, parts[-1].end) == (whole.start, whole.end)
    assert all(earlier.end == later.start for earlier, later in pairwise(parts))
    assert all(part.start < part.end for part in parts)
    assert len(parts) == 1 or all(part.end - part.start <= timedelta(days=31) for part in parts)
    assert (len(parts) > 1) == (length > LONG)


@pytest.mark.parametrize(
    ("asked", "cut"),
    [
        (window("2026-01-01", "2026-05-01"), "2026-03-01"),
        (window("2026-01-10", "2026-02-03"), "2026-02-01"),
        (window("2026-01-01", "2026-02-01"), "2026-01-16"),
        (window("2026-01-01", "2026-01-03"), "2026-01-02"),
    ],
)
def test_a_window_is_halved_where_a_month_or_else_a_day_begins(asked: Window, cut: str) -> None:
    halves = split_in_half(asked)

    assert halves == (Window(asked.start, at(cut)), Window(at(cut), asked.end))


@pytest.mark.parametrize("end", ["2026-01-01T08:00:00", "2026-01-02"])
def test_a_day_is_not_halved(end: str) -> None:
    assert split_in_half(window("2026-01-01", end)) is None


@given(MOMENTS, st.timedeltas(min_value=timedelta(seconds=1), max_value=timedelta(days=900)))
def test_halving_ends_in_days_and_loses_nothing(start: datetime, length: timedelta) -> None:
    pieces, whole = [Window(start, start + length)], Window(start, start + length)
    for _ in range(12):
        pieces = [half for piece in pieces for half in (split_in_half(piece) or (piece,))]

    assert all(split_in_half(piece) is None for piece in pieces)
    assert (pieces[0].start, pieces[-1].end) == (whole.start, whole.end)
    assert all(earlier.end == later.start for earlier, later in pairwise(pieces))


@pytest.mark.behaviour(61)
@pytest.mark.parametrize(
    ("span", "now", "expected"),
    [
        ("LAST_6_MONTHS", "2026-11-23T02:00:00", window("2026-04-01", "2026-11-24")),
        (None, "2026-11-23T02:00:00", window("2026-04-01", "2026-11-24")),
        ("LAST_6_MONTHS", "2026-08-31T02:00:00", window("2026-01-01", "2026-09-01")),
        ("last_month", "2026-03-01T00:00:00", window("2025-12-01", "2026-03-02")),
        ("LIFETIME", "2026-11-23T02:00:00", None),
        ("SINCE_THE_FLOOD", "2026-11-23T02:00:00", None),
    ],
)
def test_the_window_in_place_of_a_span_holds_all_of_it(span: str | None, now: str, expected: Window | None) -> None:
    assert window_of_span(span, now=at(now)) == expected
