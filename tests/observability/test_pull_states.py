"""What each pull is doing since when, as display, timings and telemetry read it from the same events."""

from __future__ import annotations

from itertools import pairwise

import pytest
from accounts import event
from hypothesis import given
from hypothesis import strategies as some

from bulkpull.errors import Step
from bulkpull.event_types import Event
from bulkpull.observability.progress import Progress
from bulkpull.observability.pull_states import PullState, PullStates, StateSpan
from bulkpull.observability.timings import RunTimings

STEPS = [step.value for step in Step if step is not Step.PLAN]
PARTS = some.sampled_from([None, "2026-10-01", "2026-11-01"])
NAMES = some.sampled_from(["AzureUsage", "Profile"])
STATUSES = some.sampled_from(["Pending", "Running", "Completed", "Paused"])
EVENTS: some.SearchStrategy[Event] = some.one_of(
    some.tuples(NAMES, some.sampled_from(STEPS), PARTS).map(
        lambda it: event("pull.stepped", it[0], step=it[1], part=it[2])
    ),
    some.tuples(NAMES, STATUSES).map(lambda it: event("execution.changed", it[0], status=it[1])),
    some.tuples(NAMES, PARTS).map(lambda it: event("conversion.completed", it[0], part=it[1])),
    NAMES.map(lambda name: event("pull.finished", name, status="complete")),
)


@given(some.lists(EVENTS, max_size=40))
def test_the_states_of_a_pull_follow_one_another_without_gap_or_overlap(events: list[Event]) -> None:
    states = PullStates()
    ended: list[StateSpan] = []
    for number, item in enumerate(events):
        ended += states.note(item, at_s=float(number))
    ended += states.end_all(at_s=float(len(events)))

    for key in {(span.dataset, span.part) for span in ended}:
        mine = [span for span in ended if (span.dataset, span.part) == key]
        assert all(before.ended_s <= after.began_s for before, after in pairwise(mine))
        assert all(span.began_s <= span.ended_s for span in mine)
    assert states.end_all(at_s=99.0) == []


@given(some.lists(EVENTS, max_size=40))
def test_display_and_timings_tell_the_same_state(events: list[Event]) -> None:
    progress, timings, states = Progress(began_s=0.0), RunTimings(), PullStates()
    for number, item in enumerate(events):
        progress.note(item, now_s=float(number))
        timings.record(item, at_s=float(number))
        states.note(item, at_s=float(number))

    assert {name: line.doing for name, line in progress.lines.items() if name in states.by_dataset} == states.by_dataset
    timings.close()
    assert all(span.length_s > 0 for span in timings.spans)


@pytest.mark.behaviour(109)
def test_the_wait_for_a_report_is_told_apart_by_the_states_of_its_execution() -> None:
    states = PullStates()
    states.note(event("pull.stepped", "AzureUsage", step="poll"), at_s=0.0)

    waited = states.note(event("execution.changed", "AzureUsage", status="Running"), at_s=5.0)
    states.note(event("execution.changed", "AzureUsage", status="Running"), at_s=6.0)
    made = states.note(event("execution.changed", "AzureUsage", status="Completed"), at_s=60.0)
    ended = states.note(event("pull.stepped", "AzureUsage", step="download"), at_s=62.0)

    assert waited == [StateSpan("AzureUsage", None, PullState.WAITING, 0.0, 5.0, ends_step=False)]
    assert made == [StateSpan("AzureUsage", None, PullState.RUNNING, 5.0, 60.0, ends_step=False)]
    assert ended == [StateSpan("AzureUsage", None, PullState.READY, 60.0, 62.0, ends_step=True)]
    assert states.by_dataset == {"AzureUsage": PullState.DOWNLOADING}
