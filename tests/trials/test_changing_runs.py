"""
Runs that change, in virtual time: commands, time spans, windows, filters, cuts, edits by others and days, in any order.

Every row of the simulated service tells which question made it. After every step what `current.json` names for a
dataset was made by the question that its label tells, for the account that the folder belongs to; in the end nothing of
ours stays on the service untold. Short by default; TRIALS=all makes it long.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anyio
import polars as pl
import pytest
from hypothesis import HealthCheck, note, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from journeys.kit import settings_for
from support import FakeClock

from bulkpull.custom_query import Selection
from bulkpull.errors import SettingsError
from bulkpull.events import Event, Events
from bulkpull.model import Window
from bulkpull.output.ledger import opened_ledger
from bulkpull.output.manifest import Manifest
from bulkpull.pipeline.request import ExportRequest, asked_for
from bulkpull.pipeline.run import Run
from bulkpull.simulator import Scenario, Simulator

DATASETS = ("Profile", "OfficeUsage")
THOROUGH = os.environ.get("TRIALS") == "all"
WINDOW = Window(datetime(2026, 9, 1, tzinfo=UTC), datetime(2026, 10, 1, tzinfo=UTC))
NAME = "mine"
QUESTIONS: list[dict[str, Any]] = [
    {},
    {"timespan": "LAST_MONTH"},
    {"window": WINDOW},
    {"datasets": DATASETS[:1]},
    {"datasets": DATASETS[1:]},
    {"where": "MpnId != '0'"},
    {"where": "MpnId != '1'"},
    {"metrics": "none"},
]
COMMANDS = ["export", "nightly", "submit_only"]


class ChangingRuns(RuleBasedStateMachine):
    """One service, one folder, one clock."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.Runner()
        self.folder = Path(tempfile.mkdtemp(prefix="bulkpull-changing-"))
        self.output = self.folder / "out"

    @initialize()
    def begin(self) -> None:
        """A service whose rows tell their origin."""
        self.clock = FakeClock()
        scenario = Scenario(rows=12, datasets=DATASETS, refreshes=True, latency_s=(30.0, 300.0), provenance=True)
        self.simulator = Simulator(scenario, clock=self.clock)
        self.loop.run(self.simulator.__aenter__())

    @rule(command=st.sampled_from(COMMANDS), question=st.sampled_from(QUESTIONS))
    def it_runs(self, command: str, question: dict[str, Any]) -> None:
        self.loop.run(self.carried_out(command, **question))

    @rule(command=st.sampled_from(COMMANDS), question=st.sampled_from(QUESTIONS), events=st.integers(1, 60))
    def it_is_cut_off(self, command: str, question: dict[str, Any], events: int) -> None:
        self.loop.run(self.carried_out(command, cancel_after=events, **question))

    @rule()
    def the_newest_run_is_resumed(self) -> None:
        self.loop.run(self.resumed())

    @rule()
    def another_account_tries(self) -> None:
        before = dict(self.simulator.service.created_reports)
        if (self.output / "current.json").exists():
            with pytest.raises(SettingsError, match="another account"):
                self.loop.run(self.carried_out("nightly", tenant_id="fabrikam.example"))
        assert self.simulator.service.created_reports == before

    @rule(hours=st.sampled_from([1, 24, 24, 72]))
    def time_passes(self, hours: int) -> None:
        self.clock.advance(3_600 * hours)

    @rule(
        dataset=st.sampled_from(DATASETS), how=st.sampled_from(["pause", "delete", "lose its query", "edit", "rename"])
    )
    def somebody_changes_a_scheduled_report(self, dataset: str, how: str) -> None:
        service = self.simulator.service
        for report in service.standing_reports(dataset):
            if how == "pause":
                service.pause_report(report.report_id)
            elif how == "delete":
                service.delete_report(report.report_id)
            elif how == "lose its query" and report.query_id in service.queries:
                service.delete_query(report.query_id)
            elif how == "edit":
                report.interval_h = 2_160
            else:
                report.name = "Weekly"

    @invariant()
    def every_row_was_made_by_the_question_that_its_label_tells(self) -> None:
        if (self.output / "current.json").exists():
            for name, snapshot in json.loads((self.output / "current.json").read_text())["datasets"].items():
                self.check_origin(name, snapshot)

    def check_origin(self, name: str, snapshot: dict[str, Any]) -> None:
        frame = pl.read_parquet([self.output / file for file in snapshot["files"]], glob=False)
        assert frame.height == snapshot["rows"]
        question, window = snapshot["question"], snapshot["window"]
        for text in frame["Provenance"].unique().to_list():
            reported = json.loads(text)
            note(f"{name}: {text}")
            assert reported["account"] == self.simulator.scenario.tenant_id
            assert reported["span"] == snapshot["timespan"] or window
            assert reported["filter"] == [list(item) for item in question["filter"]]
            if window is None:
                assert reported["window"] == [None, None]
            else:
                start, end = reported["window"]
                assert window["start"] <= start < end <= window["end"]

    def teardown(self) -> None:
        try:
            manifest = self.loop.run(self.carried_out("nightly"))
            # What was cut off may be carried on for a day; later nights clear up after it.
            for _ in range(2):
                self.clock.advance(2 * 24 * 3_600)
                manifest = self.loop.run(self.carried_out("nightly"))
            assert manifest is not None
            assert manifest.exit_code == 0, [record.reason for record in manifest.datasets]
            self.every_row_was_made_by_the_question_that_its_label_tells()
            self.loop.run(self.check_nothing_is_untold(manifest))
        finally:
            self.loop.run(self.simulator.__aexit__(None, None, None))
            self.loop.close()
            shutil.rmtree(self.folder)

    async def check_nothing_is_untold(self, manifest: Manifest) -> None:
        """No report that runs once is left; every scheduled one serves a dataset, or is named by a note."""
        service = self.simulator.service
        assert [report.name for report in service.reports.values() if not report.is_standing] == []
        async with opened_ledger(self.output / ".bulkpull", read_only=True) as ledger:
            steps = await ledger.steps(manifest.run_id)
        serving = {entry.facts.get("report_id") for entry in steps if entry.step == "standing"}
        reported = " ".join([*manifest.notes, *(note for record in manifest.datasets for note in record.notes)])
        for report in service.reports.values():
            assert report.report_id in serving or report.report_id in reported, f"{report.name} is untold"

    async def carried_out(
        self,
        command: str,
        *,
        cancel_after: int = -1,
        window: Window | None = None,
        where: str | None = None,
        datasets: tuple[str, ...] = DATASETS,
        tenant_id: str | None = None,
        **changes: Any,
    ) -> Manifest | None:
        self.clock.advance(1)  # no two runs begin in the same second
        settings = self.settings(**changes)
        if tenant_id is not None:
            settings = settings.model_copy(update={"tenant_id": tenant_id})
        how = {"nightly": command == "nightly", "submit_only": command == "submit_only", "window": window}
        request = ExportRequest(datasets, **how)  # type: ignore[arg-type]
        if where is not None:
            selection = Selection(name=NAME, dataset="OfficeUsage", select="MpnId, Month, Provenance", where=where)
            request = asked_for((), settings=settings, selections=(selection,), **how)
        return await self.ended(Run(request, settings, Events(self.cutting(cancel_after)), clock=self.clock))

    async def resumed(self) -> Manifest | None:
        async def newest() -> Any:
            async with opened_ledger(self.output / ".bulkpull", read_only=True) as ledger:
                return next(iter(await ledger.runs()), None)

        run = await newest() if (self.output / ".bulkpull" / "ledger.sqlite").exists() else None
        if run is None:
            return None
        self.clock.advance(1)
        settings = self.settings(timespan=run.request["timespan"], metrics=run.request["metrics"])
        request = ExportRequest.of_run(run.request)
        return await self.ended(Run(request, settings, Events(), clock=self.clock, resume=run.run_id))

    def settings(self, **changes: Any) -> Any:
        patient = {"report_timeout_seconds": 3_600.0, "poll_max_seconds": 60.0, "poll_initial_seconds": 5.0}
        return settings_for(self.simulator, self.output, **(patient | changes))

    def cutting(self, events: int) -> Any:
        self.scope, left = anyio.CancelScope(), events

        def listen(_: Event) -> None:
            nonlocal left
            left -= 1
            if left == 0:
                self.scope.cancel()

        return listen

    async def ended(self, run: Run) -> Manifest | None:
        with getattr(self, "scope", None) or anyio.CancelScope():
            await run.export()
        self.scope = anyio.CancelScope()
        return run.manifest


TestChangingRuns = ChangingRuns.TestCase
TestChangingRuns.settings = settings(
    max_examples=100 if THOROUGH else 4,
    stateful_step_count=20 if THOROUGH else 8,
    deadline=None,
    derandomize=not THOROUGH,
    print_blob=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
TestChangingRuns.pytestmark = [  # type: ignore[attr-defined]
    pytest.mark.timeout(14_400 if THOROUGH else 900),
    pytest.mark.case("N1", "N4", "N5", "N9"),
]
