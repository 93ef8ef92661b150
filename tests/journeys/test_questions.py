"""What is published answers the question that its label tells; another question is always asked."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anyio
import polars as pl
import pytest
from journeys.kit import ACCOUNT, killed_at, lose, settings_for
from support import FakeClock

from bulkpull.custom_query import Selection
from bulkpull.events import Event, Events
from bulkpull.model import Window
from bulkpull.output.current import Current
from bulkpull.output.manifest import DatasetRecord, Manifest
from bulkpull.output.store import LocalStore
from bulkpull.pipeline.request import ExportRequest, create_request
from bulkpull.pipeline.run import Run
from bulkpull.simulator import ColumnDrift, Scenario, Simulator

SERVICE = Scenario(datasets=("OfficeUsage", "Profile"), rows=60)
WINDOW = Window(datetime(2026, 9, 1, tzinfo=UTC), datetime(2026, 10, 1, tzinfo=UTC))


class Folder:
    """An output folder, and the commands that fill it from one service."""

    def __init__(self, simulator: Simulator, output: Path) -> None:
        self.simulator, self.output, self.clock = simulator, output, FakeClock()

    async def run(
        self,
        *datasets: str,
        resume: str | None = None,
        window: Window | None = None,
        nightly: bool = False,
        submit_only: bool = False,
        listener: Any = None,
        selection: Selection | None = None,
        **changes: Any,
    ) -> Manifest:
        self.clock.advance(1)  # no two runs begin in the same second
        settings = settings_for(self.simulator, self.output, **changes)
        request = ExportRequest(datasets, window=window, nightly=nightly, submit_only=submit_only)
        if selection is not None:
            request = create_request((), settings=settings, selections=(selection,), nightly=nightly, window=window)
        events = Events(*([listener] if listener else []))
        return await Run(request, settings, events, clock=self.clock, resume=resume, account=ACCOUNT).export()

    def current(self, dataset: str) -> dict[str, Any]:
        reported: dict[str, Any] = json.loads((self.output / "current.json").read_text())["datasets"][dataset]
        return reported

    def check_labels(self, manifest: Manifest, dataset: str) -> DatasetRecord:
        """The record, the pointer and the files tell the same question."""
        (record,) = (item for item in manifest.datasets if item.dataset == dataset)
        current = self.current(dataset)
        names = ("question", "question_sha256", "query", "timespan", "window", "rows")
        written = record.model_dump(include=set(names))
        assert {name: current[name] for name in names} == json.loads(json.dumps(written))
        reported = pl.read_parquet_metadata(self.output / record.files[0].path)
        window = written["window"] or {"start": "", "end": ""}
        assert reported["bulkpull.question_sha256"] == record.question_sha256
        assert reported["bulkpull.timespan"] == (record.timespan or "")
        assert (reported["bulkpull.window_start"], reported["bulkpull.window_end"]) == (window["start"], window["end"])
        assert (record.timespan is None) or (record.window is None)
        return record


@pytest.mark.case("N4", "N15")
@pytest.mark.parametrize(
    ("first", "label"),
    [
        ({"timespan": "LAST_MONTH"}, ("LAST_MONTH", None)),
        ({"window": WINDOW}, (None, WINDOW)),
        ({"window": WINDOW, "nightly": True}, (None, WINDOW)),
        ({"metrics": "none"}, ("LAST_6_MONTHS", None)),
    ],
)
async def test_what_another_question_published_is_no_answer_for_the_night(
    tmp_path: Path, first: dict[str, Any], label: Any
) -> None:
    async with Simulator(SERVICE) as simulator:
        folder = Folder(simulator, tmp_path / "out")
        before = folder.check_labels(await folder.run("OfficeUsage", **first), "OfficeUsage")
        assert (before.timespan, before.window) == label
        night = folder.check_labels(await folder.run("OfficeUsage", nightly=True), "OfficeUsage")
        again = folder.check_labels(await folder.run("OfficeUsage", nightly=True), "OfficeUsage")

    assert (night.status, night.timespan, night.window) == ("complete", "LAST_6_MONTHS", None)
    assert night.question_sha256 != before.question_sha256
    assert (again.status, again.question_sha256) == ("skipped", night.question_sha256)


@pytest.mark.case("N4")
async def test_three_nights_over_another_span_publish_that_span_alone(tmp_path: Path) -> None:
    """Executions of the report of the first span were published under the label of the second."""
    async with Simulator(SERVICE) as simulator:
        folder = Folder(simulator, tmp_path / "out")
        await folder.run("OfficeUsage", nightly=True)
        for _ in range(3):
            folder.clock.advance(86_400)
            manifest = await folder.run("OfficeUsage", nightly=True, timespan="LAST_MONTH")
            record = folder.check_labels(manifest, "OfficeUsage")
            assert (record.status, record.timespan) in [("complete", "LAST_MONTH"), ("skipped", "LAST_MONTH")]
        spans = [report.query_text for report in simulator.service.reports.values()]
    assert [span for span in spans if "LAST_MONTH" not in str(span)] == []


@pytest.mark.case("N4")
async def test_a_skipped_dataset_has_the_labels_of_the_snapshot_that_stays_current(tmp_path: Path) -> None:
    async with Simulator(SERVICE) as simulator:
        folder = Folder(simulator, tmp_path / "out")
        published = folder.check_labels(await folder.run("OfficeUsage", timespan="LAST_MONTH"), "OfficeUsage")
        submitted = await folder.run("OfficeUsage", submit_only=True)

    assert submitted.datasets[0].status == "skipped"
    assert folder.check_labels(submitted, "OfficeUsage").question_sha256 == published.question_sha256


@pytest.mark.case("N4")
async def test_a_submitted_night_is_collected_as_what_it_asked_for(tmp_path: Path) -> None:
    async with Simulator(SERVICE) as simulator:
        folder = Folder(simulator, tmp_path / "out")
        submitted = await folder.run("OfficeUsage", nightly=True, submit_only=True)
        await folder.run("OfficeUsage", nightly=True, timespan="LAST_MONTH")
        collected = await folder.run("OfficeUsage", nightly=True, resume=submitted.run_id)

    assert folder.check_labels(collected, "OfficeUsage").timespan == "LAST_6_MONTHS"


@pytest.mark.case("N5")
async def test_what_a_killed_run_published_counts_only_while_the_pointer_names_it(tmp_path: Path) -> None:
    def kill(event: Event) -> None:
        if event.name == "snapshot.published":
            killed.cancel()

    async with Simulator(SERVICE) as simulator:
        folder = Folder(simulator, tmp_path / "out")
        with anyio.CancelScope() as killed:
            await folder.run("OfficeUsage", "Profile", listener=kill)
        assert killed.cancelled_caught
        # The run was killed at its first publication; the second may have been under way, and a publication finishes.
        for dataset in Current.load(LocalStore(folder.output)).datasets:
            await folder.run(dataset, timespan="LAST_MONTH" if dataset == "OfficeUsage" else "LAST_6_MONTHS")
        finished = await folder.run("OfficeUsage", "Profile")

    assert [record.status for record in finished.datasets] == ["complete", "complete"]
    record = folder.check_labels(finished, "OfficeUsage")
    assert (record.timespan, record.window) == ("LAST_6_MONTHS", None)
    assert {item.run_id for item in Current.load(LocalStore(folder.output)).datasets.values()} == {finished.run_id}


@pytest.mark.case("N11")
async def test_monthly_reports_of_a_killed_run_serve_another_command_over_the_same_months(tmp_path: Path) -> None:
    months = Window(datetime(2025, 5, 1, tzinfo=UTC), datetime(2026, 11, 1, tzinfo=UTC))
    clock = FakeClock()
    async with Simulator(
        replace(SERVICE, datasets=("AzureUsage", "Profile"), latency_s=(60.0, 60.0)), clock=clock
    ) as simulator:
        settings = settings_for(simulator, tmp_path / "out")
        killed = Run(
            ExportRequest(("AzureUsage",), window=months),
            settings,
            Events(killed_at("execution.changed")),
            clock=clock,
            account=ACCOUNT,
        )
        await lose(killed)
        left = set(simulator.service.reports)
        assert left
        clock.advance(60)
        both = ExportRequest(("AzureUsage", "Profile"), window=months)
        manifest = await Run(both, settings, Events(), clock=clock, account=ACCOUNT).export()

        assert simulator.service.reports == {}
        created = simulator.service.created_reports["AzureUsage"]
    (record,) = (record for record in manifest.datasets if record.dataset == "AzureUsage")
    assert record.status == "complete"
    assert record.decision is not None
    assert record.decision.action == "collect_report"
    assert created == len(record.parts) > 1
    assert left <= {part.report_id for part in record.parts}


@pytest.mark.case("N12")
async def test_a_changed_custom_query_is_not_judged_against_the_old_one(tmp_path: Path) -> None:
    none = {"where": "MpnId = '0'"}
    async with Simulator(SERVICE) as simulator:
        folder = Folder(simulator, tmp_path / "out")
        await folder.run(selection=Selection(name="mine", dataset="OfficeUsage", select="MpnId, Month"))
        empty = await folder.run(
            selection=Selection(name="mine", dataset="OfficeUsage", select="MpnId, Month", **none), on_shrink="hold"
        )
        other = await folder.run(
            selection=Selection(name="mine", dataset="OfficeUsage", select="Month"), on_drift="fail"
        )

    assert (empty.datasets[0].status, empty.datasets[0].rows) == ("complete", 0)
    assert other.datasets[0].status == "complete"
    assert other.datasets[0].drift is None


@pytest.mark.case("N12")
async def test_drift_is_told_against_the_last_snapshot_of_the_same_question_whatever_came_between(
    tmp_path: Path,
) -> None:
    async with Simulator(SERVICE) as simulator:
        folder = Folder(simulator, tmp_path / "out")
        await folder.run("OfficeUsage")
        await folder.run("OfficeUsage", window=WINDOW)
        simulator.service.drift("OfficeUsage", ColumnDrift(added=("NewColumn",)))
        manifest = await folder.run("OfficeUsage")

    drift = manifest.datasets[0].drift
    assert drift is not None
    assert drift.appeared == ["NewColumn"]


@pytest.mark.case("N15")
async def test_a_column_that_is_renamed_in_case_only_is_no_drift(tmp_path: Path) -> None:
    async with Simulator(SERVICE) as simulator:
        folder = Folder(simulator, tmp_path / "out")
        before = await folder.run("OfficeUsage")
        name = before.datasets[0].columns[0].name
        simulator.service.drift("OfficeUsage", ColumnDrift(renamed={name: name.upper()}))
        manifest = await folder.run("OfficeUsage", on_drift="fail")

    assert (manifest.datasets[0].status, manifest.datasets[0].drift) == ("complete", None)


@pytest.mark.case("W8")
async def test_a_window_takes_the_place_of_the_dataset_with_a_note_and_the_next_night_asks_at_once(
    tmp_path: Path,
) -> None:
    async with Simulator(SERVICE) as simulator:
        folder = Folder(simulator, tmp_path / "out")
        await folder.run("OfficeUsage", nightly=True)
        window = await folder.run("OfficeUsage", window=WINDOW)
        night = await folder.run("OfficeUsage", nightly=True)
        created = Counter(simulator.service.created_reports)

    notes = [note for note in window.datasets[0].notes if "--as" in note]
    assert notes
    assert "2026-09-01" in notes[0]
    assert night.datasets[0].status == "complete"
    assert created["OfficeUsage"] == 4  # a scheduled report, and three that run once
