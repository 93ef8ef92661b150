"""Days from Python: dates, datetimes with their zone, ISO texts; what is no day is refused by name."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import pytest

from bulkpull.errors import SettingsError
from bulkpull.model import Window
from bulkpull.window_bounds import day_of, window_of

NOW = datetime(2026, 11, 23, 2, 0, tzinfo=UTC)
VIENNA = timezone(timedelta(hours=1))


@pytest.mark.case("L2")
@pytest.mark.parametrize(
    ("given", "day"),
    [
        (date(2026, 1, 31), date(2026, 1, 31)),
        (datetime(2026, 1, 31), date(2026, 1, 31)),  # noqa: DTZ001 - without a zone it is UTC
        (datetime(2026, 1, 31, tzinfo=UTC), date(2026, 1, 31)),
        (datetime(2026, 2, 1, 1, tzinfo=VIENNA), date(2026, 2, 1)),
        (datetime(2026, 1, 31, 19, tzinfo=timezone(-timedelta(hours=5))), date(2026, 2, 1)),
        ("2026-01-31", date(2026, 1, 31)),
        (" 2026-01-31T00:00:00Z ", date(2026, 1, 31)),
        ("2026-02-01T01:00:00+01:00", date(2026, 2, 1)),
    ],
)
def test_a_day_is_the_one_in_utc_that_was_meant(given: Any, day: date) -> None:
    assert day_of(given, name="since") == day


@pytest.mark.case("L2")
@pytest.mark.parametrize(
    ("given", "words"),
    [
        (datetime(2026, 1, 31, 10, 30, tzinfo=UTC), "2026-01-31T10:30:00Z, not midnight UTC"),
        (datetime(2026, 2, 1, tzinfo=VIENNA), "2026-01-31T23:00:00Z, not midnight UTC"),
        (datetime(2026, 1, 31, 0, 0, 0, 1), "2026-01-31T00:00:00.000001Z, not midnight UTC"),  # noqa: DTZ001
        ("2026-01-31T10:30", "not midnight UTC"),
        ("LAST_MONTH", "'LAST_MONTH' is not ISO 8601"),
        (20260131, "of type int"),
    ],
)
def test_what_is_no_day_is_refused_by_its_name(given: Any, words: str) -> None:
    with pytest.raises(SettingsError, match=r"`until`") as refused:
        day_of(given, name="until")

    assert words in str(refused.value)


@pytest.mark.case("L2")
def test_a_window_is_made_of_the_days_of_both_zones() -> None:
    since = datetime(2026, 1, 1, 1, tzinfo=VIENNA)

    assert window_of(since, "2026-02-01", now=NOW) == Window(
        datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC)
    )


@pytest.mark.case("L2")
@pytest.mark.parametrize(
    ("since", "until", "words"),
    [
        ("0026-01-31", None, "no data from before 2000; write the year with four digits: --since 2026-01-01"),
        ("2026-11-24", None, "`since` is 2026-11-24, which is in the future; give a day up to today, 2026-11-23"),
        ("2026-01-01", "2206-02-01", "`until` is 2206-02-01, far in the future"),
    ],
)
def test_days_without_data_are_refused(since: str, until: str | None, words: str) -> None:
    with pytest.raises(SettingsError) as refused:
        window_of(since, until, now=NOW)

    assert words in str(refused.value)
