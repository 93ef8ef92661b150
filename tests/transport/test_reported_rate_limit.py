"""The allowance that the service tells is used up to its end and not beyond it, before any 429."""

from __future__ import annotations

import heapq
import itertools
import math
from dataclasses import dataclass, field

import anyio
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from support import EventRecorder, FakeClock

from bulkpull.transport.pacer import RateLimiter, Urgency
from bulkpull.transport.reported_rate_limit import (
    AllowanceHeaders,
    AllowanceState,
    after_answer,
    after_loss,
    after_refusal,
    after_sending,
    calls_left,
    read_allowance,
    wait_for_allowance,
)

pytestmark = pytest.mark.behaviour(172)


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"X-RateLimit-Limit": "10", "X-RateLimit-Remaining": "8"}, (10, 8)),
        ({"x-ratelimit-limit": " 10 ", "X-RATELIMIT-REMAINING": "0"}, (10, 0)),
        ({}, (None, None)),
        ({"X-RateLimit-Remaining": "8"}, (None, 8)),
        ({"X-RateLimit-Limit": "10"}, (10, None)),
        ({"X-RateLimit-Limit": "-1", "X-RateLimit-Remaining": "-5"}, (None, 0)),
        ({"X-RateLimit-Limit": "0", "X-RateLimit-Remaining": "3"}, (None, 3)),
        ({"X-RateLimit-Limit": "many", "X-RateLimit-Remaining": "8.5"}, (None, None)),
        ({"X-RateLimit-Limit": "10, 10", "X-RateLimit-Remaining": ""}, (None, None)),
        ({"X-RateLimit-Limit": "9" * 5_000, "X-RateLimit-Remaining": "-" + "9" * 5_000}, (1_000_000, 0)),
        ({"X-RateLimit-Limit": "\u0661\u0660", "X-RateLimit-Remaining": "--8"}, (None, None)),
    ],
)
def test_the_headers_are_read_whatever_they_say(
    headers: dict[str, str], expected: tuple[int | None, int | None]
) -> None:
    reported = read_allowance(headers)

    assert (reported.limit, reported.remaining) == expected


@settings(deadline=None)
@given(limit=st.text(max_size=30), remaining=st.text(max_size=30))
def test_no_text_in_the_headers_breaks_the_reading(limit: str, remaining: str) -> None:
    reported = read_allowance({"X-RateLimit-Limit": limit, "X-RateLimit-Remaining": remaining})

    assert reported.limit is None or reported.limit > 0
    assert reported.remaining is None or reported.remaining >= 0


@dataclass
class Service:
    """Counts calls in windows of one of three kinds, and tells what is left."""

    kind: str
    limit: int
    window_s: float
    phase_s: float = 0.0
    counted: list[float] = field(default_factory=list)
    began: float = -math.inf
    refused: int = 0

    def _used(self, at: float) -> int:
        if self.kind == "sliding":
            return sum(moment > at - self.window_s for moment in self.counted)
        if self.kind == "aligned":
            began = math.floor((at - self.phase_s) / self.window_s) * self.window_s + self.phase_s
        else:
            if at >= self.began + self.window_s:
                self.began = at
            began = self.began
        return sum(moment >= began for moment in self.counted)

    def call(self, at: float) -> AllowanceHeaders:
        used = self._used(at)
        if used >= self.limit:
            self.refused += 1
        else:
            self.counted.append(at)
            used += 1
        return AllowanceHeaders(self.limit, self.limit - used)


def use_up(
    service: Service, *, calls: int, parallel: int, delays: list[float], state: AllowanceState
) -> tuple[list[float], AllowanceState]:
    """Send `calls` as early as permitted, at most `parallel` at once; returns when each was sent."""
    draw = itertools.cycle(delays)
    number = itertools.count()
    events: list[tuple[float, int, str, float, AllowanceHeaders | None]] = []
    now, sent, under_way = 0.0, list[float](), 0
    while len(sent) < calls or events:
        if len(sent) < calls and under_way < parallel:
            wait_s = wait_for_allowance(state, at=now)
            assert 0 <= wait_s <= state.window_s + 1e-6, "a wait is never longer than a window"
            if wait_s == 0 or not events or now + wait_s < events[0][0]:
                now += wait_s
                state = after_sending(state, at=now)
                sent.append(now)
                under_way += 1
                heapq.heappush(events, (now + next(draw), next(number), "arrive", now, None))
                continue
        at, _, what, sent_at, reported = heapq.heappop(events)
        now = max(now, at)
        if what == "arrive":
            heapq.heappush(events, (at + next(draw), next(number), "answer", sent_at, service.call(at)))
        else:
            assert reported is not None
            state = after_answer(state, reported, sent_at=sent_at, at=now)
            under_way -= 1
    return sent, state


kinds = st.sampled_from(["from first", "aligned", "sliding"])
delays = st.lists(st.floats(0.001, 2.0), min_size=1, max_size=12)


@settings(deadline=None)
@given(
    kind=kinds,
    limit=st.integers(1, 12),
    phase_s=st.floats(0, 60),
    calls=st.integers(1, 50),
    parallel=st.integers(1, 8),
    delays=delays,
)
def test_never_is_a_call_made_that_the_told_allowance_does_not_hold(
    kind: str, limit: int, phase_s: float, calls: int, *, parallel: int, delays: list[float]
) -> None:
    service = Service(kind, limit, 60.0, phase_s)
    # One call first: what the service allows is not known before it has answered.
    first = service.call(0.0)
    state = after_answer(after_sending(AllowanceState(), at=0.0), first, sent_at=0.0, at=0.0)

    sent, _ = use_up(service, calls=calls, parallel=parallel, delays=delays, state=state)

    assert service.refused == 0
    assert len(sent) == calls


@settings(deadline=None)
@given(limit=st.integers(1, 12), windows=st.integers(1, 4), parallel=st.integers(1, 8))
def test_the_allowance_is_used_up_to_its_end(limit: int, windows: int, parallel: int) -> None:
    service = Service("from first", limit, 60.0)
    state = after_answer(after_sending(AllowanceState(), at=0.0), service.call(0.0), sent_at=0.0, at=0.0)

    sent, _ = use_up(service, calls=limit * windows - 1, parallel=parallel, delays=[0.01], state=state)

    assert service.refused == 0
    assert sent == [] or sent[-1] < 60 * (windows - 1) + 0.2 * limit * windows


tellings = st.builds(
    AllowanceHeaders,
    limit=st.none() | st.integers(1, 20),
    remaining=st.none() | st.integers(0, 50) | st.just(1_000_000),
)
happenings = st.lists(
    st.tuples(
        st.sampled_from(["answer", "late answer", "lost", "unsent", "429", "idle"]), tellings, st.floats(0.0, 90.0)
    ),
    max_size=60,
)


@settings(deadline=None)
@given(story=happenings)
@example(  # the room that an old call made is used once, also by a call whose answer was lost
    story=[
        ("answer", AllowanceHeaders(remaining=1), 0.0),
        ("answer", AllowanceHeaders(), 1.0),
        ("answer", AllowanceHeaders(remaining=0), 0.0),
        ("lost", AllowanceHeaders(), 0.0),
        ("answer", AllowanceHeaders(), 0.0),
    ]
)
def test_over_any_sequence_of_replies_every_wait_is_bounded_and_no_told_number_is_overrun(
    story: list[tuple[str, AllowanceHeaders, float]],
) -> None:
    state, now = AllowanceState(), 0.0
    calls_since, last_remaining, reported_at = 0, None, -math.inf
    for what, reported, value in story:
        if what == "idle":
            now += value
            continue
        wait_s = wait_for_allowance(state, at=now)
        assert 0 <= wait_s <= state.window_s + 1e-6
        now += wait_s
        if last_remaining is not None and now < reported_at + state.window_s and state.reported_at == reported_at:
            # Nothing is a window old yet that was counted in what came last.
            earlier = [item for item in state.answered if reported_at < item + state.window_s <= now]
            assert calls_since + 1 <= last_remaining + len(earlier) or wait_s > 0
        sent_at, calls_since = now, calls_since + 1
        state = after_sending(state, at=now)
        now += value / 100
        match what:
            case "lost" | "unsent":
                state = after_loss(state, sent_at=sent_at, at=now, was_sent=what == "lost")
                calls_since -= what == "unsent"
            case "429":
                state = after_answer(state, reported, sent_at=sent_at, at=now)
                state = after_refusal(state, at=now, retry_after_s=value, reported=reported)
                last_remaining, calls_since = None, 0
            case _:
                state = after_answer(state, reported, sent_at=sent_at, at=now)
                if reported.remaining is not None:
                    last_remaining = min(reported.remaining, state.limit or reported.remaining)
                    calls_since, reported_at = 0, state.reported_at
                else:
                    last_remaining = None
    assert state.lowest is None or state.lowest >= 0
    assert state.window_s <= 3_600


@settings(deadline=None)
@given(
    kind=kinds,
    limit=st.integers(3, 12),
    others=st.lists(st.floats(0, 300), max_size=20),
    parallel=st.integers(1, 4),
)
@pytest.mark.behaviour(173)
def test_other_tools_of_the_partner_cost_at_most_one_refusal_each(
    kind: str, limit: int, others: list[float], parallel: int
) -> None:
    service = Service(kind, limit, 60.0)
    state = after_answer(after_sending(AllowanceState(), at=0.0), service.call(0.0), sent_at=0.0, at=0.0)
    foreign = sorted(others)
    own_call = service.call

    def call(at: float) -> AllowanceHeaders:
        while foreign and foreign[0] <= at:
            moment = foreign.pop(0)
            if service._used(moment) < limit:
                service.counted.append(moment)
        return own_call(at)

    service.call = call  # type: ignore[method-assign]

    sent, state = use_up(service, calls=40, parallel=parallel, delays=[0.05], state=state)

    assert len(sent) == 40
    assert service.refused <= len(others)


def state_with(remaining: int, *, limit: int | None = 10, at: float = 0.0) -> AllowanceState:
    state = after_sending(AllowanceState(), at=at)
    return after_answer(state, AllowanceHeaders(limit, remaining), sent_at=at, at=at)


@pytest.mark.behaviour(173)
def test_a_number_that_falls_by_more_than_our_calls_is_believed_and_one_that_rises_begins_a_window() -> None:
    state = state_with(9)
    state = after_answer(after_sending(state, at=1), AllowanceHeaders(10, 2), sent_at=1, at=2)
    assert (calls_left(state, at=2), state.opened_at) == (2, 0)

    state = after_answer(after_sending(state, at=3), AllowanceHeaders(10, 9), sent_at=3, at=4)

    assert (calls_left(state, at=4), state.opened_at, state.lowest) == (9, 4, 2)


def test_an_answer_that_was_overtaken_may_lower_the_number_and_not_raise_it() -> None:
    state = state_with(5)
    state = after_sending(after_sending(state, at=1.0), at=1.1)
    state = after_answer(state, AllowanceHeaders(10, 3), sent_at=1.1, at=2)

    assert calls_left(after_answer(state, AllowanceHeaders(10, 4), sent_at=1.0, at=3), at=3) == 3
    assert calls_left(after_answer(state, AllowanceHeaders(10, 1), sent_at=1.0, at=3), at=3) == 1


def test_calls_under_way_count_as_used() -> None:
    state = state_with(2)
    for at in (1.0, 2.0):
        assert wait_for_allowance(state, at=at) == 0
        state = after_sending(state, at=at)

    assert wait_for_allowance(state, at=3.0) == 57


def test_a_remaining_number_above_the_limit_counts_as_the_limit() -> None:
    assert calls_left(state_with(50, limit=10), at=0) == 10


def test_with_the_limit_alone_our_own_calls_are_counted() -> None:
    state = AllowanceState()
    for at in (0.0, 1.0, 2.0):
        assert wait_for_allowance(state, at=at) == 0
        state = after_answer(after_sending(state, at=at), AllowanceHeaders(3), sent_at=at, at=at)

    assert wait_for_allowance(state, at=2.0) == 58


def test_a_lost_call_counts_and_one_that_never_left_does_not() -> None:
    state = after_sending(state_with(5), at=1)

    assert calls_left(after_loss(state, sent_at=1, at=2, was_sent=True), at=2) == 4
    assert calls_left(after_loss(state, sent_at=1, at=2, was_sent=False), at=2) == 5


@pytest.mark.behaviour(37)
@pytest.mark.parametrize(
    ("retry_after_s", "reported", "window_s"),
    [
        (57.0, AllowanceHeaders(10, 0), 60.0),  # 3 s after the window began: a minute in all
        (117.0, AllowanceHeaders(10, 0), 120.0),
        (7.0, AllowanceHeaders(10, 0), 10.0),
        (7.0, AllowanceHeaders(), 10.0),
        (7.0, AllowanceHeaders(10, 4), 60.0),  # another limit refused it
        (90.0, AllowanceHeaders(10, 4), 90.0),
        (None, AllowanceHeaders(10, 0), 60.0),
        (0.0, AllowanceHeaders(10, 0), 60.0),
        (1e9, AllowanceHeaders(10, 0), 60.0),
    ],
)
def test_a_retry_after_teaches_the_length_of_the_window(
    retry_after_s: float | None, reported: AllowanceHeaders, window_s: float
) -> None:
    state = after_answer(after_sending(state_with(1), at=3), reported, sent_at=3, at=3)

    assert after_refusal(state, at=3, retry_after_s=retry_after_s, reported=reported).window_s == window_s


def test_a_window_that_was_taught_is_never_believed_shorter() -> None:
    state = after_refusal(state_with(0), at=0, retry_after_s=120, reported=AllowanceHeaders(10, 0))
    state = after_answer(after_sending(state, at=120), AllowanceHeaders(10, 0), sent_at=120, at=120)

    assert after_refusal(state, at=120, retry_after_s=5, reported=AllowanceHeaders(10, 0)).window_s == 120


def test_after_a_refusal_one_call_asks_and_its_answer_lets_the_others_go() -> None:
    state = after_refusal(state_with(0), at=10, retry_after_s=50, reported=AllowanceHeaders(10, 0))
    assert wait_for_allowance(state, at=10) == 50

    state = after_sending(state, at=60)
    assert wait_for_allowance(state, at=60) > 0

    assert calls_left(after_answer(state, AllowanceHeaders(10, 9), sent_at=60, at=61), at=61) == 9


def test_without_the_headers_nothing_is_held_back() -> None:
    state = AllowanceState()
    for at in range(400):
        assert wait_for_allowance(state, at=at) == 0
        state = after_answer(after_sending(state, at=at), AllowanceHeaders(), sent_at=at, at=at)

    assert not state.is_known


def pacer(clock: FakeClock, recorded: EventRecorder, **changes: float) -> RateLimiter:
    return RateLimiter(**({"calls_per_s": 1_000, "burst": 10} | changes), clock=clock, events=recorded.hub)  # type: ignore[arg-type]


async def test_no_burst_goes_before_the_service_has_told_what_it_bears() -> None:
    clock = FakeClock()
    one = pacer(clock, EventRecorder(), calls_per_s=10)
    turn = await one.acquire()
    for _ in range(2):
        await one.acquire()
    assert clock.elapsed_s == 0
    await one.acquire()
    assert clock.elapsed_s == pytest.approx(0.1, abs=1e-4)

    one.answered(turn, {"X-RateLimit-Limit": "100", "X-RateLimit-Remaining": "90"})
    for _ in range(7):
        await one.acquire()

    assert clock.elapsed_s == pytest.approx(0.1, abs=1e-4)


async def test_a_wait_for_the_allowance_is_told_once() -> None:
    clock, recorded = FakeClock(), EventRecorder()
    one = pacer(clock, recorded)
    one.answered(await one.acquire(), {"X-RateLimit-Limit": "1", "X-RateLimit-Remaining": "0"})

    async with anyio.create_task_group() as group:
        for _ in range(2):
            group.start_soon(one.acquire)

    assert recorded.of("allowance.told") == [{"limit": 1, "remaining": 0, "lowest": 0}]
    assert recorded.of("allowance.awaited")[0] == {"limit": 1, "wait_s": 60.0}
    assert clock.elapsed_s == pytest.approx(120)


async def order_of(one: RateLimiter, *asked: Urgency) -> list[Urgency]:
    """In which order calls that ask at once are let go."""
    gone: list[Urgency] = []

    async def caller(urgency: Urgency) -> None:
        turn = await one.acquire(urgency)
        gone.append(urgency)
        one.answered(turn, {})

    async with anyio.create_task_group() as group:
        for urgency in asked:
            group.start_soon(caller, urgency)
    return gone


async def test_reports_go_before_other_calls_and_tidying_goes_last() -> None:
    one = pacer(FakeClock(), EventRecorder(), calls_per_s=1, burst=1)
    await one.acquire()

    gone = await order_of(one, Urgency.TIDYING, Urgency.LOOK, Urgency.USUAL, Urgency.REPORT, Urgency.REPORT)

    assert gone == [Urgency.REPORT, Urgency.REPORT, Urgency.USUAL, Urgency.LOOK, Urgency.TIDYING]


async def test_a_look_goes_at_the_latest_after_29_other_calls() -> None:
    one = pacer(FakeClock(), EventRecorder(), calls_per_s=1, burst=1)
    await one.acquire(Urgency.LOOK)

    gone = await order_of(one, *[Urgency.REPORT] * 40, Urgency.LOOK)

    assert gone.index(Urgency.LOOK) == 29


async def test_a_look_lets_reports_go_first_that_wait_elsewhere_but_no_longer_than_three_windows() -> None:
    clock = FakeClock()
    one = pacer(clock, EventRecorder())
    one.answered(await one.acquire(), {"X-RateLimit-Limit": "10", "X-RateLimit-Remaining": "9"})

    with one.report_ahead():
        await one.acquire(Urgency.LOOK)
        assert clock.elapsed_s == pytest.approx(180)
    await one.acquire(Urgency.LOOK)

    assert clock.elapsed_s == pytest.approx(180)


async def test_a_look_goes_as_soon_as_no_report_is_ahead_any_more() -> None:
    clock = FakeClock()
    one = pacer(clock, EventRecorder())
    one.answered(await one.acquire(), {"X-RateLimit-Limit": "10", "X-RateLimit-Remaining": "9"})

    async def create() -> None:
        with one.report_ahead():
            await clock.sleep(7)

    async with anyio.create_task_group() as group:
        group.start_soon(create)
        await anyio.wait_all_tasks_blocked()
        await one.acquire(Urgency.LOOK)

    assert clock.elapsed_s == pytest.approx(7)


async def test_tidying_waits_for_the_answers_of_other_calls() -> None:
    """Whoever gets such an answer may have a report to create, and shall find the allowance as it is."""
    one = pacer(FakeClock(), EventRecorder())
    one.answered(await one.acquire(), {"X-RateLimit-Limit": "10", "X-RateLimit-Remaining": "9"})
    under_way = await one.acquire()
    gone: list[str] = []

    async def tidy() -> None:
        await one.acquire(Urgency.TIDYING)
        gone.append("tidied")

    async with anyio.create_task_group() as group:
        group.start_soon(tidy)
        await anyio.wait_all_tasks_blocked()
        assert gone == []
        one.answered(under_way, {"X-RateLimit-Remaining": "8"})

    assert gone == ["tidied"]


async def test_tidying_leaves_two_thirds_of_the_allowance_to_the_looks() -> None:
    clock = FakeClock()
    one = pacer(clock, EventRecorder())
    one.answered(await one.acquire(), {"X-RateLimit-Limit": "10", "X-RateLimit-Remaining": "9"})
    for remaining in (8, 7):
        one.answered(await one.acquire(Urgency.TIDYING), {"X-RateLimit-Remaining": str(remaining)})
    assert clock.elapsed_s == 0

    await one.acquire(Urgency.TIDYING)

    assert clock.elapsed_s == pytest.approx(60)


async def test_looks_are_spaced_so_that_they_leave_a_third_of_the_allowance() -> None:
    one = pacer(FakeClock(), EventRecorder())
    assert one.look_spacing_s == 0

    one.answered(await one.acquire(), {"X-RateLimit-Limit": "10", "X-RateLimit-Remaining": "9"})

    assert one.look_spacing_s == pytest.approx(9)
