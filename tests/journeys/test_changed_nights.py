"""Nights in which somebody or something else changes what the last night left: data come all the same, with a note."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from journeys.kit import ACCOUNT, killed_at, lose, settings_for
from support import FakeClock

from bulkpull.events import Events
from bulkpull.output.current import Current
from bulkpull.output.freshness import find_freshness
from bulkpull.output.ledger import opened_ledger
from bulkpull.output.ledger_facts import ScheduledReportFacts
from bulkpull.output.manifest import DatasetRecord, Manifest
from bulkpull.output.store import LocalStore
from bulkpull.pipeline.request import ExportRequest
from bulkpull.pipeline.run import Run
from bulkpull.simulator import ColumnDrift, Fault, Scenario, Simulator
from bulkpull.simulator.entities import StoredReport

DATASET = "OfficeUsage"
PATIENT: dict[str, Any] = {"report_timeout_seconds": 10_800.0}
SERVICE: dict[str, Any] = {"datasets": (DATASET, "Profile"), "rows": 12, "refreshes": True, "latency_s": (60.0, 600.0)}

LISTS = [
    Fault("http_status", endpoint="GET ScheduledReport", times=None, args={"status": 403}),
    Fault("null_value", endpoint="GET ScheduledReport", times=None),
]


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

    def newest(self, dataset: str) -> datetime:
        """When the newest execution of its scheduled report was completed."""
        (report,) = self.scheduled(dataset)
        done = [at for execution in report.executions if (at := report.completed_at(execution))]
        return max(item for item in done if item <= self.clock.now())


@asynccontextmanager
async def nights_of(tmp_path: Path, **changes: Any) -> AsyncIterator[Nights]:
    clock = FakeClock()
    async with Simulator(Scenario(**(SERVICE | changes)), clock=clock) as simulator:
        yield Nights(simulator, clock, tmp_path / "out")


def the(manifest: Manifest, dataset: str = DATASET) -> DatasetRecord:
    (record,) = (item for item in manifest.datasets if item.dataset == dataset)
    return record


def notes_of(record: DatasetRecord) -> str:
    return " | ".join([*record.notes, record.reason or ""])


def edit_interval(report: StoredReport, _: Nights) -> None:
    report.interval_h, report.start_at = 2_160, report.start_at + timedelta(days=30)


def delete_query(report: StoredReport, nights: Nights) -> None:
    nights.simulator.service.delete_query(report.query_id)


def pause(report: StoredReport, nights: Nights) -> None:
    nights.simulator.service.report_store.pause(report.report_id)


def delete(report: StoredReport, nights: Nights) -> None:
    nights.simulator.service.report_store.delete(report.report_id)


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
        assert "report" in notes_of(second)
        assert (second.status, second.due_at) == ("complete", None) or "already published" in notes_of(second)
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
        assert words in notes_of(second)
        assert "one-off" in notes_of(second)
        nights.simulator.disarm_all()
        third = the(await nights.night())

        assert third.status in ("complete", "skipped")
        assert len(nights.scheduled()) == 1
    assert second.status == "complete" or "already published" in notes_of(second)


@pytest.mark.case("N3")
async def test_the_age_is_measured_by_the_last_execution_that_was_due(tmp_path: Path) -> None:
    """A night that finds the execution still under way has seen older data than were due."""
    async with nights_of(tmp_path) as nights:
        first = await nights.night()
        nights.simulator.arm(Fault("execution_stuck", times=1, args={"reads": None}))
        nights.scheduled()
        record = the(await nights.night(report_timeout_seconds=100_000.0))

    assert (record.status, record.due_at is not None) == ("skipped", True)
    (freshness,) = find_freshness(LocalStore(nights.output))
    assert freshness.checked_at is not None
    assert freshness.checked_at == first.finished_at


@pytest.mark.case("N7")
@pytest.mark.parametrize("fault", LISTS, ids=["403", "null"])
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

        nights.simulator.service.report_store.delete(shared.report_id)  # its maker takes it away
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
        nights.simulator.service.report_store.delete(shared.report_id)
        record = the(await nights.night(output=other))

    assert record.status == "complete" or "already published" in notes_of(record)
    assert "its scheduled report is gone" in notes_of(record)


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
    assert "no scheduled report could" not in notes_of(the(manifest))


@pytest.mark.case("N16")
async def test_a_scheduled_report_is_still_its_makers_after_the_ledger_forgot_the_run_that_created_it(
    tmp_path: Path,
) -> None:
    async with nights_of(tmp_path) as nights:
        await nights.night(DATASET, "Profile", day=False)
        private = nights.output / ".bulkpull"
        for _ in range(2):
            nights.clock.advance(86_400)
            await nights.night(DATASET, day=False)
        async with opened_ledger(private) as ledger:
            runs = await ledger.runs()
            await ledger.prune(
                before=datetime(2100, 1, 1, tzinfo=UTC), keep={runs[0].run_id}, keep_last=ScheduledReportFacts
            )
            assert len(await ledger.runs()) == 1
        (old,), (idle,) = nights.scheduled(), nights.scheduled("Profile")
        manifest = await nights.night(day=False, timespan="LAST_MONTH")

        (new,) = nights.scheduled()
    assert new.report_id != old.report_id
    assert [note for note in manifest.notes if idle.report_id in note]


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
        theirs = service.query_store.keep(name="Theirs", text=text, description=None)
        ours.query_id, ours.query_text = theirs.query_id, theirs.text
        ours.parsed = service.query_store.parse(text)
        record = the(await nights.night(output=tmp_path / "other"))

        assert ours.report_id in service.reports
    assert record.execution_id not in {execution.execution_id for execution in ours.executions}
    assert "left alone" in notes_of(record)


@pytest.mark.case("N15")
async def test_another_lead_and_another_name_are_seen(tmp_path: Path) -> None:
    async with nights_of(tmp_path) as nights:
        await nights.night()
        (report,) = nights.scheduled()
        report.name = "Weekly"
        await nights.night()
        assert [item.report_id for item in nights.scheduled()] == [report.report_id]

        await nights.night(standing_lead_hours=8.0)
        (moved,) = nights.scheduled()
    assert moved.report_id != report.report_id


@pytest.mark.case("N6")
async def test_a_night_that_was_cut_off_is_followed_by_one_that_looks_at_every_dataset(tmp_path: Path) -> None:
    """What it had published a day ago was taken for an answer, although a newer execution lay ready."""
    async with nights_of(tmp_path) as nights:
        await nights.night(DATASET, "Profile")
        cut = killed_at("snapshot.published")
        settings = settings_for(nights.simulator, nights.output, **PATIENT)
        request = ExportRequest((DATASET, "Profile"), nightly=True)
        nights.clock.advance(3 * 86_400.0)  # the data of both have changed
        await lose(Run(request, settings, Events(cut), clock=nights.clock, account=ACCOUNT))
        before = {name: item.run_id for name, item in Current.load(LocalStore(nights.output)).datasets.items()}
        created = Counter(nights.simulator.service.created_reports)
        cut_off = max(before.values())  # it published one dataset, or the other one as well in the same moment
        nights.clock.advance(timedelta(hours=23, minutes=58).total_seconds())
        ready = {name: nights.newest(name) for name in (DATASET, "Profile")}
        manifest = await nights.night(DATASET, "Profile")

        assert nights.simulator.service.created_reports == created
    current = Current.load(LocalStore(nights.output)).datasets
    assert manifest.run_id not in before.values()
    for name, newest in ready.items():
        record = the(manifest, name)
        assert record.status == "complete" or "already published" in notes_of(record)
        assert record.generated_at == newest.replace(microsecond=0)
        if record.status == "complete":
            assert current[name].run_id == manifest.run_id
    assert any(cut_off in note for note in manifest.notes)
    assert not list((nights.output / ".bulkpull" / "staging").iterdir())


@pytest.mark.case("N7")
@pytest.mark.parametrize("fault", LISTS, ids=["403", "null"])
async def test_an_export_without_the_list_of_reports_takes_up_what_its_ledger_knows(
    tmp_path: Path, fault: Fault
) -> None:
    """Everything was created a second time."""
    async with nights_of(tmp_path) as nights:
        cut = killed_at("execution.changed")
        settings = settings_for(nights.simulator, nights.output, **PATIENT)
        await lose(Run(ExportRequest((DATASET,)), settings, Events(cut), clock=nights.clock, account=ACCOUNT))
        assert nights.simulator.service.created_reports[DATASET] == 1
        nights.simulator.arm(fault)
        manifest = await Run(
            ExportRequest((DATASET,)), settings, Events(), clock=nights.clock, account=ACCOUNT
        ).export()

        assert nights.simulator.service.created_reports[DATASET] == 1
    assert the(manifest).status == "complete"
    assert "does not tell which reports there are" in " ".join(manifest.notes)


@pytest.mark.case("N14", "N4")
async def test_a_time_span_that_is_withdrawn_or_added_costs_no_night_and_mislabels_nothing(tmp_path: Path) -> None:
    async with nights_of(tmp_path) as nights:
        await nights.night(day=False)
        tables = nights.simulator.service.tables
        whole = tables[DATASET]
        for ranges, span in ((("LAST_MONTH", "LAST_3_MONTHS"), "LAST_3_MONTHS"), (whole.date_ranges, "LAST_6_MONTHS")):
            tables[DATASET] = replace(whole, date_ranges=ranges)
            nights.clock.advance(86_400)
            record = the(await nights.night(day=False))
            assert (record.status, record.timespan) == ("complete", span)
            assert f"TIMESPAN {span}" in str(record.query)
            (scheduled,) = nights.scheduled()
            assert f"TIMESPAN {span}" in str(scheduled.query_text)


@pytest.mark.case("N13")
async def test_a_scheduled_execution_that_is_held_back_stays_and_is_published_from_what_was_kept(
    tmp_path: Path,
) -> None:
    async with nights_of(tmp_path) as nights:
        await nights.night()
        (scheduled,) = nights.scheduled()
        service = nights.simulator.service
        service.scenario = replace(service.scenario, role="viewer", redaction="empty")
        nights.clock.advance(3 * 86_400)
        held = await nights.night(day=False, fail_on_redacted=True)
        record = the(held)
        assert record.status == "failed"
        assert f"bulkpull runs publish {held.run_id} {DATASET}" in str(record.reason)
        assert scheduled.report_id in service.reports
        created = Counter(service.created_reports)

        settings = settings_for(nights.simulator, nights.output, fail_on_redacted=True, **PATIENT)
        read: list[str] = []
        published = await Run(
            ExportRequest((DATASET,), nightly=True),
            settings,
            Events(lambda event: read.append(event.name)),
            clock=nights.clock,
            account=ACCOUNT,
            resume=held.run_id,
            published_anyway=(DATASET,),
        ).export()

        assert service.created_reports == created
    assert (the(published).status, the(published).execution_id) == ("complete", record.execution_id)
    assert "conversion.completed" not in read  # from what was converted already


@pytest.mark.case("N15")
async def test_reports_that_were_kept_on_purpose_stay_when_later_runs_keep_none(tmp_path: Path) -> None:
    async with nights_of(tmp_path) as nights:
        settings = settings_for(nights.simulator, nights.output, **PATIENT)

        async def export(*datasets: str, **changes: Any) -> Manifest:
            nights.clock.advance(60)
            run = Run(
                ExportRequest(datasets),
                settings.model_copy(update=changes),
                Events(),
                clock=nights.clock,
                account=ACCOUNT,
            )
            return await run.export()

        await export(DATASET, "Profile", keep_reports=True)
        kept = set(nights.simulator.service.reports)
        await export(DATASET)
        await export(DATASET, "Profile")

        assert set(nights.simulator.service.reports) == kept
    assert len(kept) == 2


@pytest.mark.case("N15")
async def test_raw_bytes_are_kept_of_everything_where_the_same_command_asks_for_them_in_the_end(
    tmp_path: Path,
) -> None:
    async with nights_of(tmp_path) as nights:
        cut = killed_at("snapshot.published")
        settings = settings_for(nights.simulator, nights.output, **PATIENT)
        request = ExportRequest((DATASET, "Profile"))
        await lose(Run(request, settings, Events(cut), clock=nights.clock, account=ACCOUNT))
        nights.clock.advance(60)
        keeping = settings.model_copy(update={"keep_raw": True})
        manifest = await Run(request, keeping, Events(), clock=nights.clock, account=ACCOUNT).export()

    assert {record.status for record in manifest.datasets} == {"complete"}
    for dataset in (DATASET, "Profile"):
        assert list((nights.output / "raw" / dataset / f"run={manifest.run_id}").iterdir())


@pytest.mark.case("N18")
@pytest.mark.parametrize("between", [None, "LAST_MONTH"], ids=["at once", "after data for another span"])
async def test_an_old_report_of_a_killed_export_does_not_replace_what_a_night_has_published_since(
    tmp_path: Path, between: str | None
) -> None:
    async with nights_of(tmp_path) as nights:
        await nights.night()
        settings = settings_for(nights.simulator, nights.output, **PATIENT)
        request = ExportRequest((DATASET,))
        cut = Events(killed_at("execution.changed"))
        await lose(Run(request, settings, cut, clock=nights.clock, account=ACCOUNT))
        nights.clock.advance(22 * 3_600)  # the scheduled report has been executed since
        undeletable = Fault("http_status", endpoint="DELETE ScheduledReport", times=None, args={"status": 403})
        nights.simulator.arm(undeletable)
        night = the(await nights.night(day=False))
        nights.clock.advance(60)
        if between is not None:
            other = settings.model_copy(update={"timespan": between})
            await Run(request, other, Events(), clock=nights.clock, account=ACCOUNT).export()
        nights.simulator.disarm_all()
        manifest = await Run(request, settings, Events(), clock=nights.clock, account=ACCOUNT).export()

        assert [report for report in nights.simulator.service.reports.values() if not report.is_standing] == []
    assert night.status == "complete" or "already published" in notes_of(night)
    assert str(the(manifest).generated_at) > str(night.generated_at)


@pytest.mark.case("N18")
async def test_a_night_after_another_question_takes_no_execution_older_than_the_last_answer(tmp_path: Path) -> None:
    async with nights_of(tmp_path) as nights:
        await nights.night()
        settings = settings_for(nights.simulator, nights.output, **PATIENT)
        whole, month = [
            await Run(
                ExportRequest((DATASET,)),
                settings.model_copy(update={"timespan": span}),
                Events(),
                clock=nights.clock,
                account=ACCOUNT,
            ).export()
            for span in (None, "LAST_MONTH")
        ]
        night = the(await nights.night())

    assert the(month).timespan == "LAST_MONTH"
    assert (night.status, night.timespan) == ("complete", "LAST_6_MONTHS")
    assert str(night.generated_at) > str(the(whole).generated_at)


@pytest.mark.case("N19")
async def test_a_submitted_night_leaves_the_execution_that_the_resumed_run_is_to_collect(tmp_path: Path) -> None:
    async with nights_of(tmp_path) as nights:
        await nights.night(day=False)
        nights.clock.advance(3 * 86_400)  # the data have changed
        (old,) = nights.scheduled()
        nights.simulator.service.report_store.pause(old.report_id)
        settings = settings_for(nights.simulator, nights.output, **PATIENT)
        request = ExportRequest((DATASET,), nightly=True, submit_only=True)
        submitted = await Run(request, settings, Events(), clock=nights.clock, account=ACCOUNT).export()
        assert "is ready" in str(the(submitted).reason)
        created = Counter(nights.simulator.service.created_reports)
        nights.clock.advance(60)
        collected = await Run(
            replace(request, submit_only=False),
            settings,
            Events(),
            clock=nights.clock,
            account=ACCOUNT,
            resume=submitted.run_id,
        ).export()

        assert nights.simulator.service.created_reports == created
        (new,) = nights.scheduled()
    assert the(collected).report_id == old.report_id != new.report_id
