"""Nights in which somebody or something else changes what the last night left: data come all the same, and are told."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from journeys.kit import ACCOUNT, settings_for
from support import FakeClock

from bulkpull.events import Events
from bulkpull.journey.freshness import find_freshness
from bulkpull.journey.request import ExportRequest
from bulkpull.journey.run import Run
from bulkpull.records.manifest import DatasetRecord, Manifest
from bulkpull.simulator import ColumnDrift, Fault, Scenario, Simulator
from bulkpull.simulator.records import StoredReport

DATASET = "OfficeUsage"
PATIENT: dict[str, Any] = {"poll_initial_seconds": 5.0, "poll_max_seconds": 60.0, "report_timeout_seconds": 10_800.0}
SERVICE: dict[str, Any] = {"datasets": (DATASET, "Profile"), "rows": 12, "refreshes": True, "latency_s": (60.0, 600.0)}


class Nights:
    """One service, one folder, and nights a day apart."""

    def __init__(self, simulator: Simulator, clock: FakeClock, output: Path) -> None:
        self.simulator, self.clock, self.output = simulator, clock, output

    async def night(self, *datasets: str, output: Path | None = None, day: bool = True, **changes: Any) -> Manifest:
        began_at = self.clock.now()
        settings = settings_for(self.simulator, output or self.output, **(PATIENT | changes))
        request = ExportRequest(datasets or (DATASET,), nightly=True)
        manifest = await Run(request, settings, Events(), clock=self.clock, account=ACCOUNT).export()
        if day:
            self.clock.advance((began_at + timedelta(days=1) - self.clock.now()).total_seconds())
        return manifest

    def scheduled(self, dataset: str = DATASET) -> list[StoredReport]:
        return self.simulator.service.standing_reports(dataset)


@asynccontextmanager
async def nights_of(tmp_path: Path, **changes: Any) -> AsyncIterator[Nights]:
    clock = FakeClock()
    async with Simulator(Scenario(**(SERVICE | changes)), clock=clock) as simulator:
        yield Nights(simulator, clock, tmp_path / "out")


def the(manifest: Manifest, dataset: str = DATASET) -> DatasetRecord:
    (record,) = (each for each in manifest.datasets if each.dataset == dataset)
    return record


def told(record: DatasetRecord) -> str:
    return " | ".join([*record.notes, record.reason or ""])


def edit_interval(report: StoredReport, _: Nights) -> None:
    report.interval_h, report.start_at = 2_160, report.start_at + timedelta(days=30)


def delete_query(report: StoredReport, nights: Nights) -> None:
    nights.simulator.service.delete_query(report.query_id)


def pause(report: StoredReport, nights: Nights) -> None:
    nights.simulator.service.pause_report(report.report_id)


def delete(report: StoredReport, nights: Nights) -> None:
    nights.simulator.service.delete_report(report.report_id)


def remove_column(report: StoredReport, nights: Nights) -> None:
    name = nights.simulator.service.tables[report.dataset].columns[-1].name
    nights.simulator.service.drift(report.dataset, ColumnDrift(removed=(name,)))


@pytest.mark.case("N3", "N14")
@pytest.mark.parametrize("befall", [edit_interval, delete_query, pause, delete, remove_column])
async def test_a_report_that_somebody_changed_costs_no_night_and_is_told(tmp_path: Path, befall: Any) -> None:
    async with nights_of(tmp_path) as nights:
        await nights.night(day=False)
        old = nights.scheduled()[0]
        befall(old, nights)
        nights.clock.advance(86_400)
        second = the(await nights.night())
        assert "report" in told(second)
        assert (second.status, second.due_at) == ("complete", None) or "published already" in told(second)
        third = the(await nights.night())

        assert third.status in ("complete", "skipped")
        (new,) = nights.scheduled()
        assert new.report_id != old.report_id
        assert (new.status, new.interval_h) == ("Active", 24)
    assert nights.simulator.service.created_reports[DATASET] == 4  # two scheduled ones, and two that run once


@pytest.mark.case("N3")
@pytest.mark.parametrize(
    ("fault", "words"),
    [("execution_fails", "Failed"), ("execution_stuck", "Running"), ("execution_paused", "Paused")],
)
async def test_an_execution_that_was_due_and_did_not_come_is_noticed_the_same_night(
    tmp_path: Path, fault: str, words: str
) -> None:
    async with nights_of(tmp_path) as nights:
        await nights.night()
        nights.simulator.arm(Fault(fault, times=1, args={"reads": None}))
        nights.scheduled()  # the execution of the first day begins, and is struck
        second = the(await nights.night())
        assert words in told(second)
        assert "one-off" in told(second)
        nights.simulator.disarm_all()
        third = the(await nights.night())

        assert third.status in ("complete", "skipped")
        assert len(nights.scheduled()) == 1
    assert second.status == "complete" or "published already" in told(second)


@pytest.mark.case("N3")
async def test_the_age_is_measured_by_the_last_execution_that_was_due(tmp_path: Path) -> None:
    """A night that finds the execution still under way has seen older data than were due."""
    async with nights_of(tmp_path) as nights:
        first = await nights.night()
        nights.simulator.arm(Fault("execution_stuck", times=1, args={"reads": None}))
        nights.scheduled()
        record = the(await nights.night(report_timeout_seconds=100_000.0))

    assert (record.status, record.due_at is not None) == ("skipped", True)
    (freshness,) = find_freshness(nights.output)
    assert freshness.checked_at is not None
    assert f"{freshness.checked_at:%Y-%m-%dT%H:%M:%SZ}" == first.finished_at


@pytest.mark.case("N7")
@pytest.mark.parametrize(
    "fault",
    [
        Fault("http_status", endpoint="GET ScheduledReport", times=None, args={"status": 403}),
        Fault("null_value", endpoint="GET ScheduledReport", times=None),
    ],
    ids=["403", "null"],
)
async def test_a_list_of_reports_that_is_not_told_is_not_an_empty_one(tmp_path: Path, fault: Fault) -> None:
    async with nights_of(tmp_path) as nights:
        await nights.night()
        created = Counter(nights.simulator.service.created_reports)
        nights.simulator.arm(fault)
        manifests = [await nights.night() for _ in range(3)]

        assert nights.simulator.service.created_reports == created
        assert len(nights.scheduled()) == 1
    assert {manifest.exit_code for manifest in manifests} == {0}
    assert all("does not tell which reports there are" in " ".join(manifest.notes) for manifest in manifests)
    assert "complete" in {the(manifest).status for manifest in manifests}


@pytest.mark.case("N8")
async def test_a_shared_report_is_not_deleted_by_the_folder_that_did_not_make_it(tmp_path: Path) -> None:
    async with nights_of(tmp_path) as nights:
        other = tmp_path / "other"
        await nights.night(day=False)
        await nights.night(output=other)
        (shared,) = nights.scheduled()
        await nights.night(output=other, day=False, timespan="LAST_MONTH")
        assert shared.report_id in nights.simulator.service.reports

        nights.simulator.service.delete_report(shared.report_id)  # its maker takes it away
        for _ in range(2):
            nights.clock.advance(86_400)
            again = the(await nights.night(output=other, day=False))
            assert again.status in ("complete", "skipped")


@pytest.mark.case("N8")
async def test_an_adopted_report_that_vanishes_is_made_good_and_told(tmp_path: Path) -> None:
    async with nights_of(tmp_path) as nights:
        other = tmp_path / "other"
        await nights.night(day=False)
        await nights.night(output=other)
        (shared,) = nights.scheduled()
        nights.simulator.service.delete_report(shared.report_id)
        record = the(await nights.night(output=other))

    assert record.status == "complete" or "published already" in told(record)
    assert "its scheduled report is gone" in told(record)


@pytest.mark.case("N9")
async def test_reports_of_datasets_that_nobody_asks_for_any_more_are_told_every_night(tmp_path: Path) -> None:
    async with nights_of(tmp_path) as nights:
        await nights.night(DATASET, "Profile")
        (profile,) = nights.scheduled("Profile")
        manifests = [await nights.night(DATASET) for _ in range(2)]

    for manifest in manifests:
        assert [note for note in manifest.notes if profile.report_id in note and "--unused" in note]


@pytest.mark.case("N9")
@pytest.mark.behaviour(86)
async def test_idle_reports_of_ours_make_room_where_the_quota_is_full(tmp_path: Path) -> None:
    async with nights_of(tmp_path, active_report_quota=1) as nights:
        await nights.night("Profile")
        manifest = await nights.night(DATASET)

        assert [len(nights.scheduled(name)) for name in (DATASET, "Profile")] == [1, 0]
    assert the(manifest).status == "complete"
    assert "no standing report" not in told(the(manifest))


@pytest.mark.case("N10")
@pytest.mark.parametrize(
    "text",
    ["SELECT MpnId FROM Profile", "SELECT MpnId, Month FROM OfficeUsage WHERE MpnId = '1'"],
)
async def test_a_report_with_our_name_and_another_query_is_neither_published_nor_deleted(
    tmp_path: Path, text: str
) -> None:
    async with nights_of(tmp_path) as nights:
        await nights.night()
        (ours,) = nights.scheduled()
        service = nights.simulator.service
        theirs = service.query_shelf.keep(name="Theirs", text=text, description=None)
        ours.query_id, ours.query_text = theirs.query_id, theirs.text
        ours.parsed = service.query_shelf.parse(text)
        record = the(await nights.night(output=tmp_path / "other"))

        assert ours.report_id in service.reports
    assert record.execution_id not in {execution.execution_id for execution in ours.executions}
    assert "left alone" in told(record)


@pytest.mark.case("N15")
async def test_another_lead_and_another_name_are_seen(tmp_path: Path) -> None:
    async with nights_of(tmp_path) as nights:
        await nights.night()
        (report,) = nights.scheduled()
        report.name = "Weekly"
        await nights.night()
        assert [each.report_id for each in nights.scheduled()] == [report.report_id]

        await nights.night(standing_lead_hours=8.0)
        (moved,) = nights.scheduled()
    assert moved.report_id != report.report_id
