"""The client and the service in a box, on real sockets and in virtual time: the walkthrough, rows of the matrix."""

from __future__ import annotations

import gzip
import traceback
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest
from support import EventRecorder, FakeClock

from bulkpull.auth.token_endpoint import Credentials, Grant, TokenEndpoint
from bulkpull.errors import (
    AccessDenied,
    AuthError,
    BulkpullError,
    QuotaExceeded,
    RequestRejected,
    ServiceTrouble,
    SettingsError,
    UnexpectedReply,
    UnsafeAddress,
)
from bulkpull.insights.client import InsightsClient
from bulkpull.insights.session import ApiSession
from bulkpull.model import Execution, Report, Window
from bulkpull.simulator import Fault, Scenario, Simulator
from bulkpull.transport.http import TRANSFER_TIMEOUTS, Http, Request
from bulkpull.transport.pacer import RateLimiter
from bulkpull.transport.retry import Retrier, RetryPolicy

ALL = ("Pending", "Running", "Paused", "Completed")
TEXT = "SELECT SubscriptionId FROM DynamicsUsage TIMESPAN LAST_MONTH"


@dataclass
class Stage:
    """A simulator, a client signed in to it, and the time that both live in."""

    simulator: Simulator
    client: InsightsClient
    http: Http
    clock: FakeClock
    recorded: EventRecorder

    async def report(self, name: str = "report-1") -> Report:
        query = await self.client.create_query(name="Query 1", text=TEXT)
        return await self.client.create_report(name=name, query_id=query.query_id)

    async def completed(self, report: Report) -> Execution:
        while True:
            for execution in await self.client.get_executions([report.report_id], statuses=ALL):
                if execution.link is not None:
                    return execution
            await self.clock.sleep(60)

    def posts(self, endpoint: str) -> int:
        return sum(call.method == "POST" and call.endpoint == endpoint for call in self.simulator.calls)


Staging = Callable[..., AbstractAsyncContextManager[Stage]]


@asynccontextmanager
async def staged(
    *faults: Fault, grant: Grant = Grant.PASSWORD, credentials: dict[str, str] | None = None, **scenario: Any
) -> AsyncIterator[Stage]:
    clock, recorded = FakeClock(), EventRecorder()
    small: dict[str, Any] = {"datasets": ("DynamicsUsage", "OfficeUsage", "Profile"), "rows": 50}
    async with Simulator(Scenario(faults=faults, **(small | scenario)), clock=clock) as simulator:
        setting = {name.removeprefix("BULKPULL_").lower(): value for name, value in simulator.environment.items()}
        async with Http(ca_file=None, events=recorded.hub, clock=clock, user_agent="bulkpull/test") as http:
            retrier = Retrier(
                policy=RetryPolicy(),
                clock=clock,
                events=recorded.hub,
                random=lambda: 0.5,
                counts=http.counts,
            )
            known: dict[str, Any] = {
                name: setting[name] for name in ("client_id", "client_secret", "username", "password")
            } | {"refresh_token": simulator.scenario.refresh_token}
            auth = TokenEndpoint(
                http=http,
                retrier=retrier,
                clock=clock,
                events=recorded.hub,
                token_url=setting["token_url"].replace("{tenant_id}", setting["tenant_id"]),
                resource="https://api.partnercenter.microsoft.com",
                grant=grant,
                credentials=Credentials(**(known | (credentials or {}))),
            )
            session = ApiSession(
                http=http,
                auth=auth,
                pacer=RateLimiter(calls_per_s=10, burst=10, clock=clock, events=recorded.hub),
                retrier=retrier,
                api_base_url=setting["api_base_url"],
                clock=clock,
                events=recorded.hub,
            )
            yield Stage(simulator, InsightsClient(session), http, clock, recorded)


@pytest.mark.behaviour(1, 29, 59, 78, 82, 99, 102, 120, 126)
@pytest.mark.parametrize("casing", ["camel", "pascal"])
async def test_the_walkthrough_leads_from_the_token_to_the_bytes(casing: str) -> None:
    async with staged(latency_s=(500, 600), key_casing=casing) as stage:
        client = stage.client

        (dataset,) = await client.get_datasets("DynamicsUsage")
        assert "SubscriptionId" in dataset.columns

        query = await client.create_query(name="SubscriptionId Dynamics", text=f"{TEXT} ")
        assert (await client.get_queries(query_id=query.query_id)) == [query]

        rows = await client.test_query(query_id=query.query_id)
        assert rows
        assert set(rows[0]) == {"SubscriptionId"}

        report = await client.create_report(name="DynamicsUsage-1", query_id=query.query_id)
        assert await client.get_executions([report.report_id], statuses=None) == []
        execution = await stage.completed(report)
        assert 500 <= stage.clock.elapsed_s <= 700
        assert execution.link is not None

        request = Request("GET", execution.link.url, endpoint="blob", timeouts=TRANSFER_TIMEOUTS)
        async with stage.http.stream(request) as reply:
            stored = b"".join([chunk async for chunk in reply.chunks()])
        assert gzip.decompress(stored).startswith(b"SubscriptionId\r\n")

        await client.delete_report(report.report_id)
        await client.delete_query(query.query_id)
        assert await client.get_reports() == []
        assert stage.http.counts.total == len(stage.simulator.calls)


@pytest.mark.behaviour(81, 87, 89, 95, 96, 118)
async def test_a_scheduled_report_is_made_changed_paused_and_resumed() -> None:
    async with staged() as stage:
        query = await stage.client.create_query(name="Query 1", text=TEXT)
        start_at = stage.clock.now() + timedelta(hours=5)
        report = await stage.client.create_report(
            name="Standing", query_id=query.query_id, execute_now=False, start_at=start_at, recurrence_h=24
        )
        assert (report.status, report.start_at, report.recurrence_h) == ("Active", start_at, 24)

        later = start_at + timedelta(hours=1)
        changed = await stage.client.update_report(report.report_id, name="Standing", start_at=later, recurrence_h=48)
        assert (changed.start_at, changed.recurrence_h) == (later, 48)

        paused = await stage.client.pause_report(report.report_id)
        assert (await stage.client.get_reports(report_id=report.report_id))[0].status == "Paused"
        resumed = await stage.client.resume_report(report.report_id)
        assert (await stage.client.get_reports(report_id=report.report_id))[0].status == "Active"
        assert paused is not None
        assert resumed is not None
        assert (paused.status, resumed.status) == ("Paused", "Active")

        with pytest.raises(SettingsError, match="four hours"):
            await stage.client.create_report(
                name="Early",
                query_id=query.query_id,
                execute_now=False,
                start_at=stage.clock.now() + timedelta(hours=1),
                recurrence_h=24,
            )


@pytest.mark.behaviour(45, 80)
@pytest.mark.fault(30, 31, 32, 34, 35, 37)
@pytest.mark.parametrize("endpoint", ["ScheduledReport", "ScheduledQueries"])
@pytest.mark.parametrize(
    ("fault", "scenario", "posts"),
    [
        (Fault("reset_before_acting"), {}, 2),
        (Fault("reset_after_acting"), {}, 1),
        (Fault("status_after_acting", args={"status": 502}), {}, 1),
        (Fault("html_body"), {}, 1),
        (Fault("cut_json"), {}, 1),
        (Fault("empty_body"), {}, 1),
        (Fault("idless_body"), {}, 1),
        (Fault("acts_twice"), {}, 1),
        (Fault("throttle", args={"retry_after": 20}), {}, 2),
        (Fault("reset_after_acting"), {"visible_lag_s": 30}, 1),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
async def test_whatever_happens_to_a_creation_one_object_comes_into_being(
    fault: Fault, endpoint: str, scenario: dict[str, Any], posts: int
) -> None:
    async with staged(**scenario) as stage:
        query = await stage.client.create_query(name="Query 0", text=TEXT)
        stage.simulator.arm(Fault(fault.name, endpoint=f"POST {endpoint}", args=fault.args))
        before = stage.posts(endpoint)

        if endpoint == "ScheduledReport":
            made = await stage.client.create_report(name="report-1", query_id=query.query_id, name_is_unique=True)
            await stage.clock.sleep(60)
            assert await stage.client.get_reports() == [made]
        else:
            stored = await stage.client.create_query(name="Query 1", text=TEXT)
            await stage.clock.sleep(60)
            # Another machine may have stored an equal query at the same time, so that none is deleted on suspicion.
            doubled = 1 if fault.name == "acts_twice" else 0
            assert stored in (listed := await stage.client.get_queries(name="Query 1"))
            assert (len(listed), len(stage.recorded.of("query.doubled"))) == (1 + doubled, doubled)

        assert stage.posts(endpoint) - before == posts


@pytest.mark.case("M1")
@pytest.mark.parametrize("fault", ["reset_after_acting", "reset_before_acting"])
async def test_an_older_report_of_the_same_name_is_neither_taken_nor_deleted(fault: str) -> None:
    """Two commands one after the other, the second with a window; its answer is lost."""
    async with staged() as stage:
        window = Window(stage.clock.now() - timedelta(days=60), stage.clock.now() - timedelta(days=30))
        query = await stage.client.create_query(name="Query 0", text=TEXT)
        older = await stage.client.create_report(name="Weekly", query_id=query.query_id)
        stage.simulator.arm(Fault(fault, endpoint="POST ScheduledReport"))

        made = await stage.client.create_report(name="Weekly", query_id=query.query_id, window=window)

        await stage.clock.sleep(60)
        assert (made.report_id != older.report_id, made.window) == (True, window)
        assert {item.report_id for item in await stage.client.get_reports()} == {older.report_id, made.report_id}


@pytest.mark.fault(33)
async def test_where_the_listing_is_out_of_order_no_second_report_is_made() -> None:
    async with staged() as stage:
        query = await stage.client.create_query(name="Query 1", text=TEXT)
        stage.simulator.arm(Fault("reset_after_acting", endpoint="POST ScheduledReport"))
        stage.simulator.arm(Fault("http_status", endpoint="GET ScheduledReport", times=None, args={"status": 503}))

        with pytest.raises(ServiceTrouble):
            await stage.client.create_report(name="report-1", query_id=query.query_id)

        assert stage.posts("ScheduledReport") == 1


@pytest.mark.behaviour(72, 73, 85, 86)
@pytest.mark.fault(28, 36)
async def test_refusals_come_in_the_services_own_words() -> None:
    async with staged(one_off_quota=1, query_quota=2) as stage:
        with pytest.raises(RequestRejected, match="Invalid table name"):
            await stage.client.create_query(name="Query 9", text="SELECT a FROM Nothing")
        with pytest.raises(RequestRejected, match="Incorrect column name"):
            await stage.client.create_query(name="Query 9", text="SELECT a FROM DynamicsUsage")
        with pytest.raises(RequestRejected, match="Invalid QueryId"):
            await stage.client.create_report(name="report-9", query_id="00000000-0000-4000-8000-000000000000")

        report = await stage.report()
        with pytest.raises(QuotaExceeded) as one_off:
            await stage.client.create_report(name="report-2", query_id=report.query_id)
        await stage.client.create_query(name="Query 2", text=f"{TEXT}")
        with pytest.raises(QuotaExceeded) as queries:
            await stage.client.create_query(name="Query 3", text=TEXT)

        assert (one_off.value.kind, one_off.value.limit) == ("one_off", 1)
        assert queries.value.kind == "queries"


@pytest.mark.behaviour(3, 4, 18)
@pytest.mark.fault(16, 17)
async def test_a_long_run_outlives_its_tokens() -> None:
    async with staged(token_lifetime_s=600) as stage:
        for _ in range(70):
            await stage.client.get_datasets()
            await stage.clock.sleep(60)

        tokens = [call for call in stage.simulator.calls if call.endpoint == "token"]
        assert len(tokens) == len(stage.recorded.of("token.renewed"))
        assert 7 <= len(tokens) <= 10
        assert not [call for call in stage.simulator.calls if call.status == 401]


@pytest.mark.behaviour(18)
@pytest.mark.fault(17)
async def test_a_token_that_is_refused_in_mid_run_is_replaced() -> None:
    async with staged(Fault("token_refused")) as stage:
        assert await stage.client.get_datasets()

        assert [call.endpoint for call in stage.simulator.calls] == [
            "token",
            "ScheduledDataset",
            "token",
            "ScheduledDataset",
        ]


@pytest.mark.behaviour(9, 10, 11, 15, 17, 22, 26)
@pytest.mark.fault(13, 14, 17, 18)
@pytest.mark.parametrize(
    ("stage", "error", "words"),
    [
        (lambda: staged(credentials={"client_secret": "wrong-secret"}), AuthError, "AADSTS7000215"),
        (lambda: staged(credentials={"password": "wrong-password"}), AuthError, "AADSTS50126"),
        (lambda: staged(grant=Grant.REFRESH_TOKEN, credentials={"refresh_token": "old-token"}), AuthError, "AADSTS"),
        (lambda: staged(mfa="token"), AuthError, "Secure Application Model"),
        (lambda: staged(mfa="api"), AuthError, "Secure Application Model"),
        (lambda: staged(Fault("token_refused", times=None)), AuthError, "Executive report viewer"),
        (lambda: staged(grant=Grant.CLIENT_CREDENTIALS), AuthError, "`client_credentials` is not supported"),
        (lambda: staged(role="none"), AccessDenied, "Executive report viewer"),
    ],
    ids=["secret", "password", "refresh token", "mfa at token", "mfa at api", "401 always", "app only", "role"],
)
async def test_credentials_that_do_not_suffice_end_in_a_sentence_after_few_calls(
    stage: Staging, error: type[BulkpullError], words: str
) -> None:
    async with stage() as on:
        with pytest.raises(error, match=words):
            await on.client.get_datasets()

        assert len(on.simulator.calls) <= 4


@pytest.mark.behaviour(8)
@pytest.mark.fault(19)
async def test_rotating_refresh_tokens_carry_a_long_run() -> None:
    async with staged(grant=Grant.REFRESH_TOKEN, token_lifetime_s=600) as stage:
        for _ in range(20):
            await stage.client.get_datasets()
            await stage.clock.sleep(120)

        assert not [call for call in stage.simulator.calls if call.status != 200]


@pytest.mark.fault(15, 21)
@pytest.mark.parametrize(
    "fault",
    [
        Fault("http_status", endpoint="token", times=2, args={"status": 503}),
        Fault("throttle", endpoint="token", args={"retry_after": 30}),
        Fault("reset_before_acting", endpoint="token", times=2),
        Fault("expires_in_form", endpoint="token", times=None),
        Fault("expires_in_form", endpoint="token", times=None, args={"value": "0"}),
        Fault("expires_in_form", endpoint="token", times=None, args={"value": -5}),
    ],
    ids=lambda fault: fault.name,
)
async def test_trouble_of_the_token_endpoint_passes(fault: Fault) -> None:
    async with staged(fault) as stage:
        for _ in range(5):
            assert await stage.client.get_datasets()

        assert sum(call.endpoint == "token" for call in stage.simulator.calls) <= 3


@pytest.mark.behaviour(30, 32, 34, 36)
@pytest.mark.fault(24, 25, 26, 27, 47, 110)
@pytest.mark.parametrize(
    "fault",
    [
        Fault("http_status", args={"status": 500}),
        Fault("http_status", args={"status": 503, "body": "html"}),
        Fault("http_status", args={"status": 502, "body": "empty"}),
        Fault("http_status", args={"status": 500, "body": "generic"}),
        Fault("error_in_ok_envelope", args={"status": 503, "message": "Service unavailable"}),
        Fault("reset_before_acting"),
        Fault("reset_after_acting"),
        Fault("html_body"),
        Fault("cut_json"),
        Fault("empty_body"),
        Fault("wrong_charset"),
        Fault("alternating_versions", times=None),
        Fault("slow_answer", args={"seconds": 30}),
    ],
    ids=lambda fault: f"{fault.name} {dict(fault.args)}",
)
async def test_a_trouble_that_passes_is_not_seen_by_the_caller(fault: Fault) -> None:
    async with staged() as stage:
        plain = await stage.client.get_datasets()
        stage.simulator.arm(Fault(fault.name, endpoint="GET ScheduledDataset", times=fault.times, args=fault.args))

        assert await stage.client.get_datasets() == plain
        assert await stage.client.get_datasets() == plain


@pytest.mark.behaviour(32)
@pytest.mark.fault(24)
@pytest.mark.parametrize("form", ["absolute", "relative"])
async def test_a_listing_over_several_pages_is_whole(form: str) -> None:
    async with staged(datasets=None, page_size=3, next_link=form) as stage:
        assert len(await stage.client.get_datasets()) == 21


@pytest.mark.behaviour(32)
@pytest.mark.fault(24)
@pytest.mark.parametrize(
    ("fault", "error"), [("next_link_loops", UnexpectedReply), ("next_link_foreign_host", UnsafeAddress)]
)
async def test_a_listing_that_leads_astray_is_left(fault: str, error: type[BulkpullError]) -> None:
    async with staged(Fault(fault, times=None), page_size=1) as stage:
        with pytest.raises(error):
            await stage.client.get_datasets()

        assert len(stage.simulator.calls) <= 4


@pytest.mark.behaviour(135)
@pytest.mark.parametrize(
    "fault",
    [
        Fault("http_status", times=None, args={"status": 403, "body": "html"}),
        Fault("http_status", times=None, args={"status": 500}),
        Fault("reset_before_acting", times=None),
        Fault("html_body", times=None),
        Fault("token_refused", times=None),
        Fault("redirect", times=None, args={"to": "elsewhere"}),
        Fault("token_error", endpoint="token", times=None, args={"code": 7000215}),
    ],
    ids=lambda fault: fault.name,
)
async def test_no_fault_brings_a_secret_into_an_error_an_event_or_a_log(
    fault: Fault, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    async with staged() as stage:
        execution = await stage.completed(await stage.report())
        assert execution.link is not None
        stage.simulator.arm(fault)
        stage.clock.advance(3_590)
        said = [repr(execution), repr(stage.recorded.events)]
        for _ in range(2):
            try:
                await stage.client.get_datasets()
            except BulkpullError as error:
                said += traceback.format_exception(error)
        said += [repr(stage.recorded.events), caplog.text]

        environment = stage.simulator.environment
        secrets = [environment["BULKPULL_CLIENT_SECRET"], environment["BULKPULL_PASSWORD"], execution.link.url]
        secrets += [execution.link.url.partition("sig=")[2], "Bearer ey"]
        assert not [secret for secret in secrets if secret in "".join(said)]


@pytest.mark.behaviour(37, 39)
@pytest.mark.fault(106)
async def test_in_a_storm_of_refusals_no_call_falls_within_a_pause() -> None:
    storm = Fault("throttle", endpoint="GET ScheduledDataset", times=None, args={"retry_after": 20, "every": 3})
    async with staged(storm) as stage:
        for _ in range(30):
            await stage.client.get_datasets()

        calls = [call for call in stage.simulator.calls if call.endpoint == "ScheduledDataset"]
        assert len(calls) == 44
        for refused, following in pairwise(calls):
            if refused.status == 429:
                assert (following.at - refused.at).total_seconds() >= 20


@pytest.mark.behaviour(37, 38)
async def test_behind_a_limit_that_nobody_told_the_client_slows_down_by_itself() -> None:
    async with staged(requests_per_minute=30, allowance_headers=False) as stage:
        for _ in range(120):
            await stage.client.get_datasets()

        refused = [call for call in stage.simulator.calls if call.status == 429]
        assert 1 <= len(refused) <= 8
        assert stage.http.counts.throttled == len(refused)


@pytest.mark.behaviour(23)
@pytest.mark.fault(52)
async def test_a_mere_viewer_is_told_that_data_is_withheld() -> None:
    async with staged(role="viewer") as stage:
        execution = await stage.completed(await stage.report())

        assert execution.data_redacted
        assert stage.client.redacted


@pytest.mark.behaviour(103, 106, 107)
@pytest.mark.fault(41, 42)
async def test_several_reports_are_asked_for_in_one_call() -> None:
    async with staged(Fault("strangers_in_batch", times=None)) as stage:
        first = await stage.report("report-1")
        second = await stage.client.create_report(name="report-2", query_id=first.query_id)

        found = await stage.client.get_executions([first.report_id, second.report_id], statuses=ALL)

        assert {match.report_id for match in found} == {first.report_id, second.report_id}
        assert sum(call.endpoint == "execution" for call in stage.simulator.calls) == 1


@pytest.mark.fault(41)
async def test_a_service_that_does_not_take_joined_statuses_says_so() -> None:
    async with staged(Fault("joined_form_refused", times=None, args={"form": "status"})) as stage:
        report = await stage.report()

        with pytest.raises(RequestRejected):
            await stage.client.get_executions([report.report_id], statuses=ALL)
        assert await stage.client.get_executions([report.report_id], statuses=("Completed",))
