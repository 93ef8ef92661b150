"""Seconds in the manifest are elapsed time, however many windows take a step side by side."""

from __future__ import annotations

from contextlib import suppress
from types import SimpleNamespace
from typing import Any

from support import FakeClock

from bulkpull.errors import Step
from bulkpull.events import Events
from bulkpull.model import OfferedDataset, Pull
from bulkpull.pipeline.steps.pull_context import PullContext, elapsed_seconds
from bulkpull.requested_data import requested_data


def pull_context(clock: FakeClock) -> PullContext:
    pull = Pull("AnyDataset", OfferedDataset("AnyDataset", ("Id",)), ("Id",), "SELECT Id FROM AnyDataset")
    run: Any = SimpleNamespace(clock=clock, events=Events())
    return PullContext(pull, run, requested_data(pull), columns=(), bounds=None)


def test_windows_that_wait_side_by_side_count_once() -> None:
    clock = FakeClock()
    first, second = pull_context(clock), pull_context(clock)

    with first.step(Step.POLL):
        clock.advance(10)
        with second.step(Step.POLL):
            clock.advance(5)

    assert elapsed_seconds([*first.spans, *second.spans]).wait == 15


def test_time_counts_for_the_earliest_step_that_a_window_is_in() -> None:
    clock = FakeClock()
    first, second = pull_context(clock), pull_context(clock)

    with first.step(Step.DOWNLOAD):
        clock.advance(1)
        with second.step(Step.POLL):
            clock.advance(7)
        clock.advance(2)
    clock.advance(100)
    with first.step(Step.CONVERT):
        clock.advance(4)

    seconds = elapsed_seconds([*first.spans, *second.spans])
    assert seconds.model_dump() == {"submit": 0.0, "wait": 7.0, "download": 3.0, "convert": 4.0}


def test_a_step_that_fails_counts_as_well() -> None:
    context = pull_context(clock := FakeClock())
    with suppress(ValueError), context.step(Step.SUBMIT):
        clock.advance(3)
        raise ValueError
    clock.advance(50)

    assert elapsed_seconds(context.spans).submit == 3
