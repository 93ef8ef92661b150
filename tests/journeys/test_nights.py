"""
Nights in virtual time: data that are refreshed at the documented intervals, and everything that happens to standing
reports between two nights. After each night the newest data that was to be had is current, and the service holds no
more objects than before.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import polars as pl
import pytest
from journeys.kit import assert_holds_what_the_csv_said, settings_for
from support import THOROUGH, FakeClock

from bulkpull.events import Events
from bulkpull.model import Pull, Report
from bulkpull.output.current import Current
from bulkpull.output.freshness import find_freshness
from bulkpull.output.manifest import Manifest
from bulkpull.output.run_history import load_manifest
from bulkpull.output.store import LocalStore
from bulkpull.pipeline.nightly.execute import DecisionExecutor
from bulkpull.pipeline.request import ExportRequest
from bulkpull.pipeline.run import Run
from bulkpull.simulator import ColumnDrift, Fault, Scenario, Simulator
from bulkpull.simulator.entities import StoredExecution, StoredReport
from bulkpull.simulator.report_data import Extract
from bulkpull.simulator.request_validation import Fields
from bulkpull.simulator.service import Service

pytestmark = pytest.mark.timeout(600)
FEW = ("Profile", "OfficeUsage", "AzureUsage", "CLASAzurePropensity")  # refreshed every 1, 3, 4 and 7 days
PATIENT: dict[str, Any] = {"report_timeout_seconds": 10_800.0}
DAY = timedelta(days=1)
ACTIVE_REPORTS = 50  # that an account may have (behaviour 86)


@dataclass
class Nights:
    """A service, an output folder, and the nights that go by."""

    simulator: Simulator
    clock: FakeClock
    output: Path
    datasets: tuple[str, ...]
    _truths: dict[str, list[tuple[date, bytes]]] = field(default_factory=dict)
    _published: dict[str, date] = field(default_factory=dict)

    async def night(self, *, outage: bool = False) -> Manifest:
        """
        The command runs; then time passes to the same hour of the next night.

        Args:
            outage: The service cannot be reached, so nothing new is to be had.
        """
        service, began_at = self.simulator.service, self.clock.now()
        await self.remember()
        ready = {dataset: self.ready(dataset, at=began_at) for dataset in self.datasets}
        run = Run(
            ExportRequest(self.datasets, nightly=True),
            settings_for(self.simulator, self.output, **PATIENT),
            Events(),
            clock=self.clock,
        )
        manifest = await run.export()
        await self.remember()
        for dataset, newest in ready.items():
            self.check_current(dataset, None if outage else newest)
        assert {report.dataset for report in service.reports.values() if not report.is_standing} == set()
        self.clock.advance(((began_at + DAY) - self.clock.now()).total_seconds())
        return manifest

    def looked_at(self, dataset: str) -> datetime | None:
        """The last look at the service that counts, as `bulkpull status` tells it."""
        (found,) = [
            one for one in find_freshness(LocalStore(self.output), now=self.clock.now()) if one.dataset == dataset
        ]
        return found.checked_at

    async def nights(self, count: int) -> list[Manifest]:
        return [await self.night() for _ in range(count)]

    def ready(self, dataset: str, *, at: datetime) -> datetime | None:
        """When the newest execution began that a look at the service finds completed now."""
        service = self.simulator.service
        done = [
            execution.started_at
            for report in service.standing_reports(dataset)
            if report.name.startswith("bulkpull")
            for execution in report.executions
            if is_done(report, execution, at=at)
        ]
        return max(done, default=None)

    async def remember(self) -> None:
        """What a report of today says."""
        for dataset in self.datasets:
            text = await self.simulator.csv(dataset)
            truths = self._truths.setdefault(dataset, [])
            if not truths or truths[-1] != (self.clock.now().date(), text):
                truths.append((self.clock.now().date(), text))

    def check_current(self, dataset: str, newest: datetime | None) -> None:
        """The current snapshot says what the service said, on the day of the newest execution or later."""
        snapshot = Current.load(LocalStore(self.output)).datasets.get(dataset)
        if snapshot is None:
            assert newest is None, f"{dataset}: nothing is published, and there was something"
            return
        manifest = load_manifest(LocalStore(self.output), snapshot.run_id)
        assert manifest is not None
        truths = reversed(self._truths[dataset])
        day = next((day for day, text in truths if self.holds(manifest, dataset, text)), None)
        assert day is not None, f"{dataset}: what is published was never what the service said"
        assert newest is None or day >= newest.date(), f"{dataset}: of {day}, and of {newest} was to be had"
        assert day >= self._published.get(dataset, day), f"{dataset}: older than the night before"
        self._published[dataset] = day

    def holds(self, manifest: Manifest, dataset: str, text: bytes) -> bool:
        try:
            assert_holds_what_the_csv_said(self.output, manifest, dataset, text)
        except AssertionError:
            return False
        return True

    def columns(self, dataset: str) -> set[str]:
        """The columns that readers find."""
        return set(pl.read_parquet(self.output / "latest" / dataset / "*.parquet").columns)

    def standing(self, dataset: str) -> StoredReport:
        """The one scheduled report of ours."""
        (report,) = (
            item for item in self.simulator.service.standing_reports(dataset) if item.name.startswith("bulkpull")
        )
        return report

    def objects(self) -> tuple[Counter[str], Counter[str]]:
        """How many queries and reports the service holds for each dataset, whoever made them."""
        service = self.simulator.service
        queries = [query for query in service.queries.values() if not query.is_system]
        return (
            Counter(service.dataset_of_query(query.query_id) or "" for query in queries),
            Counter(report.dataset for report in service.reports.values()),
        )

    def check_objects(self) -> None:
        """One query and one scheduled report for each dataset, and nothing else of ours."""
        one_each = Counter(dict.fromkeys(self.datasets, 1))
        assert self.objects() == (one_each, one_each)
        assert {self.standing(dataset).status for dataset in self.datasets} == {"Active"}


def is_done(report: StoredReport, execution: StoredExecution, *, at: datetime) -> bool:
    return report.status_of(execution, now=at) == "Completed"


def service_of(datasets: tuple[str, ...], **changes: Any) -> Scenario:
    given: dict[str, Any] = {"rows": 12, "refreshes": True, "latency_s": (60.0, 1_800.0), "one_off_quota": 5}
    return Scenario(datasets=datasets, **(given | changes))


@asynccontextmanager
async def nights_of(folder: Path, datasets: tuple[str, ...], **changes: Any) -> AsyncIterator[Nights]:
    """A service, and an output folder that is still empty."""
    clock = FakeClock()
    async with Simulator(service_of(datasets, **changes), clock=clock) as simulator:
        yield Nights(simulator, clock, folder / "out", datasets)


@pytest.mark.behaviour(85, 112, 118, 142)
async def test_the_first_night_asks_for_data_at_once_and_later_ones_create_nothing(tmp_path: Path) -> None:
    async with nights_of(tmp_path, FEW) as nights:
        first = await nights.night()
        made = nights.objects()
        later = await nights.nights(7)
        service = nights.simulator.service

        assert {record.status for record in first.datasets} == {"complete"}
        assert nights.objects() == made
        nights.check_objects()
        assert service.created_reports == Counter(dict.fromkeys(FEW, 2))  # a one-off report and the standing one
        assert service.created_queries == Counter(dict.fromkeys(FEW, 1))
    reported = Counter(
        record.dataset for manifest in later for record in manifest.datasets if record.status == "complete"
    )
    assert reported == {"Profile": 6, "OfficeUsage": 2, "AzureUsage": 2, "CLASAzurePropensity": 1}
    assert {manifest.exit_code for manifest in later} == {0}


@pytest.mark.behaviour(153)
async def test_ids_that_listings_spell_in_another_case_are_those_of_our_reports(tmp_path: Path) -> None:
    async with nights_of(tmp_path, FEW[:2], id_casing="mixed") as nights:
        await nights.night()
        made = nights.objects()
        later = await nights.nights(3)
        service = nights.simulator.service

        assert nights.objects() == made
        assert service.created_reports == Counter(dict.fromkeys(FEW[:2], 2))
        assert service.created_queries == Counter(dict.fromkeys(FEW[:2], 1))
    assert {manifest.exit_code for manifest in later} == {0}
    ids = [record.report_id for manifest in later for record in manifest.datasets]
    assert ids == [report_id and report_id.lower() for report_id in ids]  # as they were first spelled


@pytest.mark.behaviour(97, 133)
async def test_an_execution_whose_file_is_gone_is_made_good_by_a_one_off_report_the_same_night(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with nights_of(tmp_path, ("Profile",)) as nights:
        await nights.night()
        service = nights.simulator.service
        (standing,) = service.standing_reports("Profile")
        extract_of = type(service).extract_of

        def extract_if_kept(self: Service, execution_id: str) -> Extract | None:
            is_gone = execution_id in {execution.execution_id for execution in standing.executions}
            return None if is_gone else extract_of(self, execution_id)

        monkeypatch.setattr(type(service), "extract_of", extract_if_kept)
        second = await nights.night()

        assert service.created_reports == Counter({"Profile": 3})
        nights.check_objects()
    (record,) = second.datasets
    assert record.status == "complete"
    assert record.decision is not None
    assert record.decision.action == "order_report"
    assert any("a one-off report is created instead" in note for note in record.notes)


async def test_a_night_with_nothing_new_costs_three_calls_and_says_why(tmp_path: Path) -> None:
    async with nights_of(tmp_path, FEW) as nights:
        await nights.nights(2)
        nights.clock.advance(-DAY.total_seconds() + 3_600)  # an hour after the second night
        before = nights.objects()
        again = await nights.night()

        assert nights.objects() == before
    assert [record.status for record in again.datasets] == ["skipped"] * 4
    assert all("newer than" in (record.reason or "") for record in again.datasets)
    assert again.requests.total - again.requests.by_endpoint["token"] <= 3


@pytest.mark.case("C19")
async def test_a_time_ahead_of_the_services_clock_is_not_believed_and_later_nights_go_on(tmp_path: Path) -> None:
    """One 2099 among the times must not make every later execution look old."""
    async with nights_of(tmp_path, ("Profile",)) as nights:
        await nights.nights(2)
        before = nights.looked_at("Profile")
        nights.simulator.arm(Fault("generated_time_odd", args={"value": "2099-01-01T00:00:00Z"}))
        (odd,) = (await nights.night()).datasets
        doubted = nights.looked_at("Profile")
        later = [(await nights.night()).datasets[0] for _ in range(3)]
        believed = nights.looked_at("Profile")

    assert (odd.status, odd.generated_at, odd.unbelieved_at) == ("complete", None, datetime(2099, 1, 1, tzinfo=UTC))
    assert "ahead of its own clock" in " ".join(odd.notes)
    assert doubted == before
    assert [record.status for record in later] == ["complete"] * 3
    assert {record.unbelieved_at for record in later} == {None}
    assert believed is not None
    assert before is not None
    assert believed > before


@pytest.mark.case("C19")
async def test_a_time_of_2099_that_an_older_version_believed_ends_no_night(tmp_path: Path) -> None:
    async with nights_of(tmp_path, ("Profile",)) as nights:
        manifest = await nights.night()
        (record,) = manifest.datasets
        manifest.datasets = [record.model_copy(update={"generated_at": datetime(2099, 1, 1, tzinfo=UTC)})]
        manifest.save(LocalStore(nights.output))

        later = [(await nights.night()).datasets[0] for _ in range(3)]

    # Tonight's data are still the published ones; from the next execution on there is news each night.
    assert [record.status for record in later] == ["skipped", "complete", "complete"]


async def pause(nights: Nights) -> None:
    nights.simulator.service.report_store.pause(nights.standing("OfficeUsage").report_id)


async def delete(nights: Nights) -> None:
    nights.simulator.service.report_store.delete(nights.standing("OfficeUsage").report_id)


async def exhaust(nights: Nights) -> None:
    nights.simulator.service.report_store.exhaust(nights.standing("OfficeUsage").report_id)


async def lose_query(nights: Nights) -> None:
    nights.simulator.service.delete_query(nights.standing("OfficeUsage").query_id)


async def add_column(nights: Nights) -> None:
    nights.simulator.service.drift("OfficeUsage", ColumnDrift(added=("NewColumn",)))


async def rename_column(nights: Nights) -> None:
    nights.simulator.service.drift("OfficeUsage", ColumnDrift(renamed={"CustomerTpid": "Tpid"}))


MISFORTUNES = [pause, delete, exhaust, lose_query, add_column, rename_column]


@pytest.mark.behaviour(76, 88, 89, 105, 110)
@pytest.mark.parametrize("befall", MISFORTUNES)
async def test_a_standing_report_of_no_use_is_replaced_and_the_data_come_again(tmp_path: Path, befall: Any) -> None:
    async with nights_of(tmp_path, FEW[:2]) as nights:
        await nights.nights(2)
        old = nights.standing("OfficeUsage").report_id
        await befall(nights)
        manifests = await nights.nights(5)

        assert nights.standing("OfficeUsage").report_id != old
        nights.check_objects()
        listed = {column.name for column in nights.simulator.service.tables["OfficeUsage"].columns}
        assert nights.columns("OfficeUsage") == listed
    assert {manifest.exit_code for manifest in manifests} == {0}, [
        record.reason for manifest in manifests for record in manifest.datasets
    ]
    reported = Counter(
        record.dataset for manifest in manifests for record in manifest.datasets if record.status == "complete"
    )
    assert reported["Profile"] >= 4
    assert reported["OfficeUsage"] >= 1


@pytest.mark.fault(8)
async def test_a_standing_report_that_a_killed_night_never_heard_of_is_replaced_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its query is of yesterday's columns, so that only the ledger can tell that it is ours."""
    plain, scope = DecisionExecutor.create_scheduled_report, anyio.CancelScope()

    async def create(executor: DecisionExecutor, pull: Pull) -> Report:
        report = await plain(executor, pull)
        if pull.dataset == "OfficeUsage":
            scope.cancel()
            await anyio.lowlevel.checkpoint()
        return report

    async with nights_of(tmp_path, FEW) as nights:
        with monkeypatch.context() as patched, scope:
            patched.setattr(DecisionExecutor, "create_scheduled_report", create)
            await nights.night()
        lost = nights.standing("OfficeUsage").report_id
        await add_column(nights)
        nights.clock.advance(DAY.total_seconds())
        await nights.nights(2)

        assert nights.standing("OfficeUsage").report_id != lost
        assert {len(nights.simulator.service.standing_reports(dataset)) for dataset in FEW} == {1}


@pytest.mark.fault(105)
async def test_an_outage_of_a_whole_night_is_told_and_the_next_night_makes_up_for_it(tmp_path: Path) -> None:
    async with nights_of(tmp_path, FEW) as nights:
        await nights.nights(2)
        nights.simulator.arm(Fault("http_status", times=None, args={"status": 503}))
        before = nights.objects()
        lost = await nights.night(outage=True)
        nights.simulator.disarm_all()
        assert nights.objects() == before
        after = await nights.night()
        nights.check_objects()

    assert (lost.exit_code, {record.status for record in lost.datasets}) == (3, {"failed"})
    assert after.exit_code == 0


@pytest.mark.behaviour(85, 86)
async def test_many_nights_with_many_datasets_and_all_that_can_happen(tmp_path: Path) -> None:
    """
    The quotas are nearly used up by somebody else's reports, which are never touched.

    Twenty nights with twenty datasets under TRIALS=all; else something happens on every night, and to fewer datasets.
    """
    datasets = tuple(Simulator().service.tables) if THOROUGH else (*FEW, "MSLearn")
    step, outage_night, count = (2, 15, 20) if THOROUGH else (1, 8, 10)
    incidents = {2 + step * turn: incident for turn, incident in enumerate(MISFORTUNES)}
    async with nights_of(tmp_path, datasets, rows=6) as nights:
        service = nights.simulator.service
        for number in range(ACTIVE_REPORTS - len(datasets)):
            create_for_somebody(nights, number)
        theirs = set(service.reports)
        for number in range(count):
            if number in incidents:
                await incidents[number](nights)
            if number == outage_night:
                nights.simulator.arm(Fault("http_status", times=None, args={"status": 503}))
            manifest = await nights.night(outage=number == outage_night)
            nights.simulator.disarm_all()
            assert manifest.exit_code == (3 if number == outage_night else 0), (
                number,
                [record.reason for record in manifest.datasets if record.status == "failed"],
            )
            ours = {report_id for report_id in service.reports if report_id not in theirs}
            assert theirs <= set(service.reports)
            assert len(ours) <= len(datasets), f"night {number}: {len(ours)} reports"
            queries = [query for query in service.queries.values() if not query.is_system]
            assert len(queries) <= len(datasets) + 1, (number, sorted(query.name for query in queries))
        assert {nights.standing(dataset).status for dataset in datasets} == {"Active"}
        assert Current.load(LocalStore(nights.output)).datasets.keys() == set(datasets)


def create_for_somebody(nights: Nights, number: int) -> None:
    """A scheduled report that is none of ours."""
    service = nights.simulator.service
    shelf = service.query_store
    known = next((query for query in shelf.stored.values() if query.name == "Theirs"), None)
    query = known or shelf.keep(name="Theirs", text="SELECT MpnId FROM Profile", description=None)
    body = {"ReportName": f"Theirs_{number}", "QueryId": query.query_id, "RecurrenceInterval": 24}
    start = (nights.clock.now() + timedelta(hours=6)).strftime("%Y-%m-%dT%H:%M:%SZ")
    service.report_store.create(Fields(body | {"StartTime": start}), correlation_id="theirs")
