"""Seconds in the manifest are elapsed time, however many windows take a step side by side."""

from __future__ import annotations

from support import FakeClock

from bulkpull.errors import Step
from bulkpull.output.manifest import Seconds
from bulkpull.pipeline.step_times import StepTimes


def test_windows_that_wait_side_by_side_count_once() -> None:
    clock, seconds = FakeClock(), Seconds()
    times = StepTimes(clock, seconds)

    with times.during(Step.POLL):
        clock.advance(10)
        with times.during(Step.POLL):
            clock.advance(5)

    assert seconds.wait == 15


def test_time_counts_for_the_earliest_step_that_a_window_is_in() -> None:
    clock, seconds = FakeClock(), Seconds()
    times = StepTimes(clock, seconds)

    with times.during(Step.DOWNLOAD):
        clock.advance(1)
        with times.during(Step.POLL):
            clock.advance(7)
        clock.advance(2)
    clock.advance(100)
    with times.during(Step.CONVERT):
        clock.advance(4)

    assert seconds.model_dump() == {"submit": 0.0, "wait": 7.0, "download": 3.0, "convert": 4.0}


def test_a_step_that_fails_counts_as_well() -> None:
    clock, seconds = FakeClock(), Seconds()
    times = StepTimes(clock, seconds)
    try:
        with times.during(Step.SUBMIT):
            clock.advance(3)
            raise ValueError
    except ValueError:
        clock.advance(50)

    assert seconds.submit == 3
