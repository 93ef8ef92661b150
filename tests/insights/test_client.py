"""Each method of the client: what goes out, what comes back, what is made of trouble."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import aiohttp
import anyio
import pytest
from support import API, START, Answers, Rig, Tokens, envelope, rig

from bulkpull.errors import (
    AccessDenied,
    AnswerLost,
    AuthError,
    NotFound,
    RequestRejected,
    ServiceTrouble,
    SettingsError,
    Throttled,
    UnexpectedReply,
    UnsafeAddress,
)

DATASETS = f"{API}/ScheduledDataset"
QUERIES = re.compile(re.escape(f"{API}/ScheduledQueries") + r"(\?.*)?$")
REPORTS = re.compile(re.escape(f"{API}/ScheduledReport") + r"(\?.*)?$")
EXECUTIONS = re.compile(re.escape(f"{API}/ScheduledReport/execution/"))
PREVIEW = re.compile(re.escape(f"{API}/ScheduledQueries/testQueryResult"))
PROFILE = {"datasetName": "Profile", "selectableColumns": ["MPNId"]}
OFFICE = {"datasetName": "OfficeUsage", "selectableColumns": ["MPNId"]}
NOTHING = {"message": "No item found with given filters.", "statusCode": 404}


def query(number: int = 1, **more: Any) -> dict[str, Any]:
    return {"queryId": f"q-{number}", "name": "Query", "query": "SELECT a FROM b", "type": "userDefined"} | more


def report(number: int = 1, **more: Any) -> dict[str, Any]:
    return {
        "reportId": f"r-{number}",
        "reportName": "Report",
        "queryId": "q-1",
        "reportStatus": "Inactive",
        "createdTime": "2026-11-23T02:00:00Z",
        "executeNow": True,
    } | more


def execution(number: int = 1, **more: Any) -> dict[str, Any]:
    return {"executionId": f"e-{number}", "reportId": f"r-{number}", "executionStatus": "Pending"} | more


@pytest.fixture
async def one() -> AsyncIterator[Rig]:
    async with rig() as ready:
        yield ready


@pytest.fixture
def answers(one: Rig) -> Any:
    with Answers() as ready:
        yield ready


@pytest.mark.behaviour(3, 16, 44)
async def test_a_call_carries_the_token_and_its_ids(one: Rig, answers: Answers) -> None:
    answers.get(DATASETS, payload=envelope(PROFILE), repeat=True)

    await one.client.get_datasets()
    await one.client.get_datasets()

    first, second = (options["headers"] for options in answers.sent("GET"))
    assert first["Authorization"] == "Bearer token-0"
    assert first["MS-CorrelationId"] == second["MS-CorrelationId"] == one.client.correlation_id
    assert first["MS-RequestId"] != second["MS-RequestId"]


@pytest.mark.behaviour(44)
@pytest.mark.fault(47)
async def test_a_repeated_call_keeps_its_request_id(one: Rig, answers: Answers) -> None:
    answers.get(DATASETS, status=503)
    answers.get(DATASETS, exception=aiohttp.ServerDisconnectedError())
    answers.get(DATASETS, body="<html>try again</html>")
    answers.get(DATASETS, payload=envelope(PROFILE))

    assert [item.name for item in await one.client.get_datasets()] == ["Profile"]

    assert len({options["headers"]["MS-RequestId"] for options in answers.sent("GET")}) == 1
    assert one.http.counts.retried == 3


@pytest.mark.behaviour(44)
async def test_an_error_names_the_ids_that_support_asks_for(one: Rig, answers: Answers) -> None:
    answers.get(DATASETS, status=403)

    with pytest.raises(AccessDenied) as caught:
        await one.client.get_datasets()

    assert one.client.correlation_id in str(caught.value)
    assert answers.sent("GET")[0]["headers"]["MS-RequestId"] in str(caught.value)


@pytest.mark.behaviour(18)
@pytest.mark.fault(17)
async def test_a_refused_token_is_renewed_once_and_the_same_call_sent_again(one: Rig, answers: Answers) -> None:
    answers.get(DATASETS, status=401)
    answers.get(DATASETS, payload=envelope(PROFILE))

    await one.client.get_datasets()

    sent = [options["headers"] for options in answers.sent("GET")]
    assert [headers["Authorization"] for headers in sent] == ["Bearer token-0", "Bearer token-1"]
    assert one.http.counts.retried == 1
    assert len({headers["MS-RequestId"] for headers in sent}) == 1


@pytest.mark.behaviour(18, 30)
@pytest.mark.fault(17)
@pytest.mark.parametrize("status", [401, 200])
async def test_a_token_that_is_refused_twice_ends_the_run(one: Rig, answers: Answers, status: int) -> None:
    answers.get(DATASETS, status=status, payload={"statusCode": 401, "message": "Unauthorized"}, repeat=True)

    with pytest.raises(AuthError, match="Executive report viewer"):
        await one.client.get_datasets()

    assert len(answers.sent("GET")) == 2


@pytest.mark.behaviour(18)
async def test_twenty_calls_with_a_refused_token_share_one_renewal(one: Rig, answers: Answers) -> None:
    def by_token(_: object, **options: Any) -> Any:
        fresh = options["headers"]["Authorization"] == "Bearer token-1"
        return Answers.reply(payload=envelope(PROFILE)) if fresh else Answers.reply(status=401)

    answers.get(DATASETS, callback=by_token, repeat=True)

    async with anyio.create_task_group() as tasks:
        for _ in range(20):
            tasks.start_soon(one.client.get_datasets)

    assert one.tokens.renewals == 1


@pytest.mark.behaviour(10)
@pytest.mark.fault(14)
async def test_a_call_refused_for_want_of_mfa_is_not_repeated(one: Rig, answers: Answers) -> None:
    answers.get(DATASETS, status=401, payload={"code": 900421, "message": "Unauthorized"}, repeat=True)

    with pytest.raises(AuthError, match="Secure Application Model"):
        await one.client.get_datasets()

    assert len(answers.sent("GET")) == 1


@pytest.mark.behaviour(15)
@pytest.mark.parametrize("status", [401, 403])
async def test_a_token_without_a_user_is_told_to_be_the_reason(status: int) -> None:
    async with rig(tokens=Tokens(app_only=True)) as one:
        with Answers() as answers:
            answers.get(DATASETS, status=status, repeat=True)

            with pytest.raises(AuthError, match="`client_credentials` is not supported"):
                await one.client.get_datasets()


@pytest.mark.behaviour(32)
@pytest.mark.fault(24)
@pytest.mark.parametrize("link", [f"{DATASETS}?page=2", "ScheduledDataset?page=2", "?page=2"])
async def test_a_listing_is_read_over_all_its_pages(one: Rig, answers: Answers, link: str) -> None:
    answers.get(DATASETS, payload=envelope(PROFILE, nextLink=link))
    answers.get(f"{DATASETS}?page=2", payload=envelope({"datasetName": "AzureUsage"}))

    assert [item.name for item in await one.client.get_datasets()] == ["Profile", "AzureUsage"]


@pytest.mark.behaviour(32)
@pytest.mark.fault(24)
@pytest.mark.parametrize(
    "link", ["https://evil.example/ScheduledDataset", "//evil.example/x", "http://api.partnercenter.microsoft.com/x"]
)
async def test_the_token_does_not_follow_a_next_link_to_another_origin(one: Rig, answers: Answers, link: str) -> None:
    answers.get(DATASETS, payload=envelope(PROFILE, nextLink=link))

    with pytest.raises(UnsafeAddress):
        await one.client.get_datasets()

    assert answers.sent_urls() == [DATASETS]


@pytest.mark.behaviour(32)
@pytest.mark.fault(24)
async def test_pages_that_lead_in_a_circle_are_an_error(one: Rig, answers: Answers) -> None:
    answers.get(DATASETS, payload=envelope(PROFILE, nextLink="?page=2"), repeat=True)
    answers.get(f"{DATASETS}?page=2", payload=envelope(OFFICE, nextLink=DATASETS), repeat=True)

    with pytest.raises(UnexpectedReply, match="form a loop"):
        await one.client.get_datasets()

    assert len(answers.sent("GET")) == 2


@pytest.mark.behaviour(32)
@pytest.mark.case("M8")
async def test_a_listing_may_have_any_number_of_pages(one: Rig, answers: Answers) -> None:
    for page in range(201):
        address = f"{DATASETS}?page={page}" if page else DATASETS
        link = f"?page={page + 1}" if page < 200 else None
        answers.get(address, payload=envelope(PROFILE | {"datasetName": f"Dataset{page}"}, nextLink=link))

    assert len(await one.client.get_datasets()) == 201


@pytest.mark.behaviour(32)
@pytest.mark.case("M8")
@pytest.mark.parametrize("items", [[], [PROFILE]], ids=["empty", "seen before"])
async def test_a_page_without_news_is_the_last_one(one: Rig, answers: Answers, items: list[dict[str, Any]]) -> None:
    answers.get(DATASETS, payload=envelope(PROFILE, nextLink="?page=1"))
    for page in range(1, 5):
        answers.get(f"{DATASETS}?page={page}", payload=envelope(*items, nextLink=f"?page={page + 1}"))

    names = {dataset.name for dataset in await one.client.get_datasets()}

    assert names == {"Profile"}
    assert len(answers.sent("GET")) == 2


@pytest.mark.case("C41")
async def test_a_list_beyond_any_account_is_refused_in_a_sentence(
    one: Rig, answers: Answers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bulkpull.insights.session.MOST_ITEMS", 1_000)
    many = [{"datasetName": f"D{number}"} for number in range(1_001)]
    answers.get(DATASETS, payload=envelope(*many), repeat=True)

    with pytest.raises(UnexpectedReply, match=r"the list has 1,001 objects on 1 page, more than any account's"):
        await one.client.get_datasets()


@pytest.mark.case("C22")
async def test_a_next_link_that_is_no_address_is_one_sentence(one: Rig, answers: Answers) -> None:
    answers.get(DATASETS, payload=envelope(PROFILE, nextLink="http://[::1"))

    with pytest.raises(UnsafeAddress, match="the address of the next page"):
        await one.client.get_datasets()


@pytest.mark.case("C22")
async def test_a_redirect_to_what_is_no_address_is_one_sentence(one: Rig, answers: Answers) -> None:
    answers.get(DATASETS, status=307, headers={"Location": "http://[::1"}, repeat=True)

    with pytest.raises(UnsafeAddress, match="a redirect"):
        await one.client.get_datasets()


@pytest.mark.behaviour(27, 74)
@pytest.mark.fault(22)
async def test_a_dataset_that_is_not_offered_is_no_error(one: Rig, answers: Answers) -> None:
    answers.get(f"{DATASETS}?datasetName=AzureUsage", status=404, payload=NOTHING)
    answers.get(DATASETS, status=404, payload=NOTHING)

    assert await one.client.get_datasets("AzureUsage") == []
    with pytest.raises(NotFound):
        await one.client.get_datasets()


@pytest.mark.behaviour(74, 102, 104)
@pytest.mark.fault(40)
async def test_where_nothing_matches_there_is_nothing(one: Rig, answers: Answers) -> None:
    answers.get(EXECUTIONS, status=404, payload=NOTHING)
    answers.get(QUERIES, status=404, payload=NOTHING)
    answers.get(REPORTS, status=404, payload=NOTHING)

    assert await one.client.get_queries(name="Query") == []
    assert await one.client.get_reports(name="Report") == []
    assert await one.client.get_executions(["r-1"], statuses=None) == []


@pytest.mark.behaviour(107)
async def test_what_a_filter_lets_by_is_filtered_again(one: Rig, answers: Answers) -> None:
    answers.get(QUERIES, payload=envelope(query(1), query(2, name="Query 2"), query(3, type="system")), repeat=True)
    answers.get(REPORTS, payload=envelope(report(1), report(2, reportName="Report 2")), repeat=True)

    assert [item.query_id for item in await one.client.get_queries(name="query")] == ["q-1"]
    assert [item.query_id for item in await one.client.get_queries(name="Query", include_system=True)] == ["q-1", "q-3"]
    assert [item.query_id for item in await one.client.get_queries(query_id="Q-2")] == ["q-2"]
    assert [item.report_id for item in await one.client.get_reports(name="Report")] == ["r-1"]
    assert [item.report_id for item in await one.client.get_reports(report_id="r-2")] == ["r-2"]


@pytest.mark.behaviour(106, 107, 108)
@pytest.mark.fault(42)
async def test_executions_of_strangers_are_left_out_and_absent_ones_are_no_error(one: Rig, answers: Answers) -> None:
    answers.get(EXECUTIONS, payload=envelope(execution(1, reportId="R-1"), execution(9)))

    found = await one.client.get_executions(["r-1", "r-2"], statuses=("Pending", "Completed"))

    assert [match.execution_id for match in found] == ["e-1"]


@pytest.mark.behaviour(110)
@pytest.mark.fault(43, 45)
async def test_a_status_that_was_not_asked_for_is_not_hidden(one: Rig, answers: Answers) -> None:
    answers.get(EXECUTIONS, payload=envelope(execution(1, executionStatus="Failed")))

    (found,) = await one.client.get_executions(["r-1"], statuses=("Completed",))

    assert found.has_failed


@pytest.mark.behaviour(23)
@pytest.mark.fault(52)
async def test_withheld_data_is_flagged_on_the_execution_and_on_the_client(one: Rig, answers: Answers) -> None:
    answers.get(EXECUTIONS, payload=envelope(execution(1)))
    answers.get(EXECUTIONS, payload=envelope(execution(1), dataRedacted=True))

    (plain,) = await one.client.get_executions(["r-1"], statuses=None)
    assert (plain.data_redacted, one.client.redacted) == (False, False)
    (redacted,) = await one.client.get_executions(["r-1"], statuses=None)
    assert (redacted.data_redacted, one.client.redacted) == (True, True)


@pytest.mark.behaviour(107)
@pytest.mark.fault(41)
async def test_a_refused_joined_form_comes_through_for_the_poller_to_narrow(one: Rig, answers: Answers) -> None:
    answers.get(EXECUTIONS, status=400, payload={"message": "Null or missing value", "statusCode": 400})

    with pytest.raises(RequestRejected):
        await one.client.get_executions(["r-1", "r-2"], statuses=("Pending", "Completed"))


@pytest.mark.fault(47)
async def test_a_poller_may_do_its_own_waiting(one: Rig, answers: Answers) -> None:
    answers.get(EXECUTIONS, status=503, repeat=True)

    with pytest.raises(ServiceTrouble):
        await one.client.get_executions(["r-1"], statuses=None, retry=False)

    assert (len(answers.sent("GET")), one.clock.sleeps_s) == (1, [])


@pytest.mark.behaviour(37)
@pytest.mark.fault(37, 106)
async def test_a_throttled_call_holds_back_all_others(one: Rig, answers: Answers) -> None:
    answers.get(DATASETS, status=429, headers={"Retry-After": "57"})
    answers.get(DATASETS, payload=envelope(PROFILE), repeat=True)
    gone_at: list[float] = []

    async def call() -> None:
        await one.client.get_datasets()
        gone_at.append(one.clock.elapsed_s)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(call)
        await anyio.wait_all_tasks_blocked()
        tasks.start_soon(call)

    assert min(gone_at) >= 57
    assert (one.http.counts.throttled, one.http.counts.retried) == (1, 1)


@pytest.mark.behaviour(30, 37)
async def test_a_429_in_the_envelope_of_a_200_is_counted_as_one(one: Rig, answers: Answers) -> None:
    answers.get(DATASETS, payload={"value": None, "message": "Rate limit is exceeded.", "statusCode": 429})
    answers.get(DATASETS, payload=envelope(PROFILE))

    await one.client.get_datasets()

    assert (one.http.counts.throttled, one.http.counts.retried) == (1, 1)


@pytest.mark.behaviour(37)
@pytest.mark.fault(37, 100)
@pytest.mark.parametrize("how", ["tidying", "optional"])
async def test_a_throttled_clean_up_call_is_dropped_and_holds_back_no_other_call(
    one: Rig, answers: Answers, how: str
) -> None:
    answers.delete(f"{API}/ScheduledReport/r-1", status=429, headers={"Retry-After": "57"})
    answers.delete(f"{API}/ScheduledReport/r-2", payload=envelope())
    answers.get(DATASETS, payload=envelope(PROFILE))

    with pytest.raises(Throttled):
        await one.client.delete_report("r-1", **{how: True})
    await one.client.get_datasets()
    others_took_s = one.clock.elapsed_s
    await one.client.delete_report("r-2", tidying=True)

    assert others_took_s == 0
    assert len(answers.sent("DELETE")) == 2
    assert one.clock.elapsed_s >= 57  # the next clean-up call waits
    assert one.http.counts.retried == 0


@pytest.mark.behaviour(37)
@pytest.mark.fault(107)
@pytest.mark.parametrize(
    ("retry_after", "waited_s"),
    [("3", 3), (format_datetime(START + timedelta(seconds=90), usegmt=True), 90), ("-1", 0), ("soon", 2)],
)
async def test_the_pause_is_waited_in_every_form(one: Rig, answers: Answers, retry_after: str, waited_s: float) -> None:
    answers.get(DATASETS, status=429, headers={"Retry-After": retry_after})
    answers.get(DATASETS, payload=envelope(PROFILE))

    await one.client.get_datasets()

    assert waited_s <= one.clock.elapsed_s + 0.1 <= waited_s * 1.1 + 0.7


@pytest.mark.fault(107)
async def test_a_pause_of_years_is_not_waited(one: Rig, answers: Answers) -> None:
    answers.get(DATASETS, status=429, headers={"Retry-After": "1000000000"})

    with pytest.raises(Throttled, match="longer pause than this run may wait"):
        await one.client.get_datasets()

    assert one.clock.elapsed_s == 0


async def test_nothing_yet_is_an_answer_from_which_the_pace_recovers(one: Rig, answers: Answers) -> None:
    one.pacer.throttled(0)
    answers.get(EXECUTIONS, status=404, payload=NOTHING, repeat=True)

    for _ in range(26):
        await one.client.get_executions(["r-1"], statuses=None)

    assert one.recorded.of("pace.changed")[-1] == {"calls_per_s": 10.0, "wait_s": 0.0}


@pytest.mark.fault(11)
async def test_the_skew_of_the_services_clock_is_learnt(one: Rig, answers: Answers) -> None:
    ahead = format_datetime(START + timedelta(hours=2), usegmt=True)
    answers.get(DATASETS, payload=envelope(PROFILE), headers={"Date": ahead})

    assert one.client.clock_skew_s is None
    await one.client.get_datasets()

    assert one.client.clock_skew_s == 7_200


@pytest.mark.behaviour(78)
async def test_a_preview_gives_rows_with_the_columns_as_they_are_spelled(one: Rig, answers: Answers) -> None:
    answers.get(PREVIEW, payload=envelope({"SubscriptionId": "251DE3D4"}, {"SubscriptionId": None}))

    assert await one.client.test_query(query_id="q-1") == [{"SubscriptionId": "251DE3D4"}, {"SubscriptionId": None}]


@pytest.mark.behaviour(79)
@pytest.mark.parametrize("answer", [{"status": 504}, {"timeout": True}])
async def test_a_preview_that_takes_too_long_is_no_failure(one: Rig, answers: Answers, answer: dict[str, Any]) -> None:
    answers.get(PREVIEW, **answer)

    assert await one.client.test_query(query_id="q-1") is None
    assert one.http.counts.retried == 0
    assert answers.sent("GET")[0]["timeout"].sock_read > 100


@pytest.mark.behaviour(78)
async def test_a_preview_of_both_or_none_is_not_sent(one: Rig, answers: Answers) -> None:
    with pytest.raises(SettingsError):
        await one.client.test_query()
    with pytest.raises(SettingsError):
        await one.client.test_query(query_id="q-1", text="SELECT a FROM b")

    assert answers.sent("GET") == []


@pytest.mark.behaviour(97)
async def test_deleting_after_a_lost_answer_what_is_gone_is_done(one: Rig, answers: Answers) -> None:
    address = f"{API}/ScheduledReport/r-1"
    answers.delete(address, exception=aiohttp.ServerDisconnectedError())
    answers.delete(address, status=404, payload=NOTHING)

    await one.client.delete_report("r-1")


async def test_deleting_what_was_never_there_is_an_error(one: Rig, answers: Answers) -> None:
    answers.delete(f"{API}/ScheduledReport/r-1", status=404, payload=NOTHING)
    answers.delete(f"{API}/ScheduledQueries/q-1", status=404, payload=NOTHING)

    with pytest.raises(NotFound):
        await one.client.delete_report("r-1")
    with pytest.raises(NotFound):
        await one.client.delete_query("q-1")


@pytest.mark.behaviour(95, 96)
async def test_a_report_is_changed_paused_and_resumed(one: Rig, answers: Answers) -> None:
    answers.put(f"{API}/ScheduledReport/r-1", payload=envelope(report(1)))
    answers.put(f"{API}/ScheduledReport/pause/r-1", status=204)
    answers.put(f"{API}/ScheduledReport/resume/r-1", payload=envelope(report(1)))

    changed = await one.client.update_report("r-1", name="Report", start_at=datetime(2026, 12, 1, tzinfo=UTC))
    assert await one.client.pause_report("r-1") is None
    resumed = await one.client.resume_report("r-1")

    assert changed.report_id == "r-1"
    assert resumed is not None
    assert len(answers.sent("PUT")) == 3


@pytest.mark.fault(105)
async def test_an_hour_without_the_service_ends_in_one_sentence(one: Rig, answers: Answers) -> None:
    answers.get(DATASETS, status=503, repeat=True)

    with pytest.raises(ServiceTrouble, match=r"tried 6 times over \d+ s"):
        await one.client.get_datasets()

    assert len(answers.sent("GET")) == 6


async def test_cancellation_passes_through_the_client(one: Rig, answers: Answers) -> None:
    answers.get(DATASETS, status=503, headers={"Retry-After": "3000"}, repeat=True)

    with anyio.CancelScope() as scope:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(one.client.get_datasets)
            await anyio.lowlevel.checkpoint()
            scope.cancel()

    assert scope.cancelled_caught
    assert one.http.in_flight == 0


async def test_a_cut_listing_is_not_taken_for_a_short_one(one: Rig, answers: Answers) -> None:
    answers.get(QUERIES, body='{"value": [{"queryId": "q-1"}', repeat=True)

    with pytest.raises(UnexpectedReply):
        await one.client.get_queries()


async def test_a_lost_answer_ends_after_all_tries(one: Rig, answers: Answers) -> None:
    answers.get(DATASETS, exception=aiohttp.ServerDisconnectedError(), repeat=True)

    with pytest.raises(AnswerLost, match="tried 6 times"):
        await one.client.get_datasets()


@pytest.mark.case("C22")
async def test_an_entry_without_an_id_costs_itself_alone(one: Rig, answers: Answers) -> None:
    named, odd = {"queryId": "q-1", "name": "One", "query": "SELECT A FROM Profile"}, {"name": "Odd"}
    answers.get(QUERIES, payload=envelope(odd, named))
    report, odd_report = (
        {"reportId": "r-1", "reportName": "One", "queryId": "q-1"},
        {"reportId": " ", "reportName": "Odd"},
    )
    answers.get(REPORTS, payload=envelope(report, odd_report))

    assert [query.query_id for query in await one.client.get_queries()] == ["q-1"]
    assert [item.report_id for item in await one.client.list_reports() or ()] == ["r-1"]
    assert one.recorded.names.count("list.odd") == 2


@pytest.mark.case("C22")
async def test_executions_without_an_id_cost_themselves_alone(one: Rig, answers: Answers) -> None:
    good = {"executionId": "e-1", "reportId": "r-1", "executionStatus": "Completed"}
    answers.get(EXECUTIONS, payload=envelope({"reportId": "r-1"}, good))

    found = await one.client.get_executions(["r-1"], statuses=None)

    assert [execution.execution_id for execution in found] == ["e-1"]


@pytest.mark.case("C52")
@pytest.mark.case("C22", "N7")
async def test_unreadable_is_not_absent_where_absence_decides(one: Rig, answers: Answers) -> None:
    """A report that might be ours, or that might use a query, must not be taken for one that is not there."""
    report, odd = (
        {"reportId": "r-1", "reportName": "One", "queryId": "q-1"},
        {"reportName": "bulkpull_x", "queryId": "q-2"},
    )
    answers.get(REPORTS, payload=envelope(report, odd), repeat=True)

    assert await one.client.list_reports(is_ours=lambda name: name.startswith("bulkpull")) is None
    with pytest.raises(UnexpectedReply, match="without `reportId`"):
        await one.client.get_reports(whole=True)
    with pytest.raises(UnexpectedReply, match="without `reportId`"):
        await one.client.get_reports(name="bulkpull_x")


@pytest.mark.case("C22")
async def test_a_listing_of_which_nothing_can_be_read_is_not_understood(one: Rig, answers: Answers) -> None:
    answers.get(QUERIES, payload=envelope({"name": "Odd"}, {"name": "Odder"}), repeat=True)

    with pytest.raises(UnexpectedReply, match="without `queryId`"):
        await one.client.get_queries()


@pytest.mark.behaviour(153)
async def test_an_id_keeps_the_spelling_in_which_it_came_first(one: Rig, answers: Answers) -> None:
    one.client.add_known_ids(["Q-1"])
    answers.get(REPORTS, payload=envelope(report(2)))
    answers.get(EXECUTIONS, payload=envelope(execution(2, reportId="R-2", executionId="E-2")))
    answers.get(EXECUTIONS, payload=envelope(execution(2)))

    (listed,) = await one.client.get_reports()
    (first,) = await one.client.get_executions([listed.report_id], statuses=["Pending"])
    (second,) = await one.client.get_executions([listed.report_id], statuses=["Pending"])

    assert (listed.report_id, listed.query_id) == ("r-2", "Q-1")
    assert first.report_id == second.report_id == "r-2"
    assert first.execution_id == second.execution_id == "E-2"
