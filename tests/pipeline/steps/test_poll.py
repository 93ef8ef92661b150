"""Poll: one loop for all reports, few calls, and nothing that waits for ever."""

from __future__ import annotations

import itertools
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import anyio
import pytest

from bulkpull.clock import iso_utc
from bulkpull.errors import (
    AuthError,
    BulkpullError,
    ExecutionFailed,
    ExecutionOverdue,
    ReportLost,
    RequestRejected,
    ServiceTrouble,
)
from bulkpull.event_types import CallRetried
from bulkpull.events import Event, Events
from bulkpull.model import Execution, Query, Report, SecureLink
from bulkpull.pipeline.report_deletion import may_delete_report
from bulkpull.pipeline.steps.execution_lookup import ExecutionLookup, PollForm
from bulkpull.pipeline.steps.poll import Poller
from bulkpull.pipeline.steps.poll_rules import ExecutionState, PollSchedule, execution_state

NOW = datetime(2026, 11, 23, tzinfo=UTC)
LINK = SecureLink("https://example.blob.core.windows.net/c/b?sig=x")


def report(report_id: str = "r1") -> Report:
    return Report(report_id, "name", "q1", created_at=NOW)


def execution(
    status: str, report_id: str = "r1", *, link: SecureLink | None = None, at: datetime | None = None
) -> Execution:
    return Execution(f"e-{report_id}", report_id, status, link=link, generated_at=at)


READY = execution("Completed", link=LINK)


@pytest.mark.behaviour(102, 103, 107, 109, 110, 112, 113)
@pytest.mark.fault(40, 42, 43, 45, 50, 51)
@pytest.mark.parametrize(
    ("answers", "verdict"),
    [
        ([], ExecutionState.ABSENT),
        ([execution("Completed", "stranger", link=LINK)], ExecutionState.ABSENT),
        ([execution("Pending")], ExecutionState.PENDING),
        ([execution("Running")], ExecutionState.PENDING),
        ([execution("Pondering")], ExecutionState.PENDING),
        ([execution("paused")], ExecutionState.PAUSED),
        ([execution("Failed")], ExecutionState.FAILED),
        ([execution("CancelledByUser")], ExecutionState.FAILED),
        ([execution("InternalError")], ExecutionState.FAILED),
        ([execution("Completed")], ExecutionState.WITHOUT_LINK),
        ([execution("COMPLETED", link=LINK)], ExecutionState.READY),
        ([execution("Pending"), READY], ExecutionState.READY),
        ([execution("Completed", link=LINK, at=NOW - timedelta(days=1))], ExecutionState.ABSENT),
        ([execution("Completed", link=LINK, at=NOW - timedelta(days=1)), READY], ExecutionState.READY),
        ([execution("Completed", link=LINK, at=NOW - timedelta(days=1)), execution("Running")], ExecutionState.PENDING),
        ([execution("Completed", link=LINK, at=NOW - timedelta(minutes=1))], ExecutionState.READY),
        ([execution("Completed", link=LINK, at=NOW + timedelta(days=1))], ExecutionState.READY),
    ],
)
def test_what_an_answer_means_for_a_report(answers: list[Execution], verdict: ExecutionState) -> None:
    assert execution_state(report(), answers)[0] is verdict


@pytest.mark.behaviour(178)
def test_of_several_completed_executions_the_newest_is_taken() -> None:
    old, new = (execution("Completed", link=LINK, at=NOW + timedelta(hours=h)) for h in (1, 2))

    assert execution_state(report(), [old, new, READY])[1] is new


@pytest.mark.behaviour(119)
@pytest.mark.parametrize(
    ("age_s", "wait_s"), [(0, 5), (75, 5), (150, 5), (300, 10), (900, 30), (1_800, 60), (100_000, 60)]
)
def test_the_wait_grows_with_the_age_of_the_report(age_s: float, wait_s: float) -> None:
    assert PollSchedule().interval_s(age_s) == pytest.approx(wait_s)


def test_a_long_first_wait_beats_a_short_longest_one() -> None:
    assert PollSchedule(initial_s=30, longest_s=10).interval_s(1_000) == 30


class InstantClock:
    """A clock whose sleeps are over at once and advance it."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def monotonic(self) -> float:
        return self.now_s

    def now(self) -> datetime:
        return NOW + timedelta(seconds=self.now_s)

    async def sleep(self, wait_s: float) -> None:
        self.now_s += max(0.0, wait_s)
        await anyio.lowlevel.checkpoint()


Answer = Callable[[float, Sequence[str], Sequence[str]], list[Execution]]


class FakeService:
    """Answers executions as a function of the time, and counts the calls."""

    def __init__(self, clock: InstantClock, answer: Answer) -> None:
        self.clock, self.answer = clock, answer
        self.asked: list[tuple[tuple[str, ...], tuple[str, ...]]] = []
        self.looks_at_reports = 0
        self.resumed: list[str] = []
        self.reports = [report()]
        self.queries = [Query("q1", "name", "SELECT")]

    async def get_executions(
        self, ids: Sequence[str], *, statuses: Sequence[str], latest: bool = True, retry: bool = True
    ) -> list[Execution]:
        self.asked.append((tuple(ids), tuple(statuses)))
        await anyio.lowlevel.checkpoint()
        assert not retry, "the next look is the retry"
        return self.answer(self.clock.now_s, ids, statuses)

    async def get_reports(self, *, report_id: str) -> list[Report]:
        self.looks_at_reports += 1
        return self.reports

    async def get_queries(self, *, query_id: str) -> list[Query]:
        return self.queries

    async def resume_report(self, report_id: str) -> None:
        self.resumed.append(report_id)


async def wait_for(
    service: FakeService,
    *reports: Report,
    schedule: PollSchedule | None = None,
    recorded: list[Event] | None = None,
    usual_s: Mapping[str, float] | None = None,
    age_s: float = 0.0,
    may_be_replaced: bool = False,
    form: PollForm = PollForm.ALL_STATUSES,
    remember: Callable[[PollForm], Awaitable[None]] | None = None,
    **options: Any,
) -> list[Execution | BulkpullError]:
    events = Events((recorded if recorded is not None else []).append)
    lookup = ExecutionLookup(service, events=events, form=form, remember=remember)  # type: ignore[arg-type]
    poller = Poller(
        client=service,  # type: ignore[arg-type]
        lookup=lookup,
        clock=service.clock,
        events=events,
        schedule=schedule or PollSchedule(),
        **options,
    )
    outcomes: list[Execution | BulkpullError] = []

    async def wait(awaited_report: Report) -> None:
        try:
            known_s = (usual_s or {}).get(awaited_report.report_id)
            outcomes.append(
                await poller.wait_for_completion(
                    awaited_report, age_s=age_s, usual_s=known_s, may_be_replaced=may_be_replaced
                )
            )
        except BulkpullError as error:
            outcomes.append(error)

    async with anyio.create_task_group() as group:
        group.start_soon(poller.run)
        async with anyio.create_task_group() as waiting:
            for item in reports:
                waiting.start_soon(wait, item)
        group.cancel_scope.cancel()
    return outcomes


@pytest.mark.fault(50)
@pytest.mark.behaviour(112)
async def test_an_execution_dated_before_its_report_is_never_taken_and_named_at_the_deadline() -> None:
    old = execution("Completed", link=LINK, at=NOW - timedelta(hours=1))
    (error,) = await wait_for(FakeService(InstantClock(), lambda *_: [old]), report())

    assert isinstance(error, ExecutionOverdue)
    assert f"only an execution of {iso_utc(NOW - timedelta(hours=1))}" in error.message


@pytest.mark.fault(50)
@pytest.mark.behaviour(112)
@pytest.mark.parametrize(
    "old",
    [
        execution("Completed", link=LINK, at=NOW - timedelta(hours=1)),
        execution("Completed", at=NOW - timedelta(hours=1)),
        execution("Failed", at=NOW - timedelta(hours=1)),
        execution("Paused", at=NOW - timedelta(hours=1)),
    ],
    ids=["ready", "without link", "failed", "paused"],
)
async def test_an_execution_dated_before_its_report_tells_nothing_while_the_reports_own_may_come(
    old: Execution,
) -> None:
    def answer(now_s: float, *_: object) -> list[Execution]:
        """The old one first, then the new one, and before that is done, of a replica that is behind, the old one."""
        if now_s >= 200:
            return [newer]
        return [execution("Running") if 60 <= now_s < 150 else old]

    newer = execution("Completed", link=LINK, at=NOW + timedelta(minutes=3))
    service = FakeService(InstantClock(), answer)

    assert await wait_for(service, report()) == [newer]
    assert service.resumed == []


@pytest.mark.behaviour(106, 119)
async def test_one_call_asks_for_every_pending_report() -> None:
    service = FakeService(
        InstantClock(),
        lambda now, ids, _: [execution("Completed", item_id, link=LINK) for item_id in ids if now >= 10 * int(item_id)],
    )
    outcomes = await wait_for(service, *(report(str(n)) for n in range(1, 21)))

    assert len(outcomes) == 20
    assert service.asked[0][0] == tuple(str(n) for n in range(1, 21))
    assert len(service.asked) <= 45
    assert service.asked[-1][0] == ("20",)


async def test_reports_of_one_to_ten_seconds_cost_at_most_eighty_looks_and_a_thirtieth_of_their_age() -> None:
    latencies = {str(n): 1 + 9 * n / 19 for n in range(20)}
    service = FakeService(
        InstantClock(),
        lambda now, ids, _: [
            execution("Completed", item_id, link=LINK) for item_id in ids if now >= latencies[item_id]
        ],
    )
    await wait_for(service, *map(report, latencies), schedule=PollSchedule(initial_s=0.1, longest_s=60))

    assert len(service.asked) <= 80
    assert service.clock.now_s <= 10 * (1 + 1 / 30) + 0.1


@pytest.mark.behaviour(107)
@pytest.mark.fault(41)
async def test_a_joined_form_that_is_refused_is_given_up_for_good() -> None:
    def answer(now: float, ids: Sequence[str], statuses: Sequence[str]) -> list[Execution]:
        if len(statuses) > 1 or len(ids) > 1:
            raise RequestRejected("no semicolons")
        return [execution("Completed", ids[0], link=LINK)] if now > 20 else []

    service = FakeService(InstantClock(), answer)
    recorded: list[Event] = []
    outcomes = await wait_for(service, report("r1"), report("r2"), recorded=recorded)

    assert len(outcomes) == 2
    assert [event.facts["form"] for event in recorded if event.name == "poll.narrowed"] == ["one_report"]
    assert [len(ids) for ids, _ in service.asked[2:]] == [1] * (len(service.asked) - 2)


@pytest.mark.behaviour(107)
@pytest.mark.fault(41)
async def test_joined_statuses_that_are_refused_are_given_up_and_joined_reports_are_not() -> None:
    def answer(now: float, ids: Sequence[str], statuses: Sequence[str]) -> list[Execution]:
        if len(statuses) > 1:
            raise RequestRejected("no semicolons")
        return [execution("Completed", item_id, link=LINK) for item_id in ids] if now > 20 else []

    service = FakeService(InstantClock(), answer)
    remembered: list[PollForm] = []

    async def remember(form: PollForm) -> None:
        remembered.append(form)

    outcomes = await wait_for(service, report("r1"), report("r2"), remember=remember)

    assert [type(outcome) for outcome in outcomes] == [Execution, Execution]
    assert remembered == [PollForm.ONE_STATUS]
    assert [len(statuses) for _, statuses in service.asked] == [4] + [1] * (len(service.asked) - 1)
    assert {len(ids) for ids, _ in service.asked} == {2}


@pytest.mark.behaviour(104, 105, 107, 108)
@pytest.mark.fault(41)
@pytest.mark.parametrize(
    ("most_ids", "most_statuses", "count", "form"),
    [(1, 4, 3, PollForm.ONE_REPORT), (20, 1, 3, PollForm.ONE_STATUS), (20, 1, 1, PollForm.ONE_STATUS)],
    ids=["ids", "statuses", "statuses of one report"],
)
async def test_a_joined_form_that_finds_nothing_instead_of_being_refused_is_given_up(
    most_ids: int, most_statuses: int, count: int, form: PollForm
) -> None:
    def answer(now: float, ids: Sequence[str], statuses: Sequence[str]) -> list[Execution]:
        """The service takes what is joined for a report, or a status, that it does not know."""
        if len(ids) > most_ids or len(statuses) > most_statuses or now < 600:
            return []
        return [execution("Completed", item_id, link=LINK) for item_id in ids]

    learnt: list[PollForm] = []

    async def remember(form: PollForm) -> None:
        learnt.append(form)

    service = FakeService(InstantClock(), answer)
    outcomes = await wait_for(service, *(report(f"r{n}") for n in range(count)), remember=remember)

    assert [outcome for outcome in outcomes if isinstance(outcome, BulkpullError)] == []
    assert service.clock.now_s < 900
    assert learnt[-1] is form


@pytest.mark.behaviour(105, 107)
async def test_a_report_that_comes_late_costs_few_looks_by_itself_and_gives_up_no_form() -> None:
    learnt: list[PollForm] = []

    async def remember(form: PollForm) -> None:
        learnt.append(form)

    reports = [report(f"r{n}") for n in range(20)]
    ready = [execution("Completed", item.report_id, link=LINK) for item in reports]
    service = FakeService(
        InstantClock(), lambda now, ids, _: [item for item in ready if item.report_id in ids and now > 3_600]
    )
    outcomes = await wait_for(service, *reports, remember=remember)

    assert len(outcomes) == 20
    assert learnt == []
    assert sum(len(ids) == 1 for ids, _ in service.asked) <= 3_600 / 120


@pytest.mark.behaviour(107)
async def test_a_form_that_earlier_runs_learnt_is_not_tried_again() -> None:
    service = FakeService(
        InstantClock(), lambda _, ids, __: [execution("Completed", item_id, link=LINK) for item_id in ids]
    )

    await wait_for(service, report("r1"), report("r2"), form=PollForm.ONE_REPORT)

    assert service.asked == [(("r1",), ("Completed",)), (("r2",), ("Completed",))]


@pytest.mark.fault(41)
@pytest.mark.parametrize("works_alone", [True, False])
async def test_one_bad_id_of_eight_is_found_by_halving_and_left_out(works_alone: bool) -> None:
    def answer(now: float, ids: Sequence[str], _: Sequence[str]) -> list[Execution]:
        if "r5" in ids and (len(ids) > 1 or not works_alone):
            raise RequestRejected("bad id")
        return [execution("Completed", item_id, link=LINK) for item_id in ids] if now > 60 else []

    service = FakeService(InstantClock(), answer)
    outcomes = await wait_for(service, *(report(f"r{n}") for n in range(8)))

    refused = [outcome for outcome in outcomes if isinstance(outcome, RequestRejected)]
    assert len(refused) == (0 if works_alone else 1)
    looks_after = [ids for ids, _ in service.asked[8:]]
    assert all("r5" not in ids or len(ids) == 1 for ids in looks_after)
    assert max(map(len, looks_after)) == (6 if works_alone else 7)
    assert len(service.asked) < 64


async def test_two_bad_ids_are_told_from_a_refused_form() -> None:
    def answer(_: float, ids: Sequence[str], __: Sequence[str]) -> list[Execution]:
        if {"r0", "r3"} & set(ids):
            raise RequestRejected("bad id")
        return [execution("Completed", item_id, link=LINK) for item_id in ids]

    recorded: list[Event] = []
    outcomes = await wait_for(
        FakeService(InstantClock(), answer), *(report(f"r{n}") for n in range(4)), recorded=recorded
    )

    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["Execution"] * 2 + ["RequestRejected"] * 2
    assert not [event for event in recorded if event.name == "poll.narrowed"]


@pytest.mark.behaviour(119)
async def test_the_first_look_comes_when_earlier_runs_say_that_the_report_is_due() -> None:
    service = FakeService(InstantClock(), lambda now, *_: [READY] if now >= 240 else [])

    await wait_for(service, report(), usual_s={"r1": 240.0}, random=lambda: 0.0)

    assert (len(service.asked), service.clock.now_s) == (1, 240)


@pytest.mark.behaviour(119)
@pytest.mark.parametrize(("age_s", "looked_at_s"), [(100.0, 140.0), (240.0, 0.0), (900.0, 0.0)])
async def test_the_usual_time_of_a_report_counts_from_its_order_also_in_a_later_run(
    age_s: float, looked_at_s: float
) -> None:
    service = FakeService(InstantClock(), lambda *_: [READY])

    await wait_for(service, report(), age_s=age_s, usual_s={"r1": 240.0}, random=lambda: 0.0)

    assert (len(service.asked), service.clock.now_s) == (1, looked_at_s)


@pytest.mark.behaviour(119)
async def test_an_adopted_report_that_is_not_ready_costs_one_look_at_once_and_then_a_thirtieth_of_its_age() -> None:
    looks: list[float] = []

    def answer(now: float, *_: object) -> list[Execution]:
        looks.append(now)
        return [READY] if now > 100 else []

    await wait_for(FakeService(InstantClock(), answer), report(), age_s=1_200.0, random=lambda: 0.5)

    assert looks[0] == 0
    assert looks[1] == pytest.approx(1_200 / 30)
    assert len(looks) == 4


@pytest.mark.behaviour(119)
async def test_one_report_that_is_usually_slow_delays_no_look_at_another() -> None:
    service = FakeService(
        InstantClock(),
        lambda now, ids, _: [
            execution("Completed", item_id, link=LINK) for item_id in ids if now >= 9 or item_id == "r2"
        ],
    )

    await wait_for(service, report("r2"), report("r1"), usual_s={"r2": 3_000.0}, random=lambda: 0.5)

    assert service.asked[0][0] == ("r2", "r1")
    assert service.clock.now_s < 20


@pytest.mark.behaviour(39, 172)
async def test_looks_are_as_far_apart_as_the_allowance_asks_for() -> None:
    looks: list[float] = []

    def answer(now: float, *_: object) -> list[Execution]:
        looks.append(now)
        return [READY] if now > 100 else []

    await wait_for(FakeService(InstantClock(), answer), report(), spacing_s=lambda: 9.0)

    assert min(later - earlier for earlier, later in itertools.pairwise(looks)) >= 9


@pytest.mark.parametrize("draw", [0.0, 0.5, 0.999])
def test_looks_are_spread_over_half_an_interval_either_way(draw: float) -> None:
    schedule = PollSchedule()

    assert schedule.next_look_s(300, usual_s=None, draw=draw) == pytest.approx(10 * (0.5 + draw))


@pytest.mark.parametrize(("usual_s", "spread_s"), [(60, 0.2), (600, 2), (3_000, 5)])
def test_the_first_look_comes_within_a_three_hundredth_after_the_usual_time(usual_s: float, spread_s: float) -> None:
    looks = [PollSchedule().next_look_s(40, usual_s=usual_s, draw=draw) for draw in (0.0, 0.999)]

    assert looks == [pytest.approx(usual_s - 40), pytest.approx(usual_s - 40 + spread_s, rel=0.01)]


@pytest.mark.fault(41)
async def test_a_report_that_spoils_the_batch_harms_no_other() -> None:
    def answer(now: float, ids: Sequence[str], statuses: Sequence[str]) -> list[Execution]:
        if "bad" in ids:
            raise RequestRejected("bad id")
        return [execution("Completed", item_id, link=LINK) for item_id in ids]

    good, bad = await wait_for(FakeService(InstantClock(), answer), report("good"), report("bad"))

    assert {type(good), type(bad)} == {Execution, RequestRejected}


@pytest.mark.fault(47)
async def test_minutes_of_trouble_cost_no_report_and_slow_the_looks_down() -> None:
    def answer(now: float, ids: Sequence[str], _: Sequence[str]) -> list[Execution]:
        if now < 600:
            raise ServiceTrouble("503")
        return [execution("Completed", ids[0], link=LINK)]

    service = FakeService(InstantClock(), answer)

    assert isinstance((await wait_for(service, report()))[0], Execution)
    assert len(service.asked) < 20


@pytest.mark.fault(47)
@pytest.mark.case("C11")
async def test_a_failed_look_tells_since_when_looks_fail_when_the_next_is_due_and_when_it_is_given_up() -> None:
    looks_s: list[float] = []

    def refuse(now: float, *_: object) -> list[Execution]:
        looks_s.append(now)
        raise ServiceTrouble("503")

    service, recorded = FakeService(InstantClock(), refuse), list[Event]()
    await wait_for(service, report(), schedule=PollSchedule(deadline_s=3_000), recorded=recorded)

    reports = [event for event in recorded if isinstance(event, CallRetried)]
    assert [event.attempt for event in reports] == list(range(1, len(reports) + 1))
    assert len(reports) > 20, "more than the doublings of the wait"
    assert {event.since for event in reports} == {iso_utc(NOW + timedelta(seconds=looks_s[0]))}
    assert {event.until for event in reports} == {iso_utc(NOW + timedelta(seconds=3_000))}
    assert [event.wait_s for event in reports] == [
        pytest.approx(later - before, abs=0.1) for before, later in pairwise(looks_s)
    ]


@pytest.mark.behaviour(109, 118, 182)
@pytest.mark.fault(46)
async def test_a_report_that_never_completes_ends_at_the_deadline_with_a_warning_half_way() -> None:
    service = FakeService(InstantClock(), lambda *_: [execution("Running")])
    recorded: list[Event] = []

    (error,) = await wait_for(service, report(), schedule=PollSchedule(deadline_s=1_000), recorded=recorded)

    assert isinstance(error, ExecutionOverdue)
    assert "report_timeout_seconds" in str(error)
    assert 1_000 <= service.clock.now_s <= 1_060
    warned = [event.facts["age_s"] for event in recorded if event.facts.get("deadline_s") is not None]
    assert len(warned) == 1
    assert 500 <= float(str(warned[0])) <= 560


@pytest.mark.fault(46)
@pytest.mark.parametrize(
    ("usual_s", "may_be_replaced", "deadline_s"),
    [(10.0, True, 1_800), (1_000.0, True, 8_000), (5_000.0, True, 10_800), (10.0, False, 10_800)],
)
async def test_the_deadline_follows_from_earlier_runs_up_to_the_setting(
    usual_s: float, may_be_replaced: bool, deadline_s: float
) -> None:
    """A last try has the whole setting: a dataset that became slower must get through."""
    service = FakeService(InstantClock(), lambda *_: [execution("Running")])

    (error,) = await wait_for(service, report(), usual_s={"r1": usual_s}, may_be_replaced=may_be_replaced)

    assert isinstance(error, ExecutionOverdue)
    assert deadline_s <= service.clock.now_s <= deadline_s + max(usual_s, 100) + 100
    is_learnt = deadline_s < 10_800
    assert ("earlier reports of this dataset took" in str(error)) == is_learnt
    assert ("report_timeout_seconds" in str(error)) != is_learnt


@pytest.mark.fault(47)
@pytest.mark.case("C11")
async def test_a_report_that_could_not_be_looked_at_until_the_deadline_is_neither_lost_nor_overdue() -> None:
    """What is not known deletes no report."""

    def refuse(*_: object) -> list[Execution]:
        raise ServiceTrouble("cannot ask after the executions now", why="500 Service unavailable")

    service = FakeService(InstantClock(), refuse)
    (error,) = await wait_for(service, report(), schedule=PollSchedule(deadline_s=1_000))

    assert isinstance(error, ServiceTrouble)
    assert not may_delete_report(error)
    assert "500 Service unavailable" in str(error)


@pytest.mark.fault(48)
async def test_a_status_that_flips_back_does_no_harm() -> None:
    states = iter([execution("Completed"), execution("Pending"), READY])

    assert (await wait_for(FakeService(InstantClock(), lambda *_: [next(states)]), report()))[0] is READY


@pytest.mark.behaviour(113)
@pytest.mark.fault(49)
async def test_completed_without_a_link_gets_a_grace_and_then_fails() -> None:
    service = FakeService(InstantClock(), lambda *_: [execution("Completed")])

    (error,) = await wait_for(service, report())

    assert isinstance(error, ExecutionFailed)
    assert "no link" in str(error)


@pytest.mark.behaviour(110)
@pytest.mark.fault(44)
async def test_a_paused_execution_is_resumed_once() -> None:
    service = FakeService(InstantClock(), lambda now, *_: [READY] if now > 60 else [execution("Paused")])

    assert (await wait_for(service, report()))[0] is READY
    assert service.resumed == ["r1"]


@pytest.mark.fault(45)
async def test_a_failed_execution_says_so() -> None:
    (error,) = await wait_for(FakeService(InstantClock(), lambda *_: [execution("Failed")]), report())

    assert isinstance(error, ExecutionFailed)
    assert "its status is Failed" in str(error)


@pytest.mark.behaviour(105)
@pytest.mark.fault(39)
@pytest.mark.parametrize("gone", ["report", "query"])
async def test_a_report_or_query_that_somebody_deleted_is_found_out(gone: str) -> None:
    service = FakeService(InstantClock(), lambda *_: [])
    if gone == "report":
        service.reports = []
    else:
        service.queries = []

    (error,) = await wait_for(service, report())

    assert isinstance(error, ReportLost)
    assert service.clock.now_s < 200


async def test_an_execution_that_was_there_and_is_gone_has_failed() -> None:
    service = FakeService(InstantClock(), lambda now, *_: [execution("Running")] if now < 30 else [])

    assert isinstance((await wait_for(service, report()))[0], ExecutionFailed)


@pytest.mark.behaviour(105)
async def test_nothing_yet_is_looked_into_once_and_waited_for() -> None:
    service = FakeService(InstantClock(), lambda now, *_: [READY] if now > 3_000 else [])

    assert (await wait_for(service, report()))[0] is READY
    assert service.looks_at_reports == 1


@pytest.mark.fault(17)
async def test_refused_credentials_end_every_wait_at_once() -> None:
    def answer(*_: object) -> list[Execution]:
        raise AuthError("refused")

    service = FakeService(InstantClock(), answer)
    outcomes = await wait_for(service, report("r1"), report("r2"))

    assert [type(outcome) for outcome in outcomes] == [AuthError, AuthError]
    assert len(service.asked) == 1
