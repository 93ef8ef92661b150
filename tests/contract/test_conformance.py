"""
Client and simulator keep to one description of the service: every call, and every answer.

What no document describes is left out: pages of HTML, cut and empty bodies, and what stands before the service (404 for
an unknown address, 405, 414).
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable
from datetime import timedelta
from functools import partial
from itertools import product
from json import dumps
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from document import Got, Sent, check_answer, check_call, document, operations
from openapi_core.exceptions import OpenAPIError
from stage import TEXT, asking, checked, token_form
from support import API, START

import bulkpull
from bulkpull.auth.grants import Credentials, Grant
from bulkpull.auth.grants import token_form as token_form_of
from bulkpull.errors import AuthError, NotFound, QuotaExceeded, RequestRejected, ServiceTrouble, Throttled
from bulkpull.insights import requests, responses
from bulkpull.insights.client import InsightsClient
from bulkpull.insights.definitions import QueryDefinition, ReportChange, ReportDefinition
from bulkpull.insights.error_mapping import raise_for_error
from bulkpull.model import ExecutionStatus, Window
from bulkpull.simulator import Fault, Scenario, Simulator
from bulkpull.transport.http import Request

SOON = START + timedelta(hours=10)
ADDRESS = "https://hooks.contoso.example/done"
ALL = frozenset(operation.operation_id for _, _, operation in operations())


# The client's calls

WHOLE: dict[str, Any] = {"description": "d", "callback_url": ADDRESS, "callback_method": "GET", "format": "TSV"}
SCHEDULE: dict[str, Any] = {"execute_now": False, "start_at": SOON, "recurrence_h": 2_160, "recurrence_count": 20}
REPORT: dict[str, Any] = {"name": "Report", "query_id": "q-1"}
ORDERS = (
    ReportDefinition(**REPORT),
    ReportDefinition(**REPORT, **WHOLE, window=Window(START, SOON)),
    ReportDefinition(**REPORT, **WHOLE, **SCHEDULE),
    ReportDefinition(**REPORT, **SCHEDULE | {"recurrence_count": None}),
)
CHANGES = (
    ReportChange(name="Report", start_at=SOON),
    ReportChange(name="R", start_at=SOON, recurrence_h=4, recurrence_count=1, **WHOLE),
)
CALLS = (
    requests.list_datasets(None),
    requests.list_datasets("AzureUsage"),
    *(
        requests.list_queries(name=name, query_id=query_id, include_system=include, only_system=only)
        for name, query_id, include, only in product(("A query", None), ("q-1", None), (True, False), (True, False))
    ),
    requests.create_query(QueryDefinition(name="A query", text=TEXT)),
    requests.create_query(QueryDefinition(name="A query", text=TEXT, description="d")),
    requests.delete("query", "q-1"),
    requests.preview_query(query_id="q-1", text=None, start=None, end=None),
    requests.preview_query(query_id=None, text=f"{TEXT} ; 100%", start=START, end=SOON),
    *(
        requests.list_reports(report_id=report_id, name=name, query_id=query_id)
        for report_id, name, query_id in product(("r-1", None), ("A report", None), ("q-1", None))
    ),
    *(requests.create_report(order, now=START) for order in ORDERS),
    *(requests.update_report("r-1", change, now=START) for change in CHANGES),
    requests.switch_report("r-1", "pause"),
    requests.switch_report("r-1", "resume"),
    requests.delete("report", "r-1"),
    *(
        call
        for ids, statuses, latest, executions in product(
            (["r-1"], ["r-1", "r-2"]), (None, ["Completed"], tuple(ExecutionStatus)), (True, False), (None, ["e-1"])
        )
        for call in requests.list_executions(
            ids, statuses=statuses, latest=latest, execution_ids=executions, api_base_url=API
        )
    ),
)
BEARER = {"Authorization": "Bearer token"}


@pytest.mark.parametrize("call", CALLS, ids=lambda call: f"{call.method} {call.address('')}")
def test_every_call_that_the_client_can_make_is_as_described(call: requests.Call) -> None:
    check_call(Sent(call.method, call.address(API), BEARER, call.body))


def test_each_operation_of_the_api_has_its_call() -> None:
    made = {check_call(Sent(call.method, call.address(API), BEARER, call.body)).operation_id for call in CALLS}

    assert made == ALL - {"getTokenV1", "getTokenV2", "downloadReport"}


@pytest.mark.parametrize(
    "wrong",
    [
        Sent("GET", f"{API}/ScheduledDataset", {}),
        Sent("GET", f"{API}/ScheduledDataset?dataset=AzureUsage", BEARER),
        Sent("GET", f"{API}/ScheduledReport/execution/r-1?executionStatus=Done", BEARER),
        Sent("POST", f"{API}/ScheduledReport", BEARER, {"ReportName": "R", "QueryId": "q-1"}),
        Sent(
            "POST", f"{API}/ScheduledReport", BEARER, {"ReportName": "R", "QueryId": "q", "ExecuteNow": True, "Url": 1}
        ),
        Sent("PATCH", f"{API}/ScheduledReport/r-1", BEARER),
    ],
    ids=lambda sent: f"{sent.method} {sent.url.removeprefix(API)}",
)
def test_a_call_that_is_not_as_described_is_found_out(wrong: Sent) -> None:
    with pytest.raises((OpenAPIError, AssertionError)):
        check_call(wrong)


EXAMPLES = document()["components"]["examples"]
REFUSALS = {name: item["value"] for name, item in EXAMPLES.items() if re.fullmatch(r"E[45]\d\d\w*", name)}
KINDS = {400: RequestRejected, 401: AuthError, 404: NotFound, 429: Throttled, 500: ServiceTrouble}


@pytest.mark.behaviour(36, 73, 104)
@pytest.mark.parametrize("name", REFUSALS)
def test_every_refusal_of_the_description_is_understood(name: str) -> None:
    body = REFUSALS[name]

    with pytest.raises(KINDS[body["statusCode"]]) as caught:
        raise_for_error(body["statusCode"], dumps(body).encode(), operation="do it")

    assert body["message"].split("<")[0].strip() in str(caught.value)
    assert isinstance(caught.value, QuotaExceeded) is name.endswith("Quota")


@pytest.mark.behaviour(29, 34, 35)
@pytest.mark.parametrize(
    ("name", "read"),
    [
        ("DatasetsSeed", responses.read_dataset),
        ("DatasetsOfficeUsage", responses.read_dataset),
        ("QueryCreatedSeed", responses.read_query),
        ("ReportCreatedSeed", responses.read_report),
        ("ReportExecuteNowObserved", responses.read_report),
        ("ExecutionPendingSeed", partial(responses.read_execution, data_redacted=False)),
        ("ExecutionCompleted", partial(responses.read_execution, data_redacted=False)),
    ],
)
def test_every_reply_of_the_description_is_understood(name: str, read: Any) -> None:
    body = dumps(EXAMPLES[name]["value"]).encode()

    raise_for_error(200, body, operation="do it")
    envelope = responses.read_envelope(body, operation="do it")

    assert [read(item) for item in envelope.items]
    assert (envelope.next_link, envelope.data_redacted) == (None, False)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, b"{}"),
        (200, b'{"value": [{"queryId": "q-1"}], "totalCount": 1, "statusCode": 200}'),
        (200, b'{"value": [], "totalCount": "1", "statusCode": 200}'),
        (400, b'{"statusCode": "400"}'),
        (418, b"{}"),
    ],
)
def test_an_answer_that_is_not_as_described_is_found_out(status: int, body: bytes) -> None:
    sent = Sent("GET", f"{API}/ScheduledQueries", BEARER)

    with pytest.raises((OpenAPIError, AssertionError)):
        check_answer(sent, Got(status, body, {"Content-Type": "application/json"}))


# Client and simulator together


@pytest.mark.behaviour(29, 34, 35)
@pytest.mark.parametrize("scenario", [{}, {"key_casing": "pascal"}, {"page_size": 1}, {"role": "viewer"}])
async def test_all_that_client_and_simulator_say_to_each_other_is_as_described(
    monkeypatch: pytest.MonkeyPatch, scenario: dict[str, Any]
) -> None:
    async with checked(monkeypatch, **scenario) as stage:
        client = stage.client
        await client.get_datasets()
        await client.get_datasets("Profile")
        query = await client.create_query(name="A query", text=TEXT, description="d")
        await client.get_queries(include_system=True)
        await client.get_queries(only_system=True)
        await client.get_queries(name="A query", query_id=query.query_id)
        await client.test_query(query_id=query.query_id)
        await client.test_query(text=TEXT, start=START - timedelta(days=90), end=START)

        once = await client.create_report(name="Once", query_id=query.query_id, window=Window(START, SOON))
        often = await client.create_report(
            name="Often", query_id=query.query_id, execute_now=False, start_at=SOON, recurrence_h=24,
            recurrence_count=9, description="d", format="tsv", callback_url=ADDRESS, callback_method="POST",
        )  # fmt: skip
        ids = [once.report_id, often.report_id]
        await client.get_reports()
        await client.get_reports(report_id=once.report_id, name="Once", query_id=query.query_id)
        await client.update_report(
            often.report_id, name="Often", start_at=SOON, description="e", recurrence_h=48, format="csv",
            callback_url=ADDRESS, callback_method="GET", minimum_recurrence_h=24,
        )  # fmt: skip
        await client.pause_report(often.report_id)
        await client.resume_report(often.report_id)
        await client.get_executions(ids, statuses=tuple(ExecutionStatus))
        stage.clock.advance(80 * 3600)
        history = await client.get_executions(ids, statuses=None, latest=False)
        await client.get_executions(ids, statuses=["Completed"], execution_ids=[history[0].execution_id])
        assert len(history) == 3
        for execution in history:
            assert execution.link is not None
            for headers in ({}, {"Range": "bytes=0-9"}):
                async with stage.http.stream(
                    Request("GET", execution.link.url, endpoint="blob", headers=headers)
                ) as reply:
                    assert reply.status == (206 if headers else 200)

        for report_id in ids:
            await client.delete_report(report_id)
        await client.delete_query(query.query_id)

    assert stage.seen == ALL - {"getTokenV2"}


@pytest.mark.behaviour(1, 4, 14)
@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("grant", ["password", "refresh_token", "client_credentials"])
async def test_every_grant_asks_for_its_token_as_described(
    monkeypatch: pytest.MonkeyPatch, grant: str, version: int
) -> None:
    redeemed = Scenario().refresh_token if grant == "refresh_token" else None
    async with checked(monkeypatch, grant=grant, version=version, refresh_token=redeemed, app_only="allowed") as stage:
        await stage.client.get_datasets()

    assert stage.seen == {f"getTokenV{version}", "getDatasets"}


@pytest.mark.parametrize("grant", [Grant.REFRESH_TOKEN, Grant.CLIENT_CREDENTIALS])
def test_a_certificate_is_offered_as_described(grant: Grant) -> None:
    url = "https://login.microsoftonline.com/contoso.example/oauth2/v2.0/token"
    credentials = Credentials(client_id="c-1", refresh_token="r-1", sign=lambda _: "assertion")
    form = token_form_of(
        grant, credentials=credentials, resource="https://api.partnercenter.microsoft.com", token_url=url
    )

    assert check_call(Sent("POST", url, form=form)).operation_id == "getTokenV2"
    assert form["client_assertion"] == "assertion"
    assert "client_secret" not in form


async def test_from_python_the_service_is_one_call_away(monkeypatch: pytest.MonkeyPatch) -> None:
    async with Simulator(Scenario(datasets=("Profile",), rows=20)) as simulator:
        for name, value in simulator.environment.items():
            monkeypatch.setenv(name, value)
        async with bulkpull.connect() as client:
            (dataset,) = await client.get_datasets()
            window = bulkpull.Window(START, SOON)
            rows = await client.test_query(text="SELECT MPNId FROM Profile", start=window.start, end=window.end)

    assert dataset.name == "Profile"
    assert rows


def test_every_operation_is_a_method_of_the_client() -> None:
    methods = {name for name, _ in inspect.getmembers(InsightsClient, inspect.iscoroutinefunction)}
    operations = {re.sub(r"(?<!^)(?=[A-Z])", "_", item).lower() for item in ALL}

    # Tokens and files are fetched by other parts.
    assert operations - {"get_token_v1", "get_token_v2", "download_report"} <= methods


# The simulator's answers, to whatever it is asked


ODD: tuple[Any, ...] = (
    None, "", " ", "string", "x" * 300, "a;b", "csv", "GET", 0, -1, 4, 2_161, True, False, [], {},
    "2026-12-01T00:00:00Z", "2026-12-01", "2020-01-01T00:00:00Z", "https://hooks.contoso.example/",
)  # fmt: skip
REPORT_FIELDS = (
    "ReportName", "Description", "QueryId", "StartTime", "ExecuteNow", "QueryStartTime", "QueryEndTime",
    "RecurrenceInterval", "RecurrenceCount", "Format", "CallbackUrl", "CallbackMethod",
)  # fmt: skip
PARAMS = {
    "ScheduledDataset": ("datasetName",),
    "ScheduledQueries": ("queryId", "queryName", "includeSystemQueries", "includeOnlySystemQueries"),
    "ScheduledQueries/testQueryResult": ("exportQuery", "queryId", "startTime", "endTime"),
    "ScheduledReport": ("reportId", "reportName", "queryId"),
    "ScheduledReport/execution/r-1": ("executionId", "executionStatus", "getLatestExecution"),
}


def odd_bodies(good: dict[str, Any], fields: Iterable[str]) -> list[dict[str, Any]]:
    """`good`, and `good` with one field odd or missing."""
    lacking = [{name: value for name, value in good.items() if name != field} for field in fields]
    return [good, {}, *lacking, *(good | {field: value} for field, value in product(fields, ODD))]


@pytest.mark.behaviour(41, 42, 43, 73, 81, 87, 88, 93, 94)
@pytest.mark.parametrize(("bad_time", "fields"), [(500, REPORT_FIELDS), (400, ("StartTime", "QueryEndTime"))])
async def test_whatever_a_body_says_the_simulator_answers_as_described(bad_time: int, fields: tuple[str, ...]) -> None:
    start = {"StartTime": f"{SOON:%Y-%m-%dT%H:%M:%SZ}"}
    async with asking(bad_time=bad_time, active_report_quota=10_000) as asker:
        query_id, report_id = await asker.query(), await asker.report(**start, ExecuteNow=False, RecurrenceInterval=24)
        once = {"ReportName": "R", "QueryId": query_id, "ExecuteNow": True}
        often = {"ReportName": "R", "QueryId": query_id, **start, "RecurrenceInterval": 24}
        for body in odd_bodies({"Name": "Q", "Description": "d", "Query": TEXT}, ("Name", "Description", "Query")):
            await asker.ask("POST", "ScheduledQueries", json=body)
        for body in (*odd_bodies(once, fields), *odd_bodies(often, fields)):
            await asker.ask("POST", "ScheduledReport", json=body)
        for body in odd_bodies({"ReportName": "R", **start}, fields):
            await asker.ask("PUT", f"ScheduledReport/{report_id}", json=body)

    assert set(asker.statuses) == {200, 400, bad_time}


@pytest.mark.behaviour(74, 102, 104, 107)
async def test_whatever_an_address_says_the_simulator_answers_as_described() -> None:
    async with asking() as asker:
        for path, names in PARAMS.items():
            for name, value in product(names, ODD):
                await asker.ask("GET", f"{path}?{urlencode({name: value})}")
        for path in ("ScheduledQueries/", "ScheduledReport/"):
            for its_id in ("x", "a;b", "%20", "00000000-0000-4000-8000-000000000000", quote(TEXT, safe="")):
                await asker.ask("DELETE", f"{path}{its_id}")
        for word in ("pause", "resume"):
            await asker.ask("PUT", f"ScheduledReport/{word}/nobody")
        await asker.ask("PUT", "ScheduledReport/nobody", json={"ReportName": "R", "StartTime": "2027-01-01T00:00:00Z"})

    assert set(asker.statuses) == {200, 400, 404}


@pytest.mark.behaviour(10, 12, 26, 36, 37, 40, 72, 85, 86)
async def test_every_documented_refusal_comes_as_described() -> None:
    async with asking(one_off_quota=1, query_quota=1, active_report_quota=1) as asker:
        report_id = await asker.report()
        query_id = (await asker.ask("GET", f"ScheduledReport?reportId={report_id}"))["value"][0]["queryId"]
        often = {"ReportName": "R", "QueryId": query_id, "StartTime": f"{SOON:%Y-%m-%dT%H:%M:%SZ}"}
        often["RecurrenceInterval"] = 24
        operation = [
            await asker.ask("POST", "ScheduledQueries", json={"Name": "B", "Query": TEXT}),
            await asker.ask(
                "POST", "ScheduledReport", json={"ReportName": "R", "QueryId": query_id, "ExecuteNow": True}
            ),
            *[await asker.ask("POST", "ScheduledReport", json=often) for _ in range(2)],
            await asker.ask("GET", "ScheduledDataset", token="unknown"),
            await asker.ask("GET", "ScheduledDataset", ValidateMfa="true"),
        ]

    assert [item["statusCode"] for item in operation] == [400, 400, 200, 400, 401, 200]
    for scenario, status in (({"role": "none"}, 403), ({"requests_per_minute": 1}, 429), ({"mfa": "api"}, 401)):
        async with asking(**scenario) as asker:
            for _ in range(2):
                await asker.ask("GET", "ScheduledDataset")
        assert asker.statuses[status]


@pytest.mark.behaviour(30, 36, 37, 40)
@pytest.mark.parametrize("form", ["bare", "envelope", "generic"])
@pytest.mark.parametrize("status", [400, 401, 403, 404, 429, 500, 503])
async def test_whatever_form_an_error_has_it_is_one_that_is_described(status: int, form: str) -> None:
    fault = Fault("http_status", endpoint="ScheduledReport", times=None, args={"status": status, "body": form})
    async with asking(fault, Fault("error_in_ok_envelope", endpoint="ScheduledQueries")) as asker:
        for method, path in (("GET", ""), ("POST", ""), ("PUT", "/r-1"), ("DELETE", "/r-1"), ("PUT", "/pause/r-1")):
            await asker.ask(method, f"ScheduledReport{path}", json={} if method != "GET" else None)
        refused = await asker.ask("GET", "ScheduledQueries")

    assert asker.statuses == {status: 5, 200: 1}
    assert refused["statusCode"] == 400


@pytest.mark.behaviour(1, 4, 9, 17)
@pytest.mark.parametrize("version", [1, 2])
async def test_the_token_endpoints_answer_as_described(version: int) -> None:
    async with asking(app_only="allowed") as asker:
        scenario = asker.simulator.scenario
        base = "https://api.partnercenter.microsoft.com"
        scope = "openid" if version == 1 else f"{base}/user_impersonation"
        good = token_form(scenario, scope=scope)
        refresh = {"grant_type": "refresh_token", "refresh_token": scenario.refresh_token}
        app_only = {"grant_type": "client_credentials", "scope": f"{base}/.default"}
        for form in (good, good | refresh, good | app_only):
            assert (await asker.ask_token(form, version=version))["token_type"] == "Bearer"
        for name, value in product(good, ("", "wrong")):
            await asker.ask_token(good | {name: value}, version=version)
        await asker.ask_token(good | refresh | {"refresh_token": "stale"}, version=version)

    assert set(asker.statuses) == {200, 400, 401}


@pytest.mark.behaviour(124, 133)
async def test_the_storage_host_answers_as_described() -> None:
    async with asking(link_lifetime_s=3600) as asker:
        report_id = await asker.report()
        link = (await asker.ask("GET", f"ScheduledReport/execution/{report_id}"))["value"][0]["reportAccessSecureLink"]
        assert [
            await asker.fetch(link),
            await asker.fetch(link, Range="bytes=0-9"),
            await asker.fetch(link, If_Match='"another"'),
            await asker.fetch(link, Range="bytes=900000000-"),
        ] == [200, 206, 412, 416]
        for status in (500, 503):
            asker.simulator.arm(Fault("blob_busy", args={"status": status}))
            assert await asker.fetch(link) == status
        await asker.ask("DELETE", f"ScheduledReport/{report_id}")
        assert await asker.fetch(link) == 404
        asker.clock.advance(4000)
        assert await asker.fetch(link) == 403
