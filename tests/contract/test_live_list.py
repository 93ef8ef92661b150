"""The simulator's live edition against the one public dataset list of the live service, captured in February 2023."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from stage import asking

from bulkpull.catalog import CatalogDataset, load_catalog

CAPTURE: dict[str, Any] = json.loads((Path(__file__).parent / "live-2023-02.json").read_text(encoding="utf-8"))
LISTED: dict[str, dict[str, Any]] = {item["datasetName"]: item for item in CAPTURE["value"]}
ABSENT = {"CompetencySummaryHistory", "CompetencyPeformanceRequirement"}


def known(name: str) -> CatalogDataset:
    found = load_catalog().find(name)
    assert found is not None
    return found


@pytest.mark.behaviour(52, 58, 159, 164, 165, 166, 167, 168, 169)
async def test_the_live_edition_lists_what_the_live_service_listed() -> None:
    async with asking(datasets=None) as asker:
        reported = await asker.ask("GET", "ScheduledDataset")

    assert reported["value"] == CAPTURE["value"]
    assert {name: reported[name] for name in CAPTURE["envelope"]} == CAPTURE["envelope"]


@pytest.mark.behaviour(57, 58, 167)
async def test_of_the_twenty_the_two_competency_datasets_are_absent_and_three_others_are_there() -> None:
    async with asking(datasets=None) as asker:
        listed = {item["datasetName"] for item in (await asker.ask("GET", "ScheduledDataset"))["value"]}

    twenty = {dataset.name for dataset in load_catalog().standard}
    assert twenty - listed == ABSENT
    assert listed - twenty == {"CPORM365Usage", "CLASSurfacePropensity", "CSPRevenueDetails"}


@pytest.mark.behaviour(48, 159)
async def test_the_documents_edition_lists_the_twenty_with_amounts_as_columns() -> None:
    async with asking(edition="documents", datasets=None) as asker:
        listed = {item["datasetName"]: item for item in (await asker.ask("GET", "ScheduledDataset"))["value"]}

    assert set(listed) == {dataset.name for dataset in load_catalog().standard}
    customers = listed["CustomersAndTenants"]
    assert "BilledRevenueUSD" in customers["selectableColumns"]
    assert customers["availableMetrics"] == ["CustomerCount", "CustomerTenantCount"]
    assert "LIFETIME" in customers["availableDateRanges"]


@pytest.mark.behaviour(51, 164, 165, 166)
@pytest.mark.parametrize("name", sorted(LISTED))
def test_the_catalog_knows_the_live_list(name: str) -> None:
    dataset, listed = known(name), LISTED[name]

    assert [column.name for column in dataset.columns] == listed["selectableColumns"]
    assert [metric.name for metric in dataset.metrics] == listed["availableMetrics"]
    assert list(dataset.date_ranges) == listed["availableDateRanges"]
    assert dataset.minimum_recurrence_hours == listed["minimumRecurrenceInterval"]
    assert dataset.snapshot == (listed["availableDateRanges"] == ["LIFETIME"]) == (dataset.time_column is None)
    assert dataset.time_column is None or dataset.time_column in listed["selectableColumns"]
