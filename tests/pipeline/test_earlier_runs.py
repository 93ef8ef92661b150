"""Which earlier run is carried on: one that did something within a day, however long ago it began."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from bulkpull.output.ledger import RunEntry
from bulkpull.pipeline.open_run import find_resumable

NOW = datetime(2026, 11, 24, 4, 0, tzinfo=UTC)
KEY = {"datasets": ["azureusage"], "since": "2016-01-01T00:00:00Z"}


def run(*, began_h: float, active_h: float | None = None) -> RunEntry:
    """A run that was killed; hours before now."""
    active_at = None if active_h is None else NOW - timedelta(hours=active_h)
    return RunEntry("run", NOW - timedelta(hours=began_h), KEY, active_at=active_at)


@pytest.mark.case("W13")
def test_a_run_of_many_windows_is_carried_on_a_day_after_it_began() -> None:
    """130 windows at five reports an hour take 26 hours."""
    past = find_resumable([run(began_h=26, active_h=0.5)], key=KEY, now=NOW)

    assert past.carried_on is not None
    assert past.closed == ()


@pytest.mark.case("W13")
def test_a_run_that_did_nothing_for_a_day_is_closed() -> None:
    past = find_resumable([run(began_h=50, active_h=25)], key=KEY, now=NOW)

    assert past.carried_on is None
    assert [entry.run_id for entry in past.closed] == ["run"]
