"""Queries with metrics: one row per combination of the columns, with exact sums that add up at any selection."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from simulator_caller import START, StandingClock, calling
from support import examples

from bulkpull.simulator import Fault, Scenario
from bulkpull.simulator.api_replies import Refusal
from bulkpull.simulator.faults import FaultBox
from bulkpull.simulator.report_data import csv_blocks
from bulkpull.simulator.service import Service
from bulkpull.simulator.simulator_context import Context

ROWS = 240
MONTHS = [datetime(2026, month, 1, tzinfo=UTC) for month in range(6, 12)]
WHOLE = (MONTHS[0], datetime(2026, 12, 1, tzinfo=UTC))
Window = tuple[datetime, datetime]
Row = dict[str, str]


@cache
def service(edition: Any = "live", *, role: Any = "executive") -> Service:
    scenario = Scenario(edition=edition, rows=ROWS, role=role)
    return Service(Context(scenario, StandingClock(), FaultBox()), sign=lambda *_: "")


def rows_of(made: Service, dataset: str, columns: Sequence[str], window: Window | None = WHOLE) -> list[Row]:
    extract = made.whole_extract(dataset, tuple(columns), at=START, window=window)
    text = b"".join(csv_blocks(extract)).decode()
    return list(csv.DictReader(io.StringIO(text, newline="")))


def total(rows: Sequence[Row], name: str) -> Decimal:
    return sum((Decimal(row[name]) for row in rows if row[name]), Decimal(0))


def names_of(dataset: str) -> tuple[list[str], list[str]]:
    table = service().tables[dataset]
    return [column.name for column in table.columns], [metric.name for metric in table.metrics]


WITH_METRICS = sorted(name for name, table in service().tables.items() if table.metrics)
WITH_AMOUNTS = sorted(
    name for name, table in service().tables.items() if any(metric.kind == "amount" for metric in table.metrics)
)


@st.composite
def selections(draw: Any) -> tuple[str, list[str], str]:
    """A dataset, some of its columns in any order, and one of its metrics."""
    dataset = draw(st.sampled_from(WITH_METRICS))
    columns, metrics = names_of(dataset)
    chosen = draw(st.lists(st.sampled_from(columns), unique=True, max_size=len(columns)))
    return dataset, chosen, draw(st.sampled_from(metrics))


@pytest.mark.behaviour(63, 162, 163)
@settings(deadline=None, max_examples=examples(60))
@given(selections())
def test_a_metric_sums_to_the_same_at_any_selection(drawn: tuple[str, list[str], str]) -> None:
    dataset, columns, metric = drawn
    everything, _ = names_of(dataset)

    grouped = rows_of(service(), dataset, [*columns, metric])

    assert total(grouped, metric) == total(rows_of(service(), dataset, [*everything, metric]), metric)
    keys = [tuple(row[column] for column in columns) for row in grouped]
    # An empty text and no value at all are different groups, which a reader of CSV does not tell apart.
    assert len(set(keys)) == len(keys) or any("" in key for key in keys)


@pytest.mark.behaviour(163)
@settings(deadline=None, max_examples=examples(30))
@given(st.sampled_from([name for name in WITH_AMOUNTS if service().tables[name].time_column]), st.data())
def test_sums_over_windows_add_up_to_the_sum_over_the_whole(dataset: str, data: st.DataObject) -> None:
    columns, metrics = names_of(dataset)
    cuts = sorted(data.draw(st.sets(st.sampled_from(MONTHS[1:]))))
    windows = list(pairwise([WHOLE[0], *cuts, WHOLE[1]]))

    parts = [row for window in windows for row in rows_of(service(), dataset, [*columns, *metrics], window)]
    whole = rows_of(service(), dataset, [*columns, *metrics])

    assert parts == whole
    assert {name: total(parts, name) for name in metrics} == {name: total(whole, name) for name in metrics}


@pytest.mark.behaviour(162)
def test_a_total_is_the_sum_of_its_column_over_the_base_rows() -> None:
    checked = 0
    for dataset in WITH_METRICS:
        table = service().tables[dataset]
        for metric in table.metrics:
            if metric.kind == "total":
                base = rows_of(service(), dataset, [metric.origin])
                (grouped,) = rows_of(service(), dataset, [metric.name])
                assert Decimal(grouped[metric.name]) == total(base, metric.origin)
                checked += 1

    assert checked > 20


@pytest.mark.behaviour(162)
def test_a_count_is_that_of_the_base_rows() -> None:
    (row,) = rows_of(service(), "CustomersAndTenants", ["CustomerCount"])

    assert row == {"CustomerCount": str(ROWS)}


@pytest.mark.behaviour(63, 64, 163)
@pytest.mark.parametrize("dataset", WITH_AMOUNTS)
def test_rows_alike_in_every_column_come_one_by_one_without_amounts_and_as_one_with_them(dataset: str) -> None:
    columns, _ = names_of(dataset)
    table = service().tables[dataset]
    amounts = [metric.name for metric in table.metrics if metric.kind == "amount"]

    base = rows_of(service(), dataset, columns)
    grouped = rows_of(service(), dataset, [*columns, *amounts])

    distinct = {tuple(row.items()) for row in base}
    assert len(base) == ROWS
    assert len(grouped) == len(distinct) < ROWS
    assert {tuple(row[name] for name in columns) for row in grouped} == {tuple(row.values()) for row in base}


@pytest.mark.behaviour(159)
@pytest.mark.parametrize("name", ["BilledRevenueUSD", "AvailableSeats", "CPORPaidSeats"])
def test_both_editions_hold_the_same_amounts(name: str) -> None:
    (grouped,) = rows_of(service(), "CustomersAndTenants", [name])
    base = rows_of(service("documents"), "CustomersAndTenants", ["Month", name])

    assert len(base) == ROWS
    assert Decimal(grouped[name]) == total(base, name) != 0


@pytest.mark.behaviour(147)
@pytest.mark.parametrize(
    ("dataset", "flag", "amount"),
    [
        ("CustomersAndTenants", "IsDuplicateRowForPGA", "BilledRevenueUSD"),
        ("AzureUsage", "IsACRDuplicateAtPGALevel", "ACR_USD"),
    ],
)
def test_a_repetition_for_another_partner_carries_the_flag_and_the_same_amount(
    dataset: str, flag: str, amount: str
) -> None:
    columns, _ = names_of(dataset)
    partner = ("mpnid", "partnername", "partnerlocation", "partnerattributiontype")
    shared = [name for name in columns if name != flag and not name.casefold().startswith(partner)]
    rows = rows_of(service(), dataset, [*columns, amount])

    firsts = {tuple(row[name] for name in shared): row for row in rows if row[flag] == "0"}
    repeated = [row for row in rows if row[flag] == "1"]
    assert len(repeated) >= ROWS // 10
    for row in repeated:
        first = firsts[tuple(row[name] for name in shared)]
        assert row[amount] == first[amount]


@pytest.mark.behaviour(23, 159)
def test_a_viewer_gets_seats_and_no_revenue_among_the_metrics() -> None:
    viewed = rows_of(service(role="viewer"), "CustomersAndTenants", ["Month", "BilledRevenueUSD", "AvailableSeats"])

    assert {row["BilledRevenueUSD"] for row in viewed} == {""}
    assert total(viewed, "AvailableSeats") > 0


@pytest.mark.behaviour(185, 186)
def test_azure_usage_writes_months_with_letters_and_dates_as_digits() -> None:
    rows = rows_of(service(), "AzureUsage", ["Month", "SubscriptionStartDate", "SubscriptionEndDate"])

    assert list(dict.fromkeys(row["Month"] for row in rows)) == [
        "JUN-2026", "JUL-2026", "AUG-2026", "SEP-2026", "OCT-2026", "NOV-2026",
    ]  # fmt: skip
    assert all(len(row["SubscriptionStartDate"]) == 8 and row["SubscriptionStartDate"].isdigit() for row in rows)
    assert "" in {row["SubscriptionEndDate"] for row in rows}


@pytest.mark.behaviour(66, 185)
async def test_a_month_is_compared_and_sorted_as_a_date_whatever_its_form() -> None:
    async with calling(rows=60) as caller:

        async def months(tail: str) -> list[str]:
            text = f"SELECT DISTINCT Month FROM AzureUsage {tail}"  # noqa: S608 - not SQL
            answer = await caller.get("/ScheduledQueries/testQueryResult", exportQuery=text)
            return [row["Month"] for row in answer.records]

        equal = [await months(f"WHERE Month = '{value}'") for value in ("2026-09-01", "SEP-2026", "sep-2026")]
        later = await months("WHERE Month > 'AUG-2026' ORDER BY Month ASC")

    assert equal == [["SEP-2026"]] * 3
    assert later == ["SEP-2026", "OCT-2026", "NOV-2026"]


@pytest.mark.behaviour(62, 164, 165)
@pytest.mark.parametrize(
    ("span", "months"), [("LAST_2_YEARS", 24), ("LAST_18_MONTHS", 18), ("LIFETIME", 36), ("LAST_90_DAYS", 3)]
)
async def test_any_listed_span_is_answered_by_its_length(span: str, months: int) -> None:
    listed = {"CustomersAndTenants": ("LAST_2_YEARS", "LAST_18_MONTHS", "LAST_3_YEARS", "LAST_90_DAYS", "LIFETIME")}
    async with calling(rows=60, date_ranges=listed) as caller:
        query_id = await caller.query(f"SELECT Month FROM CustomersAndTenants TIMESPAN {span}")  # noqa: S608 - not SQL
        file = await caller.fetch(await caller.link(await caller.report(query_id)))

    assert len(set(file.text.split()[1:])) == months


@pytest.mark.behaviour(68)
@pytest.mark.parametrize(
    ("words", "message"),
    [("names", "Incorrect column name"), ("syntax", "Invalid query"), ("length", "Query is too long")],
)
async def test_queries_with_metrics_can_be_refused_in_several_words(words: str, message: str) -> None:
    fault = Fault("metrics_refused", dataset="AzureUsage", times=None, args={"words": words})
    async with calling(fault) as caller:
        stored = await caller.post("/ScheduledQueries", Name="A", Query="SELECT Month, ACR_USD FROM AzureUsage")
        tested = await caller.get("/ScheduledQueries/testQueryResult", exportQuery="SELECT ACR_USD FROM AzureUsage")
        plain = await caller.post("/ScheduledQueries", Name="B", Query="SELECT Month FROM AzureUsage")
        other = await caller.post("/ScheduledQueries", Name="C", Query="SELECT TotalRevenue FROM ResellerPerformance")

    assert [(item.status, item.message) for item in (stored, tested)] == [(400, message)] * 2
    assert [item.status for item in (plain, other)] == [200, 200]


@pytest.mark.behaviour(181)
@pytest.mark.parametrize(("accepted", "status"), [(False, 400), (True, 404)])
async def test_failed_is_a_word_to_ask_for_only_where_the_scenario_says_so(accepted: bool, status: int) -> None:
    async with calling(failed_status=accepted) as caller:
        report_id = await caller.report()
        reply = await caller.get(f"/ScheduledReport/execution/{report_id}", executionStatus="Failed")

    assert reply.status == status


@pytest.mark.behaviour(62, 73, 159)
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("SELECT AssignedSeats FROM AzureUsage", "Incorrect column name"),
        ("SELECT TotalRevenueAndACR FROM DynamicsUsage", "Incorrect column name"),
        ("SELECT PartnerLocationID FROM CustomersAndTenants", "Incorrect column name"),
        ("SELECT Month FROM CustomersAndTenants TIMESPAN LIFETIME", "Invalid query"),
        ("SELECT MPNId FROM CompetencySummaryHistory", "Invalid table name"),
    ],
)
def test_what_the_live_list_lacks_is_refused(text: str, message: str) -> None:
    with pytest.raises(Refusal) as refused:
        service().query_store.parse(text)

    assert (refused.value.status, refused.value.message) == (400, message)
