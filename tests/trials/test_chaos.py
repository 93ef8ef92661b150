"""
Chaos in virtual time: exports, interruptions, faults, days that pass and columns that drift, in any order.

After every step readers find whole snapshots of what the service really had, and nothing that was ever published is
lost; in the end one undisturbed export brings the newest data. Short by default, with conversions in this process;
TRIALS=all makes it long, and lets child processes convert.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from datetime import datetime
from pathlib import Path

import anyio
import polars as pl
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from journeys.kit import assert_holds_what_the_csv_said, settings_for
from support import THOROUGH, FakeClock
from trials.programs import runs_in
from trials.readers import check_readers, check_tidiness

from bulkpull.events import Event, Events
from bulkpull.output.manifest import DatasetRecord, Manifest
from bulkpull.pipeline.request import ExportRequest
from bulkpull.pipeline.run import Run
from bulkpull.simulator import ColumnDrift, Fault, Scenario, Simulator

DATASETS = ("Profile", "OfficeUsage")
ONCE = [
    Fault("reset_after_acting", endpoint="POST ScheduledReport"),
    Fault("reset_after_acting", endpoint="POST ScheduledQueries"),
    Fault("acts_twice", endpoint="POST ScheduledReport"),
    Fault("query_vanishes"),
    Fault("report_vanishes"),
    Fault("execution_stuck"),
    Fault("execution_fails"),
    Fault("execution_paused"),
    Fault("link_expired"),
    Fault("cut_after_bytes", args={"after": 300}),
    Fault("link_expires_mid_file", args={"after": 300}),
    Fault("etag_changes"),
    Fault("md5_wrong"),
    Fault("bad_crc"),
    Fault("short_row"),
    Fault("throttle", times=3),
    Fault("http_status", endpoint="DELETE ScheduledReport", args={"status": 503}),
    Fault("http_status", times=40, args={"status": 503}),
    Fault("token_refused"),
]


class Chaos(RuleBasedStateMachine):
    """One service, one output folder, one clock."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.Runner()
        self.folder = Path(tempfile.mkdtemp(prefix="bulkpull-chaos-"))
        self.output = self.folder / "out"
        self.known: dict[str, list[pl.DataFrame]] = {}
        self.moments: set[datetime] = set()
        self.drifted = 0

    @initialize()
    def begin(self) -> None:
        """A service whose data change with time."""
        self.clock = FakeClock()
        scenario = Scenario(rows=12, datasets=DATASETS, refreshes=True, latency_s=(30.0, 300.0))
        self.simulator = Simulator(scenario, clock=self.clock)
        self.loop.run(self.simulator.__aenter__())

    @rule(fault=st.sampled_from(ONCE))
    def something_is_about_to_go_wrong(self, fault: Fault) -> None:
        self.simulator.arm(fault)

    @rule(hours=st.sampled_from([1, 30, 24 * 8]))
    def time_passes(self, hours: int) -> None:
        self.clock.advance(3_600 * hours)

    @rule()
    def a_column_appears(self) -> None:
        self.drifted += 1
        self.simulator.service.drift("OfficeUsage", ColumnDrift(added=(f"NewColumn{self.drifted}",)))

    @rule()
    def it_runs(self) -> None:
        self.loop.run(self.exported())

    @rule(events=st.integers(1, 60))
    def it_is_interrupted(self, events: int) -> None:
        self.loop.run(self.exported(cancel_after=events))

    @rule(events=st.integers(-1, 60))
    def a_night_comes(self, events: int) -> None:
        self.clock.advance(24 * 3_600)
        self.loop.run(self.exported(nightly=True, cancel_after=events))

    @rule(dataset=st.sampled_from(DATASETS), how=st.sampled_from(["pause", "delete", "exhaust"]))
    def somebody_spoils_a_standing_report(self, dataset: str, how: str) -> None:
        service = self.simulator.service
        self.remember()
        for report in service.standing_reports(dataset):
            if how == "pause":
                service.report_store.pause(report.report_id)
            elif how == "delete":
                service.report_store.delete(report.report_id)
            else:
                service.report_store.exhaust(report.report_id)

    @invariant()
    def readers_find_whole_snapshots_and_nothing_is_lost(self) -> None:
        if self.known:
            found = check_readers(self.output, self.known, published=True)
            assert found.keys() == self.known.keys()

    def teardown(self) -> None:
        try:
            self.simulator.disarm_all()
            manifest = self.loop.run(self.exported())
            assert manifest is not None
            assert manifest.status == "complete", [record.reason for record in manifest.datasets]
            found = check_readers(self.output, self.known, published=True)
            assert found == {dataset: len(self.known[dataset]) - 1 for dataset in DATASETS}
            check_tidiness(self.output, unfinished=unfinished_runs(self.output))
            # What was cut off may be resumed for a day; then the next night clears up after it.
            self.clock.advance(2 * 24 * 3_600)
            manifest = self.loop.run(self.exported(nightly=True))
            assert manifest is not None
            assert manifest.exit_code == 0, [record.reason for record in manifest.datasets]
            self.check_service()
        finally:
            self.loop.run(self.simulator.__aexit__(None, None, None))
            self.loop.close()
            shutil.rmtree(self.folder)

    def check_service(self) -> None:
        """Nothing of ours is left but a scheduled report a dataset, at most, and the queries."""
        service = self.simulator.service
        assert [report.name for report in service.reports.values() if not report.is_standing] == []
        for dataset in DATASETS:
            assert len(service.standing_reports(dataset)) <= 1

    async def exported(self, *, nightly: bool = False, cancel_after: int = -1) -> Manifest | None:
        """Export, up to so many events; what is published is held against what the service has had."""
        self.remember()
        scope = anyio.CancelScope()
        left = cancel_after

        def listen(_: Event) -> None:
            nonlocal left
            left -= 1
            if left == 0:
                scope.cancel()

        settings = settings_for(
            self.simulator, self.output, report_timeout_seconds=3_600.0, poll_max_seconds=60.0, poll_initial_seconds=5.0
        )
        run = Run(ExportRequest(DATASETS, nightly=nightly), settings, Events(listen), clock=self.clock)
        with scope:
            await run.export()
        self.remember()
        if run.manifest is not None:
            for record in run.manifest.datasets:
                if record.status in ("complete", "skipped"):
                    await self.check_truth(run.manifest, record)
        return run.manifest

    def remember(self) -> None:
        """The moments whose data may be published."""
        self.moments |= {execution.started_at for execution in self.simulator.service.executions} | {self.clock.now()}

    async def check_truth(self, manifest: Manifest, record: DatasetRecord) -> None:
        """A snapshot holds what a report said that began at some moment."""
        columns = [column.name for column in record.columns]
        texts = {await self.simulator.csv(record.dataset, columns, at=moment) for moment in self.moments}
        assert any(self.holds(manifest, record.dataset, text) for text in texts), "it never was the service's data"
        frame = pl.read_parquet([self.output / file.path for file in record.files], glob=False)
        # The same data may be published again after others: the last published stand last.
        seen = self.known.get(record.dataset, [])
        self.known[record.dataset] = [*(known for known in seen if not frame.equals(known)), frame]

    def holds(self, manifest: Manifest, dataset: str, text: bytes) -> bool:
        """Whether the snapshot says what this text does."""
        try:
            assert_holds_what_the_csv_said(self.output, manifest, dataset, text)
        except AssertionError:
            return False
        return True


def unfinished_runs(output: Path) -> set[str]:
    """Those that were cut off, and may be resumed by name."""
    return {run_id for run_id, status in runs_in(output) if status in (None, "interrupted")}


TestChaos = Chaos.TestCase
TestChaos.settings = settings(
    max_examples=40 if THOROUGH else 5,
    stateful_step_count=14 if THOROUGH else 8,
    deadline=None,
    derandomize=not THOROUGH,
    database=None,
    suppress_health_check=list(HealthCheck),
)
TestChaos.pytestmark = [  # type: ignore[attr-defined]
    *([pytest.mark.child_processes] if THOROUGH else []),
    pytest.mark.timeout(7_200 if THOROUGH else 600),
    pytest.mark.fault(8, 95),
]
