"""A plan tells how many reports it needs, how long they take and what room they need."""

from __future__ import annotations

import pytest

from bulkpull.output.disk_space import RoomEstimate
from bulkpull.pipeline.plan_estimate import ExportEstimate

ROOM = RoomEstimate(free_bytes=40_000_000_000, sizes=(), too_large=(), needed_bytes=1_200_000, fitting_bytes=1_200_000)


@pytest.mark.case("W12")
@pytest.mark.behaviour(85)
def test_reports_in_flight_divide_the_time_that_the_slowest_dataset_takes() -> None:
    estimate = ExportEstimate({"AzureUsage": 22, "Profile": 1}, {"AzureUsage": 120.0}, in_flight=10, room=ROOM)

    assert estimate.as_values() == {
        "reports": 23,
        "seconds": 360.0,
        "quota_hours": 4,
        "needed_bytes": 1_200_000,
        "free_bytes": 40_000_000_000,
        "can_write": True,
    }
    assert "23 one-off reports would be created; by earlier runs they take about 6 min" in estimate.sentence
    assert "5 one-off reports an hour about 4 h" in estimate.sentence


def test_without_an_earlier_run_the_time_is_unknown() -> None:
    estimate = ExportEstimate({"Profile": 1}, {}, in_flight=10, room=ROOM)

    assert (estimate.elapsed_s, estimate.quota_hours) == (None, 0)
    assert "no earlier run shows" in estimate.sentence
    assert "quota" not in estimate.sentence


def test_what_is_not_created_takes_no_time() -> None:
    assert ExportEstimate({"Profile": 0}, {"Profile": 60.0}, in_flight=10, room=ROOM).elapsed_s is None
