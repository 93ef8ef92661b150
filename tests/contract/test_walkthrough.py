"""
The article's walkthrough, step by step: literally by plain HTTP, and through the client; and what each has to bear.

Requests and replies are those that the description of the service quotes from the article. Ids are compared by their
form, all else to the letter. What the steps mean for whole exports stands in `journeys` and `transfer`.
"""

from __future__ import annotations

import gzip
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from document import document
from stage import Asker, Stage, asking, checked, token_form

from bulkpull.config.settings import Settings
from bulkpull.errors import AuthError, RequestRejected, ServiceTrouble, SettingsError
from bulkpull.insights.requests import PREVIEW_PATIENCE_S
from bulkpull.model import ExecutionStatus, Window
from bulkpull.pipeline.plan import make_plan
from bulkpull.pipeline.request import ExportRequest, PlanInputs, ServiceOffer
from bulkpull.simulator import ColumnDrift, Fault
from bulkpull.transport.http import Request

USER = "GAUser@PITEST2.ccsctp.net"
QUERY_AT = datetime(2021, 3, 31, 7, 28, 37, tzinfo=UTC)
REPORT_AT = datetime(2021, 3, 31, 8, 15, 15, tzinfo=UTC)
GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
ARTICLE: dict[str, Any] = {
    "start": QUERY_AT, "edition": "documents", "datasets": ("DynamicsUsage",), "username": USER, "rows": 600,
}  # fmt: skip
TEXT = "SELECT SubscriptionId from DynamicsUsage"
ADDRESS = "https://hooks.contoso.example/done"
STATUSES = tuple(ExecutionStatus)


def request_of(path: str, method: str, example: str = "seed") -> dict[str, Any]:
    """The body of a request of the article."""
    content = document()["paths"][path][method]["requestBody"]["content"]["application/json"]
    body: dict[str, Any] = dict(content["examples"][example]["value"])
    return body


def reply_of(example: str, **ids: str) -> dict[str, Any]:
    """A reply of the article, with ids of ours in place of its own."""
    body: dict[str, Any] = document()["components"]["examples"][example]["value"]
    return body | {"value": [record | ids for record in body["value"]]}


def words_of(example: str) -> str:
    """The message of a documented refusal."""
    return str(document()["components"]["examples"][example]["value"]["message"])


# By plain HTTP


@pytest.mark.behaviour(1, 3, 4, 5, 29, 31, 33, 34, 61, 70, 78, 83, 89, 94, 102, 103, 115, 116, 120, 126)
async def test_the_article_can_be_followed_to_the_letter() -> None:
    async with asking(**ARTICLE, pending_without_status="200") as asker:
        # 0. Token
        token = await asker.ask_token(token_form(asker.simulator.scenario))
        assert {name: token[name] for name in ("token_type", "expires_in", "ext_expires_in", "resource")} == {
            "token_type": "Bearer",
            "expires_in": "3599",
            "ext_expires_in": "3599",
            "resource": "https://api.partnercenter.microsoft.com",
        }
        assert int(token["expires_on"]) - int(token["not_before"]) == 3_900
        asker.token = token["access_token"]

        # 1. Datasets
        assert await asker.ask("GET", "ScheduledDataset") == reply_of("DatasetsSeed")

        # 2. Create the query
        query = await asker.ask("POST", "ScheduledQueries", json=request_of("/ScheduledQueries", "post"))
        query_id = query["value"][0]["queryId"]
        assert GUID.fullmatch(query_id)
        assert query == reply_of("QueryCreatedSeed", queryId=query_id)

        # 3. Test the query
        rows = await asker.ask("GET", f"ScheduledQueries/testQueryResult?queryId={query_id}")
        assert rows | {"value": []} == reply_of("TestQuerySeed") | {"value": []}
        assert len(rows["value"]) == 100
        assert all(list(row) == ["SubscriptionId"] for row in rows["value"])
        assert all(re.fullmatch(r"[0-9A-F-]{36}", row["SubscriptionId"]) for row in rows["value"])
        assert not asker.simulator.service.reports

        # 4. Create the report
        asker.clock.advance((REPORT_AT - QUERY_AT).total_seconds())
        definition = request_of("/ScheduledReport", "post") | {"QueryId": query_id}
        report = await asker.ask("POST", "ScheduledReport", json=definition)
        report_id = report["value"][0]["reportId"]
        assert GUID.fullmatch(report_id)
        assert report == reply_of("ReportCreatedSeed", reportId=report_id, queryId=query_id)

        # 5. Read the execution
        path = f"ScheduledReport/execution/{report_id}?getLatestExecution=true"
        pending = await asker.ask("GET", path)
        execution_id = pending["value"][0]["executionId"]
        assert GUID.fullmatch(execution_id)
        assert pending == reply_of("ExecutionPendingSeed", executionId=execution_id, reportId=report_id)

        # 6. Download
        asker.clock.advance(timedelta(days=2).total_seconds())
        await asker.sign_in()
        (done,) = (await asker.ask("GET", path))["value"]
        assert (done["executionId"], done["executionStatus"]) == (execution_id, "Completed")
        assert done["reportGeneratedTime"] == "2021-04-01T18:41:00Z"
        stored = await asker.file(done["reportAccessSecureLink"])
        assert stored[:2] == b"\x1f\x8b"
        lines = gzip.decompress(stored).split(b"\r\n")
        assert (lines[0], lines[-1], len(lines)) == (b"SubscriptionId", b"", 602)


@pytest.mark.behaviour(102, 104)
async def test_step_5_may_as_well_be_answered_with_404() -> None:
    async with asking(**ARTICLE) as asker:
        definition = request_of("/ScheduledReport", "post") | {"QueryId": await article_query(asker)}
        report_id = (await asker.ask("POST", "ScheduledReport", json=definition))["value"][0]["reportId"]
        answer = await asker.ask("GET", f"ScheduledReport/execution/{report_id}?getLatestExecution=true")

    assert answer == {"message": words_of("E404NoExecution"), "statusCode": 404}


@pytest.mark.behaviour(73)
@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"Query": "SELECT SubscriptionId from Nothing"}, "E400InvalidTable"),
        ({"Query": "SELECT Nothing from DynamicsUsage"}, "E400IncorrectColumn"),
        ({"Query": None}, "E400NullOrMissing"),
    ],
)
async def test_step_2_refuses_what_it_has_to(change: dict[str, Any], words: str) -> None:
    async with asking(**ARTICLE) as asker:
        answer = await asker.ask("POST", "ScheduledQueries", json=request_of("/ScheduledQueries", "post") | change)

    assert answer == {"message": words_of(words), "statusCode": 400}


@pytest.mark.behaviour(78)
async def test_step_3_gives_the_same_rows_for_the_text() -> None:
    async with asking(**ARTICLE) as asker:
        by_id = await asker.ask("GET", f"ScheduledQueries/testQueryResult?queryId={await article_query(asker)}")
        by_text = await asker.ask("GET", f"ScheduledQueries/testQueryResult?exportQuery={TEXT.replace(' ', '%20')}")

    assert by_id == by_text


@pytest.mark.behaviour(41, 73, 81, 82, 85, 87)
async def test_step_4_refuses_what_it_has_to_and_takes_one_off_reports() -> None:
    async with asking(**ARTICLE, one_off_quota=5) as asker:
        query_id = await article_query(asker)
        definition = request_of("/ScheduledReport", "post") | {"QueryId": query_id}
        for change, words, status in (
            ({"StartTime": "2021-03-31T11:28:00Z"}, "E400StartTooEarly", 400),
            ({"RecurrenceInterval": 3}, "E400RecurrenceBounds", 400),
            ({"RecurrenceInterval": 2_161}, "E400RecurrenceBounds", 400),
            ({"QueryId": "7d19305c-56db-4edc-b776-428340e3a9c8"}, "E400InvalidQueryId", 400),
            ({"StartTime": "2021-04-01 18:41:00"}, "E500CreateReport", 500),
        ):
            answer = await asker.ask("POST", "ScheduledReport", json=definition | change)
            assert answer["statusCode"] == status
            assert re.sub("<.*>", "<>", answer["message"]) == words_of(words)
        least = request_of("/ScheduledReport", "post", "executeNowMinimal") | {"QueryId": query_id}
        answers = [await asker.ask("POST", "ScheduledReport", json=least) for _ in range(6)]
        report_id = answers[0]["value"][0]["reportId"]
        ready = await asker.ask("GET", f"ScheduledReport/execution/{report_id}")

    assert [answer["statusCode"] for answer in answers] == [200] * 5 + [400]
    assert answers[-1]["message"] == words_of("E400ExecuteNowQuota")
    assert ready["value"][0]["executionStatus"] == "Completed"


async def article_query(asker: Asker) -> str:
    made = await asker.ask("POST", "ScheduledQueries", json=request_of("/ScheduledQueries", "post"))
    return str(made["value"][0]["queryId"])


# Through the client


async def stored_of(stage: Stage, link: str) -> bytes:
    async with stage.http.stream(Request("GET", link, endpoint="blob")) as reply:
        return b"".join([chunk async for chunk in reply.chunks()])


@pytest.mark.behaviour(3, 18, 29, 34, 50, 70, 78, 81, 83, 89, 102, 103, 115, 120)
@pytest.mark.parametrize("casing", ["camel", "pascal"])
@pytest.mark.parametrize("pending", ["200", "404"])
async def test_the_client_takes_the_same_steps(monkeypatch: pytest.MonkeyPatch, casing: str, pending: str) -> None:
    async with checked(monkeypatch, **ARTICLE, key_casing=casing, pending_without_status=pending) as stage:
        client = stage.client

        (dataset,) = await client.get_datasets()
        seed = reply_of("DatasetsSeed")["value"][0]
        assert (dataset.name, list(dataset.columns), list(dataset.metrics), list(dataset.date_ranges)) == (
            seed["datasetName"],
            seed["selectableColumns"],
            seed["availableMetrics"],
            seed["availableDateRanges"],
        )
        assert dataset.minimum_recurrence_h == 24

        query = await client.create_query(
            name="SubscriptionId Dynamics ", text=f"{TEXT} ", description="List of Subscription Id from DynamicsUsage"
        )
        assert (query.name, query.text, query.created_at) == ("SubscriptionId Dynamics", TEXT, QUERY_AT)

        rows = await client.test_query(query_id=query.query_id)
        assert rows is not None
        assert (len(rows), {tuple(row) for row in rows}) == (100, {("SubscriptionId",)})

        stage.clock.advance((REPORT_AT - QUERY_AT).total_seconds())
        start_at = datetime(2021, 4, 1, 18, 41, tzinfo=UTC)
        report = await client.create_report(
            name="DynamicsUsage Subscription ID Report",
            description="Report for getting list of Subscription Id for Dynamics Usage",
            query_id=query.query_id,
            execute_now=False,
            start_at=start_at,
            recurrence_h=48,
            recurrence_count=20,
            minimum_recurrence_h=dataset.minimum_recurrence_h,
            format="csv",
            callback_url=ADDRESS,
            callback_method="GET",
        )
        assert (report.created_at, report.start_at, report.modified_at) == (REPORT_AT, start_at, None)
        assert (report.recurrence_h, report.recurrence_count, report.status) == (48, 20, "Active")
        assert (report.query_text, report.callback_url, report.callback_method) == (TEXT, ADDRESS, "GET")

        # Pending as in the article, or nothing as in the later reference: not ready, ask again.
        early = await client.get_executions([report.report_id], statuses=None)
        assert [execution.status for execution in early] == (["Pending"] if pending == "200" else [])

        stage.clock.advance(timedelta(days=2).total_seconds())
        (done,) = await client.get_executions([report.report_id], statuses=STATUSES)
        assert done.is_completed
        assert done.generated_at == start_at
        assert done.link is not None
        stored = await stored_of(stage, done.link.url)
        lines = gzip.decompress(stored).split(b"\r\n")
        assert (lines[0], len(lines)) == (b"SubscriptionId", 602)

    # Two days are longer than a token: it was renewed once, and no call was lost.
    assert stage.sent("token") == 2
    assert not [call for call in stage.simulator.calls if call.status == 401]


@pytest.mark.behaviour(9, 17)
async def test_step_0_a_refused_refresh_token_ends_it_with_a_plain_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    async with checked(monkeypatch, grant="refresh_token", refresh_token="stale-refresh-token", **ARTICLE) as stage:
        with pytest.raises(AuthError) as caught:
            await stage.client.get_datasets()

    assert "the refresh token has ended or was revoked" in caught.value.reason
    assert "stale-refresh-token" not in caught.value.reason
    assert stage.sent("token") == 1


@pytest.mark.behaviour(32)
@pytest.mark.parametrize("form", ["absolute", "relative"])
async def test_step_1_reads_all_pages(monkeypatch: pytest.MonkeyPatch, form: str) -> None:
    async with checked(monkeypatch, datasets=None, page_size=3, next_link=form) as stage:
        assert len(await stage.client.get_datasets()) == 21

    assert stage.sent("ScheduledDataset", "GET") == 7


@pytest.mark.behaviour(27, 49)
async def test_step_1_knows_what_is_absent_and_what_goes_by_another_name(monkeypatch: pytest.MonkeyPatch) -> None:
    alias = {"ResellerPerformance": "CloudProductsResellerPerformance"}
    there = ("DynamicsUsage", "ResellerPerformance")
    async with checked(monkeypatch, datasets=there, dataset_names=alias) as stage:
        offer = ServiceOffer(tuple(await stage.client.get_datasets()))
        plan = make_plan(PlanInputs(ExportRequest(), offer, Settings()))

    assert {pull.dataset for pull in plan.pulls} == set(there)
    assert len(plan.unavailable) == 18
    assert "CloudProductsResellerPerformance" in next(
        pull.query_text for pull in plan.pulls if pull.dataset == "ResellerPerformance"
    )


@pytest.mark.behaviour(42, 73)
@pytest.mark.parametrize("text", ["SELECT SubscriptionId from Nothing", "SELECT Nothing from DynamicsUsage"])
async def test_step_2_repeats_no_refusal(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    async with checked(monkeypatch, **ARTICLE) as stage:
        with pytest.raises(RequestRejected):
            await stage.client.create_query(name="Query", text=text)

    assert stage.sent("ScheduledQueries") == 1


@pytest.mark.behaviour(78, 79)
async def test_step_3_takes_one_of_id_and_text_and_has_no_preview_after_100_seconds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    slow = Fault("http_status", endpoint="testQueryResult", times=None, args={"status": 504})
    async with checked(monkeypatch, slow, **ARTICLE) as stage:
        with pytest.raises(SettingsError, match="both or none"):
            await stage.client.test_query(query_id="q-1", text=TEXT)
        assert stage.sent("testQueryResult", "GET") == 0
        assert await stage.client.test_query(text=TEXT) is None

    assert PREVIEW_PATIENCE_S > 100


@pytest.mark.behaviour(41, 82)
async def test_step_4_is_not_repeated_for_ever_and_runs_at_once_on_demand(monkeypatch: pytest.MonkeyPatch) -> None:
    async with checked(monkeypatch, **ARTICLE) as stage:
        query = await stage.client.create_query(name="Query", text=TEXT)
        words = {"status": 500, "message": words_of("E500CreateReport")}
        stage.simulator.arm(Fault("http_status", endpoint="POST ScheduledReport", times=None, args=words))
        with pytest.raises(ServiceTrouble):
            await stage.client.create_report(name="Never", query_id=query.query_id)
        assert stage.sent("ScheduledReport") == 2

    async with checked(monkeypatch, **ARTICLE) as stage:
        query = await stage.client.create_query(name="Query", text=TEXT)
        window = Window(QUERY_AT - timedelta(days=90), QUERY_AT)
        report = await stage.client.create_report(name="Once", query_id=query.query_id, window=window)
        (execution,) = await stage.client.get_executions([report.report_id], statuses=STATUSES)
        assert execution.link is not None


@pytest.mark.behaviour(106, 107, 108, 112, 113)
async def test_step_5_asks_for_several_and_takes_nothing_for_ready_that_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    async with checked(monkeypatch, **ARTICLE) as stage:
        query = await stage.client.create_query(name="Query", text=TEXT)
        ids = [
            (await stage.client.create_report(name=f"Report {number}", query_id=query.query_id)).report_id
            for number in range(3)
        ]
        stage.simulator.service.reports[ids[0]].executions[0].fault = Fault("completed_without_link")

        found = {item.report_id: item for item in await stage.client.get_executions(ids, statuses=STATUSES)}

    assert stage.sent("execution", "GET") == 1
    assert set(found) == set(ids)
    assert (found[ids[0]].is_completed, found[ids[0]].link) == (True, None)
    assert found[ids[1]].link is not None


@pytest.mark.behaviour(122, 124, 138)
async def test_step_6_has_a_fresh_link_at_every_reading_and_a_header_without_rows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with checked(monkeypatch, **ARTICLE, link_lifetime_s=60, header_only=True) as stage:
        query = await stage.client.create_query(name="Query", text=TEXT)
        report = await stage.client.create_report(name="Once", query_id=query.query_id)
        (first,) = await stage.client.get_executions([report.report_id], statuses=STATUSES)
        stage.clock.advance(120)
        (second,) = await stage.client.get_executions([report.report_id], statuses=STATUSES)
        assert first.link is not None
        assert second.link is not None
        async with stage.http.stream(Request("GET", first.link.url, endpoint="blob")) as late:
            assert late.status == 403
        stored = await stored_of(stage, second.link.url)

    assert gzip.decompress(stored) == b"SubscriptionId\r\n"


@pytest.mark.behaviour(54, 76)
async def test_what_drifted_since_the_article_is_seen_in_the_columns_of_today(monkeypatch: pytest.MonkeyPatch) -> None:
    drift = {"DynamicsUsage": ColumnDrift(renamed={"PartnerLocation": "PartnerLocationID"})}
    async with checked(monkeypatch, **ARTICLE, drift=drift) as stage:
        (dataset,) = await stage.client.get_datasets("dynamicsusage")

    assert "PartnerLocationID" in dataset.columns
    assert "PartnerLocation" not in dataset.columns
