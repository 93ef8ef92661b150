"""One layer repeats calls, and it knows when not to."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import START, EventRecorder, FakeClock

from bulkpull.clock import iso_utc
from bulkpull.errors import (
    AccessDenied,
    AnswerLost,
    AuthError,
    BulkpullError,
    FileGone,
    LinkExpired,
    NotConnected,
    NotFound,
    QuotaExceeded,
    RequestRejected,
    ServiceTrouble,
    SettingsError,
    StorageTrouble,
    Throttled,
    TlsRefused,
    UnexpectedReply,
    UnsafeAddress,
)
from bulkpull.transport.http_messages import RequestCounts
from bulkpull.transport.rate_limit import spread
from bulkpull.transport.retry import (
    Retrier,
    RetryPolicy,
    StopReason,
    backoff,
    retry_delay,
    wait_for_budget,
)

POLICY = RetryPolicy()
RETRIABLE = [
    NotConnected("x"),
    AnswerLost("x"),
    Throttled("x"),
    ServiceTrouble("x"),
    StorageTrouble("x"),
    UnexpectedReply("x"),
]
HOPELESS = [
    asyncio.CancelledError(),
    KeyboardInterrupt(),
    ValueError("a mistake of ours"),
    RequestRejected("x"),
    QuotaExceeded("x", kind="one_off"),
    AccessDenied("x"),
    NotFound("x"),
    AuthError("x"),
    TlsRefused("x"),
    UnsafeAddress("x"),
    SettingsError("x"),
    LinkExpired("x"),
    FileGone("x"),
]


def advice(error: BaseException, *, attempt: int = 1, creates: bool = False) -> float | StopReason:
    return retry_delay(error, attempt=attempt, policy=POLICY, creates=creates, draw=0.5)


@pytest.mark.behaviour(40)
@pytest.mark.parametrize("error", RETRIABLE, ids=lambda error: type(error).__name__)
def test_what_may_pass_is_repeated_until_the_tries_are_used_up(error: BaseException) -> None:
    assert advice(error) == pytest.approx(0.55)
    assert advice(error, attempt=5) == pytest.approx(33)
    assert advice(error, attempt=6) is StopReason.RETRIES_EXHAUSTED


@pytest.mark.behaviour(26, 42)
@pytest.mark.fault(13, 28, 72)
@pytest.mark.parametrize("error", HOPELESS, ids=lambda error: type(error).__name__)
def test_what_cannot_pass_is_not_repeated(error: BaseException) -> None:
    assert advice(error) is StopReason.NOT_RETRYABLE


@pytest.mark.behaviour(45)
@pytest.mark.fault(30, 31, 37)
@pytest.mark.parametrize("error", RETRIABLE, ids=lambda error: type(error).__name__)
def test_a_creation_is_repeated_only_when_nothing_was_done(error: BaseException) -> None:
    given_up = advice(error, creates=True) is StopReason.AMBIGUOUS

    assert given_up is not isinstance(error, NotConnected | Throttled)


@pytest.mark.behaviour(37)
@pytest.mark.parametrize("kind", [Throttled, ServiceTrouble, StorageTrouble])
def test_the_services_own_word_beats_the_formula(
    kind: type[Throttled | ServiceTrouble | StorageTrouble],
) -> None:
    assert advice(kind("x", retry_after_s=60)) == 63
    assert [advice(kind("x", retry_after_s=0), attempt=attempt) for attempt in (1, 4)] == pytest.approx([0.1, 2.7])
    assert advice(kind("x", retry_after_s=3_601)) is StopReason.RETRY_AFTER_TOO_LONG


@given(attempt=st.integers(1, 10_000), draw=st.floats(0, 1, exclude_max=True))
def test_the_wait_lies_anywhere_between_a_tenth_of_the_formula_and_all_of_it(attempt: int, draw: float) -> None:
    whole_s = min(60, 3 ** min(attempt - 1, 20))

    assert whole_s / 10 <= backoff(attempt, policy=POLICY, draw=draw) <= whole_s
    assert backoff(attempt, policy=POLICY, draw=0.0) == pytest.approx(whole_s / 10)


@pytest.mark.behaviour(37)
@given(pause_s=st.floats(0, 3_600), draw=st.floats(0, 1, exclude_max=True), waited_s=st.floats(0, 3_600))
def test_a_pause_that_the_service_asks_for_is_never_shortened_and_spread_over_a_tenth(
    pause_s: float, draw: float, waited_s: float
) -> None:
    assert pause_s <= spread(pause_s, draw=draw) <= pause_s + min(pause_s / 10, 30)

    error = Throttled("busy", retry_after_s=pause_s)
    advised = retry_delay(error, attempt=1, policy=POLICY, creates=False, draw=draw, waited_s=waited_s)
    if not isinstance(advised, StopReason):
        assert pause_s <= advised + 1e-9
        assert waited_s + advised <= POLICY.longest_pause_s + 1


@pytest.mark.fault(105)
def test_the_budget_is_a_reserve_a_share_of_the_calls_and_the_time() -> None:
    assert wait_for_budget(retries=19, first_calls=0, elapsed_s=0) == 0
    assert wait_for_budget(retries=20, first_calls=0, elapsed_s=0) == 10
    assert wait_for_budget(retries=20, first_calls=5, elapsed_s=0) == 0
    assert wait_for_budget(retries=20, first_calls=0, elapsed_s=10) == 0
    assert wait_for_budget(retries=25, first_calls=10, elapsed_s=20) == 20


class Rig:
    def __init__(self, policy: RetryPolicy = POLICY) -> None:
        self.clock, self.recorded, self.counts = FakeClock(), EventRecorder(), RequestCounts()
        self.calls = 0
        self.retrier = Retrier(
            policy=policy,
            clock=self.clock,
            events=self.recorded.hub,
            random=lambda: 0.999_999,
            counts=self.counts,
        )

    async def run(self, *outcomes: BulkpullError | str, origin: str = "api", creates: bool = False) -> str:
        """Try through `outcomes`, the last of which stays."""

        async def operation() -> str:
            outcome = outcomes[min(self.calls, len(outcomes) - 1)]
            self.calls += 1
            if isinstance(outcome, BulkpullError):
                raise outcome
            return outcome

        self.calls = 0
        return await self.retrier.run(operation, endpoint="ScheduledReport", origin=origin, creates=creates)


@pytest.mark.fault(15, 27)
async def test_a_passing_trouble_costs_time_and_is_told_once_a_retry() -> None:
    rig = Rig()

    assert await rig.run(ServiceTrouble("down"), AnswerLost("cut"), "done") == "done"

    assert rig.clock.sleeps_s == pytest.approx([1, 3], abs=1e-3)
    assert rig.counts.retried == 2
    assert [(reported["attempt"], reported["reason"]) for reported in rig.recorded.of("call.retried")] == [
        (1, "down"),
        (2, "cut"),
    ]
    assert {reported["attempts"] for reported in rig.recorded.of("call.retried")} == {6}
    assert {reported["since"] for reported in rig.recorded.of("call.retried")} == {iso_utc(START)}


@pytest.mark.fault(19)
async def test_a_host_that_is_gone_is_reported_with_when_it_went_and_when_it_is_given_up() -> None:
    rig = Rig()
    await rig.run("it answers")

    await rig.run(*[NotConnected("cannot reach the host")] * 20, "done")

    reports = rig.recorded.of("call.retried")
    assert [reported["attempt"] for reported in reports[:12]] == list(range(1, 13))
    assert {reported["since"] for reported in reports} == {iso_utc(START)}
    assert {reported.get("until") for reported in reports[:12]} == {iso_utc(START + timedelta(seconds=900 + 100))}
    assert [reported["wait_s"] for reported in reports[:4]] == pytest.approx([1, 3, 9, 27])


@pytest.mark.fault(105)
async def test_the_last_error_tells_how_often_and_how_long_it_was_tried() -> None:
    rig = Rig()

    with pytest.raises(ServiceTrouble) as caught:
        await rig.run(ServiceTrouble("the service is down", why="503", fix="wait"))

    assert rig.calls == 6
    assert str(caught.value) == "the service is down: 503, tried 6 times over 100 s; wait"


@pytest.mark.fault(107)
async def test_an_absurd_retry_after_ends_at_once_and_says_so() -> None:
    rig = Rig()

    with pytest.raises(Throttled, match=r"asks for a longer pause than this run may wait \(1,000,000,000 s\)"):
        await rig.run(Throttled("busy", retry_after_s=1e9))

    assert (rig.calls, rig.clock.sleeps_s) == (1, [])


@pytest.mark.case("C16")
@pytest.mark.fault(107)
@pytest.mark.parametrize(("pause_s", "calls"), [(3_599.0, 2), (1_000.0, 4), (300.0, 6)])
async def test_the_pauses_of_one_call_add_up_to_an_hour_at_most(pause_s: float, calls: int) -> None:
    """A service that asks for a pause for ever is given up, and the message tells the pause and what was waited."""
    rig = Rig()

    with pytest.raises(Throttled) as caught:
        await rig.run(Throttled("busy", retry_after_s=pause_s))

    assert rig.calls == calls
    assert pause_s * (calls - 1) <= sum(rig.clock.sleeps_s) <= POLICY.longest_pause_s == 3_600
    if calls < POLICY.attempts:
        assert f"({pause_s:,.0f} s after {sum(rig.clock.sleeps_s):,.0f} s of waiting)" in str(caught.value)


async def test_cancellation_passes_through_untouched() -> None:
    rig = Rig()
    cancelled = asyncio.CancelledError("mine")

    async def operation() -> None:
        raise cancelled

    with pytest.raises(asyncio.CancelledError) as caught:
        await rig.retrier.run(operation, endpoint="x")

    assert caught.value is cancelled
    assert rig.recorded.events == []


@pytest.mark.fault(109)
@pytest.mark.parametrize(("minutes", "calls_at_most"), [(10, 25), (14, 30)])
async def test_a_network_that_is_gone_for_minutes_uses_up_no_tries(minutes: int, calls_at_most: int) -> None:
    rig = Rig()
    await rig.run("it answers")

    async def operation() -> str:
        rig.calls += 1
        if rig.clock.elapsed_s < 60 * minutes:
            raise NotConnected("gone")
        return "back"

    rig.calls = 0
    assert await rig.retrier.run(operation, endpoint="x", origin="api") == "back"
    assert rig.calls <= calls_at_most
    assert max(rig.clock.sleeps_s) <= 60


@pytest.mark.fault(73, 109)
async def test_a_network_that_never_worked_is_not_waited_for() -> None:
    rig = Rig()

    with pytest.raises(NotConnected, match="tried 6 times"):
        await rig.run(NotConnected("no such host"))

    assert rig.calls == 6


@pytest.mark.fault(109)
async def test_even_a_network_that_worked_is_not_waited_for_without_end() -> None:
    rig = Rig()
    await rig.run("it answers")

    with pytest.raises(NotConnected):
        await rig.run(NotConnected("gone"))

    assert 900 <= rig.clock.elapsed_s <= 1_100


async def test_an_error_of_the_service_counts_as_an_answer() -> None:
    """A host that said 404 is there, so an outage after that is waited for."""
    rig = Rig()
    with pytest.raises(NotFound):
        await rig.run(NotFound("nothing"))

    assert await rig.run(*[NotConnected("gone")] * 8, "back") == "back"


@pytest.mark.fault(105)
async def test_an_hour_of_outage_costs_a_bounded_number_of_calls() -> None:
    """Twenty pulls, each of which starts anew as soon as it has failed, through a whole hour."""
    rig = Rig()
    sent = 0

    async def operation() -> None:
        nonlocal sent
        sent += 1
        raise ServiceTrouble("down")

    async def pull() -> None:
        while rig.clock.elapsed_s < 3_600:
            with pytest.raises(ServiceTrouble):
                await rig.retrier.run(operation, endpoint="x", origin="api")

    async with asyncio.TaskGroup() as tasks:
        for _ in range(20):
            tasks.create_task(pull())

    first_calls = sent - rig.counts.retried
    assert rig.counts.retried <= 20 + first_calls / 5 + rig.clock.elapsed_s / 10 + 1


async def test_a_single_refusal_is_not_said_to_have_been_tried_often() -> None:
    rig = Rig()

    with pytest.raises(RequestRejected) as caught:
        await rig.run(RequestRejected("no", why="400"))

    assert caught.value.message == "no: 400"
