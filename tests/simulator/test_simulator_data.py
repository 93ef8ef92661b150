"""The generated data: the same for the same seed, realistic, and made in blocks."""

from __future__ import annotations

import csv
import io
import itertools
import json
from typing import Any

import polars as pl
import pytest
from simulator_caller import StandingClock, calling

from bulkpull.simulator import Scenario
from bulkpull.simulator.faults import FaultBox
from bulkpull.simulator.report_data import BLOCK_ROWS, csv_blocks, frames, sample
from bulkpull.simulator.request_validation import Fields
from bulkpull.simulator.service import Service
from bulkpull.simulator.simulator_context import Context


def service(**parameters: object) -> Service:
    scenario = Scenario(**parameters)  # type: ignore[arg-type]  # free parameters of a test
    return Service(Context(scenario, StandingClock(), FaultBox()), sign=lambda *_: "")


def text_of(made: Service, dataset: str, columns: tuple[str, ...] | None = None) -> bytes:
    return b"".join(csv_blocks(made.whole_extract(dataset, columns)))


def rows_of(text: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text.decode(), newline="")))


def test_the_same_seed_makes_the_same_bytes_and_another_seed_others() -> None:
    one, same, other = (text_of(service(rows=500, seed=seed), "AzureUsage") for seed in (1, 1, 2))

    assert one == same
    assert one != other


@pytest.mark.parametrize("dataset", sorted(service(extras=True).tables))
def test_every_dataset_has_as_many_rows_as_asked_and_as_many_fields_as_columns(dataset: str) -> None:
    made = service(rows=121, extras=True)
    header, *rows = rows_of(text_of(made, dataset))

    table = made.tables[dataset]
    amounts = [metric.name for metric in table.metrics if metric.kind == "amount"]
    assert header == [*(column.name for column in table.columns), *amounts]
    # Rows that are alike in every column come as one where amounts are asked for (behaviour 163).
    assert len(rows) < 121 if amounts else len(rows) == 121
    assert {len(row) for row in rows} == {len(header)}


def test_a_value_depends_on_its_row_alone_and_not_on_blocks_or_other_columns() -> None:
    made = service(rows=300)
    whole = made.whole_extract("OfficeUsage")
    small = pl.concat(frames(whole, block_rows=7))
    large = pl.concat(frames(whole, block_rows=BLOCK_ROWS))
    alone = rows_of(text_of(made, "OfficeUsage", ("MonthlyActiveUsers",)))[1:]

    assert small.equals(large)
    # A single empty field is an empty line, which the reader gives as a row without fields.
    assert [int(row[0]) if row else None for row in alone] == large["MonthlyActiveUsers"].to_list()


def test_ten_million_rows_are_made_block_by_block() -> None:
    made = service(rows=10_000_000)
    blocks = csv_blocks(made.whole_extract("OfficeUsage"))
    header, *first = itertools.islice(blocks, 3)

    assert header.startswith(b"PGAMpnId,")
    assert all(len(block) < 20_000_000 for block in first)


@pytest.mark.behaviour(61, 145)
@pytest.mark.parametrize(
    ("span", "months", "rows"),
    [
        ("", ["2026-06", "2026-07", "2026-08", "2026-09", "2026-10", "2026-11"], 600),
        (" TIMESPAN LAST_6_MONTHS", ["2026-06", "2026-07", "2026-08", "2026-09", "2026-10", "2026-11"], 600),
        (" TIMESPAN LAST_MONTH", ["2026-11"], 100),
        (" TIMESPAN LAST_3_MONTHS", ["2026-09", "2026-10", "2026-11"], 300),
    ],
)
async def test_a_timespan_takes_the_months_that_end_with_the_present_one(
    span: str, months: list[str], rows: int
) -> None:
    async with calling(rows=600) as caller:
        query_id = await caller.query(f"SELECT Month FROM OfficeUsage{span}")  # noqa: S608 - not SQL
        link = await caller.link(await caller.report(query_id))
        lines = (await caller.fetch(link)).text.decode().split()[1:]

    assert sorted(set(lines)) == [f"{month}-01" for month in months]
    assert len(lines) == rows


@pytest.mark.behaviour(83, 84)
async def test_query_times_take_the_months_that_begin_between_them() -> None:
    window = {"QueryStartTime": "2026-02-01T00:00:00Z", "QueryEndTime": "2026-04-01T00:00:00Z"}
    async with calling(rows=600) as caller:
        query_id = await caller.query("SELECT Month FROM OfficeUsage TIMESPAN LAST_MONTH")
        lines = (await caller.fetch(await caller.link(await caller.report(query_id, **window)))).text.decode().split()

    assert sorted(set(lines[1:])) == ["2026-02-01", "2026-03-01"]


async def test_a_month_holds_the_same_rows_whatever_span_asks_for_it() -> None:
    async with calling(rows=600) as caller:
        texts = []
        for span in ("LAST_MONTH", "LAST_1_YEAR"):
            query = await caller.query(f"SELECT Month, CustomerName, CustomerTpid FROM OfficeUsage TIMESPAN {span}")  # noqa: S608 - not SQL
            texts.append((await caller.fetch(await caller.link(await caller.report(query)))).text)

    assert texts[1].endswith(texts[0].split(b"\r\n", 1)[1])


@pytest.mark.behaviour(60, 65, 66, 67)
async def test_where_and_limit_are_honoured() -> None:
    async with calling(rows=3_000) as caller:

        async def rows(tail: str) -> list[list[str]]:
            query = await caller.query(f"SELECT CustomerMarket, MonthlyActiveUsers FROM OfficeUsage {tail}")  # noqa: S608 - not SQL
            return rows_of((await caller.fetch(await caller.link(await caller.report(query)))).text)[1:]

        named = await rows("WHERE CustomerMarket = 'sweden' AND MonthlyActiveUsers > 100")
        like = await rows("WHERE CustomerMarket LIKE '%s%n%' LIMIT 5")
        none = await rows("WHERE IsDuplicateRowForPGA = 'False'")

    assert named
    assert all(market == "Sweden" and int(users) > 100 for market, users in named)
    assert len(like) == 5
    assert none == []


@pytest.mark.behaviour(136, 152, 154)
def test_the_data_hold_what_trips_readers_up() -> None:
    made = service(rows=60_000)
    names = text_of(made, "OfficeUsage", ("CustomerName", "MPNId"))
    flat = {name for name, _ in rows_of(names)[1:]}
    amounts = text_of(made, "AzureUsage", ("MonthlySubscriptionLevelACR", "EnrollmentNumber")).decode()

    assert {"NULL", "NA", "nan", " padded on both sides ", "Contoso\r\nsecond line"} <= flat
    assert b'""Retail""' in names
    assert b'\r\n"",' in names
    assert b"\r\n," in names
    assert "コントソ".encode() in names
    assert ",0" in names.decode()
    assert "\r\n-" in amounts
    assert {len(line.split(",")[0].partition(".")[2]) for line in amounts.split("\r\n")[1:-1]} == {0, 2, 4, 6}


@pytest.mark.behaviour(23, 52)
@pytest.mark.parametrize("redaction", ["empty", "vanish"])
async def test_a_viewer_sees_no_revenue(redaction: str) -> None:
    async with calling(role="viewer", redaction=redaction) as caller:
        query_id = await caller.query("SELECT CustomerTpid, BilledRevenueUSD FROM CustomersAndTenants")
        report_id = await caller.report(query_id)
        reply = await caller.execution(report_id)
        header, *rows = rows_of((await caller.fetch(reply.records[0]["reportAccessSecureLink"])).text)

    assert reply.body["dataRedacted"] is True
    assert header == ["CustomerTpid", "BilledRevenueUSD"][: 2 if redaction == "empty" else 1]
    assert all(row[1:] in ([""], []) for row in rows)


@pytest.mark.behaviour(94, 136, 138)
@pytest.mark.parametrize(
    ("parameters", "beginning"),
    [
        ({}, b"CustomerTpid,Month\r\n"),
        ({"line_ending": "\n"}, b"CustomerTpid,Month\n"),
        ({"bom": True}, b"\xef\xbb\xbfCustomerTpid,Month\r\n"),
        ({"tsv": True}, b"CustomerTpid\tMonth\r\n"),
        ({"gzip_members": 3}, b"CustomerTpid,Month\r\n"),
        ({"header_only": True}, b"CustomerTpid,Month\r\n"),
    ],
)
async def test_the_file_has_the_form_that_the_scenario_says(parameters: dict[str, Any], beginning: bytes) -> None:
    async with calling(**parameters) as caller:
        link = await caller.link(await caller.report(await caller.query("SELECT CustomerTpid, Month FROM OfficeUsage")))
        file = await caller.fetch(link)

    assert file.text.startswith(beginning)
    assert file.text.count(b"\n") == (1 if "header_only" in parameters else 61)
    # Small members may hold these two bytes by chance, so this counts only what there must be at least.
    assert file.raw.count(b"\x1f\x8b\x08") >= parameters.get("gzip_members", 1)


async def test_a_tsv_report_is_separated_by_tabs() -> None:
    async with calling() as caller:
        report_id = await caller.report(await caller.query("SELECT CustomerTpid, Month FROM OfficeUsage"), Format="TSV")
        reply = await caller.execution(report_id)
        file = await caller.fetch(reply.records[0]["reportAccessSecureLink"])

    assert reply.records[0]["format"] == "tsv"
    assert file.text.startswith(b"CustomerTpid\tMonth\r\n")


async def test_a_planted_table_is_served_as_it_stands() -> None:
    content = b'CustomerName\n"a ""planted"" row"\n'
    async with calling(tables={"OfficeUsage": content}) as caller:
        file = await caller.fetch(await caller.link())
        truth = await caller.simulator.csv("OfficeUsage")

    assert file.text == truth == content


async def test_planted_stored_bytes_are_not_even_compressed() -> None:
    async with calling(stored={"OfficeUsage": b"\x1f\x8bnot really"}) as caller:
        file = await caller.fetch(await caller.link())

    assert file.raw == b"\x1f\x8bnot really"


async def test_equal_reports_share_one_file() -> None:
    async with calling() as caller:
        files = [await caller.fetch(await caller.link()) for _ in range(2)]

    assert files[0].headers["ETag"] == files[1].headers["ETag"]


async def test_the_truth_is_what_is_served() -> None:
    async with calling(rows=2_000) as caller:
        columns = [column.name for column in caller.simulator.service.tables["PowerBIUsage"].columns]
        query_id = await caller.query(f"SELECT {','.join(columns)} FROM PowerBIUsage TIMESPAN LAST_6_MONTHS")  # noqa: S608 - not SQL
        file = await caller.fetch(await caller.link(await caller.report(query_id)))

        assert file.text == await caller.simulator.csv("PowerBIUsage")


def test_rows_tell_which_question_made_them_where_the_scenario_says_so() -> None:
    """What is published can then be held against its label, whatever way it came."""
    made = service(datasets=("OfficeUsage",), rows=12, provenance=True)
    text = "SELECT Provenance FROM OfficeUsage WHERE MpnId != '0' TIMESPAN LAST_MONTH"
    query = made.query_store.keep(name="Q", text=text, description=None)
    definition = Fields({"ReportName": "R", "QueryId": query.query_id, "ExecuteNow": True})
    report = made.report_store.create(definition, correlation_id="c")
    extract = made.extract_of(report.executions[0].execution_id)
    assert extract is not None
    (reported,) = {row["Provenance"] for row in sample(extract)}

    facts = json.loads(reported)
    assert facts.pop("version")
    assert facts == {
        "account": made.scenario.tenant_id,
        "filter": [["mpnid", "!=", "0"]],
        "span": "LAST_MONTH",
        "window": [None, None],
    }
