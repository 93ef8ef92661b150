"""Types from night to night: they widen, never narrow again, and a column that comes back has the type that it had."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from journeys.kit import ACCOUNT, export, settings_for

from bulkpull.catalog import load_catalog
from bulkpull.events import Events
from bulkpull.output.manifest import DatasetRecord
from bulkpull.output.owner import load_owner
from bulkpull.output.store import LocalStore
from bulkpull.pipeline.request import ExportRequest
from bulkpull.pipeline.run import Run
from bulkpull.simulator import ColumnDrift, Scenario, Simulator


def without_all_but(columns: Iterable[str]) -> ColumnDrift:
    """OfficeUsage as a service lists it that has these columns only, whatever it calls the others."""
    office = load_catalog().find("OfficeUsage")
    assert office is not None
    known = [*office.columns, *office.further_columns, *office.drift_columns]
    names = {name for column in known for name in (column.name, *column.aliases)}
    return ColumnDrift(removed=tuple(sorted(names - set(columns))))


async def a_night(output: Path, **columns: list[str]) -> DatasetRecord:
    """Export OfficeUsage as it is tonight: those columns with those values."""
    rows = [",".join(columns), *(",".join(values) for values in zip(*columns.values(), strict=True))]
    drift = without_all_but(columns)
    tables = {"OfficeUsage": "".join(f"{row}\r\n" for row in rows).encode()}
    async with Simulator(Scenario(tables=tables, drift={"OfficeUsage": drift}), port=_port_of(output)) as simulator:
        (record,) = (await export(simulator, output, "OfficeUsage", metrics="none")).datasets
    assert record.status == "complete", record.reason
    return record


def _port_of(output: Path) -> int:
    """The port of the first night: a folder belongs to one service, by its address."""
    owner = load_owner(LocalStore(output))
    return urlsplit(owner.account.api_root).port or 0 if owner else 0


def types(record: DatasetRecord) -> dict[str, str]:
    return {column.name: column.type for column in record.columns}


@pytest.mark.case("O5")
async def test_a_column_that_became_text_goes_back_when_that_is_asked_for(tmp_path: Path) -> None:
    await a_night(tmp_path, Month=["2023-04-01"], MPNId=["007"])
    await a_night(tmp_path, Month=["unknown"], MPNId=["008"])
    assert types(await a_night(tmp_path, Month=["2023-04-01"], MPNId=["009"]))["Month"] == "String"

    async with Simulator(
        Scenario(
            tables={"OfficeUsage": b"Month,MPNId\r\n2023-05-01,010\r\n"},
            drift={"OfficeUsage": without_all_but(["Month", "MPNId"])},
        ),
        port=_port_of(tmp_path),
    ) as simulator:
        settings = settings_for(simulator, tmp_path, metrics="none", on_drift="fail")
        request = ExportRequest(("OfficeUsage",), reset_types=True)
        (record,) = (await Run(request, settings, Events(), account=ACCOUNT).export()).datasets

    assert record.status == "complete", record.reason
    assert types(record) == {"Month": "Date", "MPNId": "String"}
    assert types(await a_night(tmp_path, Month=["2023-06-01"], MPNId=["011"]))["Month"] == "Date"


@pytest.mark.fault(89)
async def test_dates_that_became_moments_stay_moments_and_the_first_that_did_not_fit_is_told(tmp_path: Path) -> None:
    nights = (["2026-10-01", "2026-11-01"], ["2026-10-01T00:00", "2026-11-01T05:30"], ["2026-10-01", "2026-11-01"])
    reported: list[Any] = []
    for months in nights:
        record = await a_night(tmp_path, CustomerTpid=["007", "008"], Month=months)
        reported.append((types(record)["Month"], record.drift.retyped if record.drift else []))

    assert reported == [
        ("Date", []),
        ("Datetime(us)", ["Month: Date → Datetime(us) (row 1: '2026-10-01T00:00')"]),
        ("Datetime(us)", []),
    ]


@pytest.mark.fault(89)
async def test_a_column_that_comes_back_takes_up_the_type_that_it_had(tmp_path: Path) -> None:
    first = await a_night(tmp_path, CustomerTpid=["007"], MonthlyActiveUsers=["about 5"])
    without = await a_night(tmp_path, CustomerTpid=["007"])
    again = await a_night(tmp_path, CustomerTpid=["007"], MonthlyActiveUsers=["5"])

    assert types(first)["MonthlyActiveUsers"] == types(again)["MonthlyActiveUsers"] == "String"
    assert without.earlier_types == {"MonthlyActiveUsers": "String"}
    assert again.earlier_types == {}


@pytest.mark.fault(90)
async def test_a_column_that_was_never_filled_binds_no_later_night(tmp_path: Path) -> None:
    empty = await a_night(tmp_path, CustomerTpid=["007"], Month=[""])
    filled = await a_night(tmp_path, CustomerTpid=["007"], Month=["2026-10-01T00:00:00Z"])
    empty_again = await a_night(tmp_path, CustomerTpid=["007"], Month=[""])

    assert [types(item)["Month"] for item in (empty, filled, empty_again)] == [
        "Date",
        "Datetime(us, UTC)",
        "Datetime(us, UTC)",
    ]


@pytest.mark.case("C40")
@pytest.mark.fault(86)
async def test_an_open_end_and_nul_characters_are_notes_and_the_manifest_says_what_vouched(tmp_path: Path) -> None:
    table = {"OfficeUsage": b"CustomerTpid\r\n007\r\n00\x008"}
    drift = without_all_but(["CustomerTpid"])
    async with Simulator(Scenario(tables=table, drift={"OfficeUsage": drift})) as simulator:
        (record,) = (await export(simulator, tmp_path, "OfficeUsage", metrics="none")).datasets

    assert record.status == "complete"
    assert record.vouched_by == ["length", "md5", "gzip"]
    assert any("ended without a line end" in note for note in record.notes)
    assert any("1 NUL characters" in note for note in record.notes)


@pytest.mark.behaviour(155, 185, 186)
@pytest.mark.fault(89)
async def test_a_month_whose_form_changes_becomes_text_once_and_stays_so(tmp_path: Path) -> None:
    nights = (["APR-2023", "MAY-2023"], ["MAY-2023", ""], ["", ""], ["2023-05", "2023-06"], ["APR-2023", "MAY-2023"])
    found: list[Any] = []
    for months in nights:
        record = await a_night(tmp_path, CustomerTpid=["007", "008"], Month=months)
        (column,) = (column for column in record.columns if column.name == "Month")
        found.append((column.type, column.format, record.drift.retyped if record.drift else []))

    assert found == [
        ("Date", "%^b-%Y", []),
        ("Date", "%^b-%Y", []),
        ("Date", "%^b-%Y", []),
        ("String", None, ["Month: Date → String (row 1: '2023-05')"]),
        ("String", None, []),
    ]
