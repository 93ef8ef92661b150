"""The API is never asked faster than the ceiling, and slower after each refusal."""

from __future__ import annotations

from datetime import UTC, datetime

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import EventRecorder, FakeClock

from bulkpull.errors import Throttled
from bulkpull.transport.pacer import RateLimiter
from bulkpull.transport.rate_limit import (
    PaceState,
    after_429,
    after_call,
    after_success,
    initial_state,
    parse_http_date,
    parse_retry_after,
    wait_before_call,
)

NOW = datetime(2026, 11, 23, 2, 0, tzinfo=UTC)
DATE = "Mon, 23 Nov 2026 02:00:00 GMT"

actions = st.lists(
    st.one_of(
        st.tuples(st.just("call"), st.just(0.0)),
        st.tuples(st.just("idle"), st.floats(0, 30)),
        st.tuples(st.just("throttled"), st.sampled_from([0.0, 0.5, 3.0, 57.0])),
        st.tuples(st.just("succeeded"), st.just(0.0)),
    ),
    max_size=80,
)


def play(story: list[tuple[str, float]], state: PaceState) -> tuple[list[float], list[tuple[float, float]]]:
    """The moments of the calls, and the pauses as (from, until)."""
    at, calls, pauses = 0.0, list[float](), list[tuple[float, float]]()
    for action, value in story:
        match action:
            case "call":
                at += wait_before_call(state, at=at)
                state = after_call(state, at=at)
                calls.append(at)
            case "idle":
                at += value
            case "throttled":
                state = after_429(state, at=at, retry_after_s=value)
                pauses.append((at, at + value))
            case _:
                state = after_success(state, at=at)
    return calls, pauses


@pytest.mark.fault(106)
@pytest.mark.behaviour(38)
@given(story=actions, rate=st.floats(0.2, 50), burst=st.integers(1, 20))
def test_over_no_window_are_there_more_calls_than_burst_and_rate_allow(
    story: list[tuple[str, float]], rate: float, burst: int
) -> None:
    calls, _ = play(story, initial_state(calls_per_s=rate, burst=burst, at=0))

    for first in range(len(calls)):
        for last in range(first, len(calls)):
            allowed = burst + rate * (calls[last] - calls[first])
            assert last - first + 1 <= allowed + 1e-6


@pytest.mark.fault(37, 106)
@pytest.mark.behaviour(37)
@given(story=actions)
def test_no_call_falls_within_anyones_retry_after(story: list[tuple[str, float]]) -> None:
    calls, pauses = play(story, initial_state(calls_per_s=10, burst=10, at=0))

    assert not [call for call in calls for begin, end in pauses if begin < call < end - 1e-9]


def test_a_burst_goes_at_once_and_the_next_call_waits_its_share() -> None:
    state = initial_state(calls_per_s=10, burst=3, at=0)
    for _ in range(3):
        assert wait_before_call(state, at=0) == 0
        state = after_call(state, at=0)

    assert wait_before_call(state, at=0) == pytest.approx(0.1)


@pytest.mark.behaviour(37, 39)
def test_a_refusal_halves_the_rate_once_within_its_pause() -> None:
    state = initial_state(calls_per_s=8, burst=8, at=0)
    for _ in range(5):
        state = after_429(state, at=0, retry_after_s=10)

    assert (state.rate, state.burst, state.closed_until) == (4, 1, 10)


def test_a_longer_pause_named_within_a_pause_prolongs_it() -> None:
    state = after_429(initial_state(calls_per_s=8, burst=8, at=0), at=0, retry_after_s=10)

    assert after_429(state, at=5, retry_after_s=57).closed_until == 62
    assert after_429(state, at=5, retry_after_s=1).closed_until == 10


def test_the_rate_never_falls_below_a_sixteenth() -> None:
    state = initial_state(calls_per_s=16, burst=8, at=0)
    for minute in range(20):
        state = after_429(state, at=60 * minute, retry_after_s=1)

    assert state.rate == 1


def test_half_the_rate_is_made_up_for_after_25_answers() -> None:
    state = after_429(initial_state(calls_per_s=10, burst=10, at=0), at=0, retry_after_s=1)
    answers = 0
    while state.is_slowed:
        state, answers = after_success(state, at=2), answers + 1

    assert answers == 25


def test_an_answer_within_a_pause_proves_nothing() -> None:
    state = after_429(initial_state(calls_per_s=10, burst=10, at=0), at=0, retry_after_s=5)

    assert after_success(state, at=1) == state


@pytest.mark.fault(107)
def test_an_absurd_pause_stops_nobody_else() -> None:
    state = after_429(initial_state(calls_per_s=10, burst=10, at=0), at=0, retry_after_s=1e9)

    assert wait_before_call(after_call(state, at=1), at=1) < 1


@pytest.mark.fault(107)
@pytest.mark.behaviour(37)
@pytest.mark.parametrize(
    ("value", "date", "expected"),
    [
        (None, None, None),
        ("57", None, 57),
        (" 57 ", None, 57),
        ("0.5", None, 0.5),
        ("0", None, 0),
        ("-5", None, 0),
        ("1000000000", None, 1e9),
        ("Mon, 23 Nov 2026 02:01:00 GMT", None, 60),
        ("Mon, 23 Nov 2026 02:01:00 GMT", "Mon, 23 Nov 2026 02:00:30 GMT", 30),
        ("Mon, 23 Nov 2026 02:01:00 GMT", "rubbish", 60),
        ("Sun, 22 Nov 2026 02:00:00 GMT", DATE, 0),
        ("soon", None, None),
        ("10^9", None, None),
        ("", None, None),
        ("nan", None, None),
        ("Mon, 99 Nov 2026 02:01:00 GMT", None, None),
    ],
)
def test_retry_after_is_read_as_seconds_or_as_a_date_of_the_services_clock(
    value: str | None, date: str | None, expected: float | None
) -> None:
    assert parse_retry_after(value, date=date, now=NOW) == expected


@pytest.mark.fault(107)
@given(value=st.text(max_size=40), date=st.text(max_size=40))
def test_no_retry_after_whatever_it_says_breaks_the_parser(value: str, date: str) -> None:
    seconds = parse_retry_after(value, date=date, now=NOW)

    assert seconds is None or seconds >= 0


def test_an_http_date_is_utc() -> None:
    assert parse_http_date(DATE) == NOW
    assert parse_http_date("Mon, 23 Nov 2026 03:00:00 +0100") == NOW


async def test_callers_go_in_the_order_in_which_they_asked() -> None:
    clock, gone = FakeClock(), list[int]()
    pacer = RateLimiter(calls_per_s=1, burst=1, clock=clock, events=EventRecorder().hub)

    async def caller(number: int) -> None:
        await pacer.acquire()
        gone.append(number)

    async with anyio.create_task_group() as tasks:
        for number in range(5):
            tasks.start_soon(caller, number)

    assert gone == [0, 1, 2, 3, 4]
    assert clock.elapsed_s == pytest.approx(4)


@pytest.mark.fault(37, 106)
async def test_a_refusal_holds_back_also_those_who_wait_already() -> None:
    clock, recorded, gone = FakeClock(), EventRecorder(), list[float]()
    pacer = RateLimiter(calls_per_s=1, burst=1, clock=clock, events=recorded.hub)

    async def caller() -> None:
        await pacer.acquire()
        gone.append(clock.elapsed_s)

    await caller()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(caller)
        await anyio.lowlevel.checkpoint()
        pacer.throttled(57)

    assert gone == [0, pytest.approx(57)]
    assert recorded.of("pace.changed") == [{"calls_per_s": 0.5, "wait_s": 57.0}]


async def test_a_caller_that_is_cancelled_takes_no_turn() -> None:
    clock = FakeClock()
    pacer = RateLimiter(calls_per_s=1, burst=1, clock=clock, events=EventRecorder().hub)
    await pacer.acquire()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(pacer.acquire)
        await anyio.lowlevel.checkpoint()
        tasks.cancel_scope.cancel()

    await pacer.acquire()

    assert clock.elapsed_s == pytest.approx(1)


def test_the_pace_is_told_when_it_changes_and_not_with_every_answer() -> None:
    clock, recorded = FakeClock(), EventRecorder()
    pacer = RateLimiter(calls_per_s=10, burst=10, clock=clock, events=recorded.hub)
    pacer.succeeded()
    pacer.throttled(1)
    pacer.throttled(1)
    clock.advance(2)
    for _ in range(60):
        pacer.succeeded()

    assert recorded.of("pace.changed") == [{"calls_per_s": 5.0, "wait_s": 1.0}, {"calls_per_s": 10.0, "wait_s": 0.0}]


@given(waits=st.lists(st.floats(1e-18, 0.3), max_size=30), rate=st.floats(0.01, 97))
async def test_no_wait_is_too_short_for_the_clock(waits: list[float], rate: float) -> None:
    """Rounding once left a wait that moved no clock, and the queue stood still."""
    clock = FakeClock()
    pacer = RateLimiter(calls_per_s=rate, burst=1, clock=clock, events=EventRecorder().hub)
    for wait_s in waits:
        clock.advance(wait_s)
        await pacer.acquire()


@pytest.mark.case("C16")
async def test_callers_who_wait_together_are_given_up_together_after_an_hour_of_refusals() -> None:
    """Each for itself would wait for an hour, one after the other."""
    clock = FakeClock()
    pacer = RateLimiter(calls_per_s=10, burst=10, clock=clock, events=EventRecorder().hub)
    refused: list[Throttled] = []

    async def call() -> None:
        try:
            await pacer.acquire()
        except Throttled as error:
            refused.append(error)
        else:
            pacer.throttled(3_599)

    async with anyio.create_task_group() as group:
        for _ in range(20):
            group.start_soon(call)

    assert clock.elapsed_s < 3_700
    assert len(refused) >= 16
    assert "answered every call" in refused[0].reason

    clock.advance(3_600)
    await pacer.acquire()  # the pause is over
    pacer.succeeded()
    pacer.throttled(3_599)
    await pacer.acquire()  # a success between: the hour counts anew


@pytest.mark.case("C16")
async def test_the_first_pause_of_an_hour_is_waited_for_to_its_end_whoever_asks_near_it() -> None:
    """Who asked after 50 minutes of it was given up, and the run lost its datasets for seconds."""
    clock = FakeClock()
    pacer = RateLimiter(calls_per_s=10, burst=10, clock=clock, events=EventRecorder().hub, random=lambda: 0.5)
    pacer.throttled(3_599)
    clock.advance(3_600)

    await pacer.acquire()

    assert clock.elapsed_s == pytest.approx(3_614)
