"""However an answer gets lost, one object comes into being."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import aiohttp
import anyio
import pytest
from support import API, START, Answers, Rig, envelope, rig

from bulkpull.clock import iso_utc
from bulkpull.errors import (
    AnswerLost,
    BulkpullError,
    ListUnknown,
    NotConnected,
    QuotaExceeded,
    RequestRejected,
    ServiceTrouble,
    UnexpectedReply,
)
from bulkpull.model import Window

QUERIES = re.compile(re.escape(f"{API}/ScheduledQueries") + r"(\?.*)?$")
REPORTS = re.compile(re.escape(f"{API}/ScheduledReport") + r"(\?.*)?$")
ONE_REPORT = re.compile(re.escape(f"{API}/ScheduledReport/r-"))
CUT = aiohttp.ServerDisconnectedError()


@dataclass
class Service:
    """Keeps reports, and says of each POST what a test wants."""

    one: Rig
    answers: Answers
    script: list[Callable[[], Any]] = field(default_factory=list)
    """What to answer to each POST; the last stays."""
    reports: list[dict[str, Any]] = field(default_factory=list)
    posts: int = 0
    lag_s: float = 0
    """Listings show what was made at least so long ago."""
    listing: Callable[[], Any] | None = None
    deleted: list[str] = field(default_factory=list)
    refuses_deletion: bool = False

    def __post_init__(self) -> None:
        self.answers.post(REPORTS, callback=self._post, repeat=True)
        self.answers.get(REPORTS, callback=self._get, repeat=True)
        self.answers.delete(ONE_REPORT, callback=self._delete, repeat=True)

    def make(self, **more: Any) -> dict[str, Any]:
        number = len(self.reports) + 1
        made = {
            "reportId": f"r-{number}",
            "reportName": "Report",
            "queryId": "q-1",
            "reportStatus": "Inactive",
            "executeNow": True,
            "createdTime": iso_utc(self.one.clock.now()),
        } | more
        self.reports.append(made | {"made_at": self.one.clock.elapsed_s})
        return made

    def create(self) -> Any:
        return Answers.reply(payload=envelope(self.make()))

    def create_and_say(self, status: int = 200, body: str = "") -> Callable[[], Any]:
        def answer() -> Any:
            self.make()
            return Answers.reply(status=status, body=body)

        return answer

    def create_and_cut(self) -> Any:
        self.make()
        raise CUT

    def cut(self) -> Any:
        raise CUT

    def _post(self, _: object, **__: Any) -> Any:
        self.posts += 1
        return self.script[min(self.posts, len(self.script)) - 1]()

    def _get(self, _: object, **__: Any) -> Any:
        if self.listing is not None:
            return self.listing()
        old_enough = self.one.clock.elapsed_s - self.lag_s
        shown = [report for report in self.reports if report["made_at"] <= old_enough]
        return Answers.reply(payload=envelope(*shown)) if shown else Answers.reply(status=404)

    def _delete(self, url: object, **__: Any) -> Any:
        if self.refuses_deletion:
            return Answers.reply(status=403)
        number = str(url).rpartition("/")[2]
        self.deleted.append(number)
        self.reports = [report for report in self.reports if report["reportId"] != number]
        return Answers.reply(payload=envelope())

    async def create_report(self, **more: Any) -> Any:
        return await self.one.client.create_report(**{"name": "Report", "query_id": "q-1"} | more)


@pytest.fixture
async def service() -> AsyncIterator[Service]:
    async with rig() as one:
        with Answers() as answers:
            yield Service(one, answers)


@pytest.mark.behaviour(82, 99)
async def test_a_plain_creation_is_one_call(service: Service) -> None:
    service.script = [service.create]

    made = await service.create_report()

    assert (made.report_id, service.posts, service.one.recorded.names) == ("r-1", 1, [])
    (sent,) = service.answers.sent("POST")
    assert sent["json"] == {"ReportName": "Report", "QueryId": "q-1", "ExecuteNow": True, "Format": "csv"}
    assert json.loads(json.dumps(sent["json"])) == sent["json"]


@pytest.mark.behaviour(45, 80)
@pytest.mark.fault(31, 34)
@pytest.mark.parametrize("loss", ["cut", "502", "500 html", "empty 200", "html 200", "no id", "no object", "cut json"])
async def test_what_was_made_though_its_answer_is_lost_is_adopted(service: Service, loss: str) -> None:
    losses: dict[str, Callable[[], Any]] = {
        "cut": service.create_and_cut,
        "502": service.create_and_say(502),
        "500 html": service.create_and_say(500, "<html>oops</html>"),
        "empty 200": service.create_and_say(200),
        "html 200": service.create_and_say(200, "<html>hello</html>"),
        "no id": service.create_and_say(200, json.dumps(envelope({"reportName": "Report"}))),
        "no object": service.create_and_say(200, json.dumps(envelope())),
        "cut json": service.create_and_say(200, '{"value": [{"reportId": "r-'),
    }
    service.script = [losses[loss]]

    made = await service.create_report()

    assert (made.report_id, service.posts, len(service.reports)) == ("r-1", 1, 1)
    assert service.one.recorded.of("report.adopted") == [{"report_id": "r-1"}]


@pytest.mark.behaviour(45)
@pytest.mark.fault(30)
async def test_what_was_not_made_is_made_after_looking_for_it_long_enough(service: Service) -> None:
    service.script = [service.cut, service.create]

    made = await service.create_report()

    assert (made.report_id, service.posts) == ("r-1", 2)
    assert service.one.clock.sleeps_s == pytest.approx([2, 33, 2, 33])
    assert service.one.http.counts.retried == 1


@pytest.mark.fault(32)
async def test_a_listing_that_lags_half_a_minute_hides_nothing(service: Service) -> None:
    service.lag_s = 30
    service.script = [service.create_and_cut]

    made = await service.create_report()

    assert (made.report_id, service.posts, len(service.reports)) == ("r-1", 1, 1)


@pytest.mark.fault(33)
@pytest.mark.parametrize("status", [503, 403, 200])
async def test_where_the_listing_fails_nothing_is_made_on_dont_know(service: Service, status: int) -> None:
    service.script = [service.cut]
    service.listing = lambda: Answers.reply(status=status, body="<html></html>")

    with pytest.raises(BulkpullError):
        await service.create_report()

    assert service.posts == 1


@pytest.mark.fault(35)
async def test_of_two_the_newest_is_adopted_and_the_other_deleted_and_told(service: Service) -> None:
    def twice() -> Any:
        service.make(createdTime=iso_utc(START))
        service.make(createdTime=iso_utc(START + timedelta(seconds=5)))
        raise CUT

    service.script = [twice]

    made = await service.create_report(name_is_unique=True)

    assert made.report_id == "r-2"
    assert service.deleted == ["r-1"]
    assert service.one.recorded.of("report.deleted") == [{"report_id": "r-1"}]


@pytest.mark.case("M1")
@pytest.mark.fault(35)
async def test_of_two_under_a_name_that_others_may_use_none_is_deleted(service: Service) -> None:
    def twice() -> Any:
        service.make(createdTime=iso_utc(START))
        service.make(createdTime=iso_utc(START + timedelta(seconds=5)))
        raise CUT

    service.script = [twice]

    made = await service.create_report()

    assert (made.report_id, service.deleted) == ("r-2", [])
    assert service.one.recorded.of("report.doubled") == [{"report_id": "r-1"}]


SCHEDULED: dict[str, Any] = {"execute_now": False, "start_at": START + timedelta(hours=6), "recurrence_h": 24}


@pytest.mark.case("M1")
@pytest.mark.parametrize(
    ("ours", "other"),
    [
        ({"window": Window(START - timedelta(days=9), START)}, {}),
        ({}, {"queryStartTime": iso_utc(START - timedelta(days=9)), "queryEndTime": iso_utc(START)}),
        ({"description": "for the board"}, {}),
        ({"format": "tsv"}, {"format": "csv"}),
        ({"callback_url": "https://hooks.contoso.example/a"}, {"callbackUrl": "https://hooks.contoso.example/b"}),
        ({}, {"callbackUrl": "https://hooks.contoso.example/b"}),
        ({}, {"executeNow": False, "recurrenceInterval": 24, "reportStatus": "Active"}),
        (SCHEDULED, {"executeNow": False, "recurrenceInterval": 48, "reportStatus": "Active"}),
        (SCHEDULED, {"executeNow": False, "recurrenceInterval": 24, "recurrenceCount": 3, "reportStatus": "Active"}),
        (
            SCHEDULED,
            {
                "executeNow": False,
                "recurrenceInterval": 24,
                "reportStatus": "Active",
                "startTime": iso_utc(START + timedelta(hours=9)),
            },
        ),
    ],
)
async def test_what_differs_in_one_field_is_no_answer_however_young(
    service: Service, ours: dict[str, Any], other: dict[str, Any]
) -> None:
    """Another machine made it in the same second, under the same name and on the same query."""

    def made_by_another() -> Any:
        service.make(**other)
        raise CUT

    service.script = [made_by_another, service.create]

    made = await service.create_report(**ours)

    assert (made.report_id, service.posts, service.deleted) == ("r-2", 2, [])


@pytest.mark.case("M1")
async def test_what_was_known_before_the_creation_is_no_answer(service: Service) -> None:
    service.make()
    await service.one.client.get_reports()
    service.script = [service.cut, service.create]

    made = await service.create_report()

    assert (made.report_id, service.posts, service.deleted) == ("r-2", 2, [])


@pytest.mark.case("M1")
async def test_a_query_that_was_stored_before_is_neither_taken_nor_deleted() -> None:
    stored = {"queryId": "q-0", "name": "Query", "query": "SELECT a FROM b", "type": "userDefined"}
    older = stored | {"createdTime": iso_utc(START - timedelta(hours=1))}
    new = stored | {"queryId": "q-1", "createdTime": iso_utc(START)}
    async with rig() as one:
        with Answers() as answers:
            answers.post(QUERIES, exception=CUT)
            answers.get(QUERIES, payload=envelope(older, new, new | {"queryId": "q-2"}), repeat=True)

            made = await one.client.create_query(name="Query", text="SELECT a FROM b")

            assert made.query_id in ("q-1", "q-2")
            assert len(one.recorded.of("query.doubled")) == 1
            assert answers.sent("DELETE") == []


@pytest.mark.case("M2")
async def test_after_a_lost_answer_a_list_that_is_null_says_nothing(service: Service) -> None:
    service.script = [service.create_and_cut]
    service.listing = lambda: Answers.reply(payload={"value": None, "statusCode": 200})

    with pytest.raises(ListUnknown, match="does not report what exists"):
        await service.create_report()

    assert service.posts == 1


@pytest.mark.case("M2")
async def test_a_list_that_is_null_is_unknown_and_not_empty() -> None:
    async with rig() as one:
        with Answers() as answers:
            answers.get(REPORTS, payload={"value": None, "statusCode": 200}, repeat=True)
            answers.get(QUERIES, payload={"value": None, "statusCode": 200}, repeat=True)

            with pytest.raises(ListUnknown):
                await one.client.get_reports()
            with pytest.raises(ListUnknown):
                await one.client.get_queries()
            assert await one.client.list_reports() is None


@pytest.mark.fault(35, 100)
async def test_a_spare_that_cannot_be_deleted_costs_no_dataset(service: Service) -> None:
    def twice() -> Any:
        service.make()
        service.make(createdTime=iso_utc(START + timedelta(seconds=5)))
        raise CUT

    service.script = [twice]
    service.refuses_deletion = True

    assert (await service.create_report(name_is_unique=True)).report_id == "r-2"


@pytest.mark.behaviour(92)
@pytest.mark.fault(29, 35)
@pytest.mark.parametrize(
    "other",
    [
        {"createdTime": iso_utc(START - timedelta(days=1))},
        {"queryId": "q-2"},
        {"reportName": "Report of somebody else"},
    ],
)
async def test_what_only_looks_alike_is_neither_adopted_nor_deleted(service: Service, other: dict[str, Any]) -> None:
    service.make(**other)
    service.script = [service.create_and_cut]

    made = await service.create_report()

    assert made.report_id == "r-2"
    assert service.deleted == []


@pytest.mark.fault(11)
async def test_a_wrong_clock_does_not_hide_what_was_made(service: Service) -> None:
    """Our clock is an hour ahead of the service's, which its Date header has shown."""
    service.listing = lambda: Answers.reply(
        payload=envelope(*service.reports), headers={"Date": "Mon, 23 Nov 2026 01:00:00 GMT"}
    )
    await service.one.client.get_reports()

    def made_an_hour_ago() -> Any:
        service.make(createdTime=iso_utc(START - timedelta(hours=1)))
        raise CUT

    service.script = [made_an_hour_ago]

    assert (await service.create_report()).report_id == "r-1"
    assert service.posts == 1


@pytest.mark.behaviour(37)
@pytest.mark.fault(37)
async def test_a_throttled_creation_is_repeated_without_looking(service: Service) -> None:
    service.script = [lambda: Answers.reply(status=429, headers={"Retry-After": "9"}), service.create]

    await service.create_report()

    assert (service.posts, service.answers.sent("GET")) == (2, [])
    assert 9 <= service.one.clock.elapsed_s <= 10


@pytest.mark.behaviour(37, 45)
async def test_a_throttled_look_up_of_a_lost_creation_waits_and_finds_it(service: Service) -> None:
    service.script = [service.create_and_cut]
    calls = 0

    def throttled_at_first() -> Any:
        nonlocal calls
        calls += 1
        if calls <= 4:
            return Answers.reply(status=429, headers={"Retry-After": "57"})
        return Answers.reply(payload=envelope(*service.reports))

    service.listing = throttled_at_first

    assert (await service.create_report()).report_id == "r-1"
    assert (service.posts, calls) == (1, 5)


async def test_a_creation_that_was_never_sent_is_repeated_without_looking(service: Service) -> None:
    def nobody_there() -> Any:
        raise aiohttp.ConnectionTimeoutError

    service.script = [nobody_there, nobody_there, service.create]

    await service.create_report()

    assert (service.posts, service.answers.sent("GET")) == (3, [])


async def test_a_creation_that_cannot_be_sent_ends_after_all_tries(service: Service) -> None:
    def nobody_there() -> Any:
        raise aiohttp.ConnectionTimeoutError

    service.script = [nobody_there]

    with pytest.raises(NotConnected, match="tried 6 times"):
        await service.create_report()


@pytest.mark.behaviour(41)
async def test_the_fault_of_a_badly_written_time_is_repeated_once_at_most(service: Service) -> None:
    message = "Internal error encountered while creating report. Correlation ID <x>"
    service.script = [lambda: Answers.reply(status=500, payload={"message": message, "statusCode": 500})]

    with pytest.raises(ServiceTrouble, match="while creating report"):
        await service.create_report()

    assert service.posts == 2


@pytest.mark.fault(105)
async def test_a_creation_that_is_always_lost_ends_after_all_tries(service: Service) -> None:
    service.script = [service.cut]

    with pytest.raises(AnswerLost, match="tried 2 times"):
        await service.create_report()

    assert (service.posts, len(service.answers.sent("GET"))) == (2, 4)


@pytest.mark.behaviour(39, 45)
@pytest.mark.fault(105)
async def test_twenty_creations_in_doubt_share_their_look_ups(service: Service) -> None:
    service.script = [lambda: Answers.reply(status=503)]
    lost: list[BulkpullError] = []

    async def create(number: int) -> None:
        try:
            await service.one.client.create_report(name=f"Report {number}", query_id="q-1")
        except ServiceTrouble as error:
            lost.append(error)

    async with anyio.create_task_group() as group:
        for number in range(20):
            group.start_soon(create, number)

    assert len(lost) == 20
    assert service.posts == 40
    assert len(service.answers.sent("GET")) <= 12


@pytest.mark.fault(31)
async def test_creations_that_doubt_together_each_find_their_own(service: Service) -> None:
    names = iter([f"Report {number}" for number in range(3)])

    def make_and_cut() -> Any:
        service.make(reportName=next(names))
        raise CUT

    service.script = [make_and_cut]
    made: dict[str, str] = {}

    async def create(name: str) -> None:
        made[name] = (await service.one.client.create_report(name=name, query_id="q-1")).name

    async with anyio.create_task_group() as group:
        for number in range(3):
            group.start_soon(create, f"Report {number}")

    assert made == {f"Report {number}": f"Report {number}" for number in range(3)}
    assert len(service.answers.sent("GET")) == 1


@pytest.mark.behaviour(42, 73, 85)
@pytest.mark.fault(28, 36)
@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ("Invalid QueryId", RequestRejected),
        ("User has exceeded its ExecuteNow report creation quota of 5 reports/60 mins", QuotaExceeded),
    ],
)
async def test_a_refusal_is_neither_repeated_nor_looked_for(
    service: Service, message: str, kind: type[BulkpullError]
) -> None:
    service.script = [lambda: Answers.reply(status=400, payload={"message": message, "statusCode": 400})]

    with pytest.raises(kind, match=message):
        await service.create_report()

    assert (service.posts, service.answers.sent("GET")) == (1, [])


@pytest.mark.behaviour(44, 196)
async def test_every_try_of_one_creation_has_the_same_request_id(service: Service) -> None:
    service.script = [service.cut, service.create]

    await service.create_report()

    assert len({options["headers"]["MS-RequestId"] for options in service.answers.sent("POST")}) == 1


@pytest.mark.behaviour(89)
async def test_a_scheduled_report_is_adopted_only_while_it_is_active(service: Service) -> None:
    def paused() -> Any:
        service.make(reportStatus="Paused", executeNow=False)
        raise CUT

    service.script = [paused, service.create]

    made = await service.one.client.create_report(
        name="Report", query_id="q-1", execute_now=False, start_at=START + timedelta(hours=5), recurrence_h=24
    )

    assert made.report_id == "r-2"


@pytest.mark.behaviour(45, 70, 80)
@pytest.mark.fault(31)
async def test_a_query_is_adopted_by_its_name_and_its_words() -> None:
    stored = {"queryId": "q-1", "name": "Query", "query": "SELECT a\n FROM b", "type": "userDefined"}
    stored["createdTime"] = iso_utc(START)
    async with rig() as one:
        with Answers() as answers:
            answers.post(QUERIES, exception=CUT)
            answers.get(QUERIES, payload=envelope(stored | {"queryId": "q-0", "query": "SELECT c FROM b"}, stored))

            made = await one.client.create_query(name="Query", text="SELECT a FROM b ")

            assert made.query_id == "q-1"
            assert one.recorded.of("query.adopted") == [{"query_id": "q-1"}]
            assert answers.sent("DELETE") == []


@pytest.mark.fault(27)
async def test_a_query_without_an_id_is_never_made_up() -> None:
    async with rig(attempts=2) as one:
        with Answers() as answers:
            answers.post(QUERIES, payload=envelope({"name": "Query"}), repeat=True)
            answers.get(QUERIES, status=404, repeat=True)

            with pytest.raises(UnexpectedReply):
                await one.client.create_query(name="Query", text="SELECT a FROM b")
