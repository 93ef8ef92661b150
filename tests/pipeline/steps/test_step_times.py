"""Seconds in the manifest are elapsed time, however many windows take a step side by side."""

from __future__ import annotations

from contextlib import suppress

from support import FakeClock

from bulkpull.errors import Step
from bulkpull.pipeline.steps.step_times import StepTimer, elapsed_seconds


def test_windows_that_wait_side_by_side_count_once() -> None:
    clock = FakeClock()
    first, second = StepTimer(clock), StepTimer(clock)

    with first.during(Step.POLL):
        clock.advance(10)
        with second.during(Step.POLL):
            clock.advance(5)

    assert elapsed_seconds([*first.spans, *second.spans]).wait == 15


def test_time_counts_for_the_earliest_step_that_a_window_is_in() -> None:
    clock = FakeClock()
    first, second = StepTimer(clock), StepTimer(clock)

    with first.during(Step.DOWNLOAD):
        clock.advance(1)
        with second.during(Step.POLL):
            clock.advance(7)
        clock.advance(2)
    clock.advance(100)
    with first.during(Step.CONVERT):
        clock.advance(4)

    seconds = elapsed_seconds([*first.spans, *second.spans])
    assert seconds.model_dump() == {"submit": 0.0, "wait": 7.0, "download": 3.0, "convert": 4.0}


def test_a_step_that_fails_counts_as_well() -> None:
    timer = StepTimer(clock := FakeClock())
    with suppress(ValueError), timer.during(Step.SUBMIT):
        clock.advance(3)
        raise ValueError
    clock.advance(50)

    assert elapsed_seconds(timer.spans).submit == 3
