"""
Runs that change, in virtual time: commands, questions, kills, edits by others, roles, folders and days, in any order.

Every row of the simulated service tells which question made it. After every step what `current.json` names for a
dataset was made by the question that its label tells, for the account that the folder belongs to, and is never older
than what was published for that question before; in the end nothing of ours stays on the service that no run names.
A second account of the same service has a folder of its own; no run changes what the other account has on the service.
Short by default; TRIALS=all makes it long, TRIALS_SEED chooses another walk. Hypothesis prints the steps that failed.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import shutil
import tempfile
from collections import Counter
from contextlib import ExitStack, suppress
from copy import copy
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anyio
import polars as pl
import pytest
from hypothesis import HealthCheck, Phase, note, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from in_process import without_child_processes
from journeys.kit import Killed, settings_for
from support import THOROUGH, FakeClock
from trials.kill_switch import kill_switch

from bulkpull.cli.options import CommonOptions
from bulkpull.cli.report_cleanup import reports_of_last_night
from bulkpull.cli.runs import forget
from bulkpull.custom_query import Selection
from bulkpull.errors import AccessDenied, SettingsError
from bulkpull.events import Event, Events
from bulkpull.insights.connect import connected
from bulkpull.model import Window
from bulkpull.output.ledger import opened_ledger
from bulkpull.output.manifest import Manifest
from bulkpull.pipeline.nightly.scheduled_reports import unused_reports
from bulkpull.pipeline.request import ExportRequest, create_request
from bulkpull.pipeline.run import Run
from bulkpull.simulator import ColumnDrift, Fault, Scenario, Simulator
from bulkpull.simulator.service import Service

DATASETS = ("Profile", "OfficeUsage")
FABRIKAM = "fabrikam.example"
WINDOW = Window(datetime(2026, 9, 1, tzinfo=UTC), datetime(2026, 10, 1, tzinfo=UTC))
NAME = "mine"
HISTORY, HISTORY_START = "grown", datetime(2026, 8, 1, tzinfo=UTC)
QUESTIONS: list[dict[str, Any]] = [
    {},
    {},
    {"timespan": "LAST_MONTH"},
    {"window": WINDOW},
    {"datasets": DATASETS[:1]},
    {"datasets": DATASETS[1:]},
    {"where": "MpnId != '0'"},
    {"where": "MpnId != '1'"},
    {"history": True},
    {"metrics": "none"},
    {"on_drift": "fail"},
    {"standing_lead_hours": 8.0},
]
COMMANDS = ["export", "nightly", "submit_only"]
REFUSALS = {
    "cannot list": Fault("http_status", endpoint="GET ScheduledReport", times=None, args={"status": 403}),
    "cannot delete": Fault("http_status", endpoint="DELETE ScheduledReport", times=None, args={"status": 403}),
    "cannot create": Fault("http_status", endpoint="POST ScheduledReport", times=None, args={"status": 403}),
}


class ChangingRuns(RuleBasedStateMachine):
    """One service, two folders of one account, a folder of another account, one clock."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.Runner()
        self.folder = Path(tempfile.mkdtemp(prefix="bulkpull-changing-"))
        self.output, self.other, self.fabrikam = (self.folder / name for name in ("out", "other", "fabrikam"))
        self.foreign: set[str] = set()
        self.newest: dict[tuple[Path, str, str], str] = {}
        self.scope: anyio.CancelScope | None = None
        self.numbers = itertools.count()
        self.cleanup = ExitStack()

    @initialize()
    def begin(self) -> None:
        """A service whose rows tell their origin."""
        self.clock = FakeClock()
        scenario = Scenario(
            rows=12,
            datasets=DATASETS,
            refreshes=True,
            latency_s=(30.0, 300.0),
            provenance=True,
            further_tenants=(FABRIKAM,),
        )
        self.simulator = Simulator(scenario, clock=self.clock)
        self.loop.run(self.simulator.__aenter__())
        self.cleanup.enter_context(without_child_processes())
        self.switch = self.cleanup.enter_context(kill_switch(self.folder))

    @rule(command=st.sampled_from(COMMANDS), question=st.sampled_from(QUESTIONS))
    def it_runs(self, command: str, question: dict[str, Any]) -> None:
        self.loop.run(self.carried_out(command, **question))

    @rule(command=st.sampled_from(COMMANDS), question=st.sampled_from(QUESTIONS), events=st.integers(1, 60))
    def it_is_cut_off(self, command: str, question: dict[str, Any], events: int) -> None:
        self.loop.run(self.carried_out(command, cancel_after=events, **question))

    @rule(command=st.sampled_from(COMMANDS), question=st.sampled_from(QUESTIONS), effects=st.integers(1, 400))
    def it_is_killed(self, command: str, question: dict[str, Any], effects: int) -> None:
        self.loop.run(self.carried_out(command, kill_at=effects, **question))

    @rule(kill_at=st.none() | st.integers(1, 200))
    def the_newest_run_is_resumed(self, kill_at: int | None) -> None:
        self.loop.run(self.resumed(kill_at=kill_at))

    @rule()
    def what_was_held_back_is_published(self) -> None:
        self.loop.run(self.resumed(published_anyway=None))

    @rule(dataset=st.sampled_from(DATASETS))
    def a_dataset_is_forgotten(self, dataset: str) -> None:
        if dataset in self.current(self.output):
            forget(dataset, output=self.output, common=CommonOptions(as_json=True))

    @rule()
    def unused_reports_are_deleted(self) -> None:
        self.loop.run(self.delete_unused(self.output))

    @rule(command=st.sampled_from(COMMANDS))
    def another_account_tries(self, command: str) -> None:
        """Both accounts can sign in and create: the folder alone says no."""
        for output, tenant in ((self.output, FABRIKAM), (self.fabrikam, self.simulator.scenario.tenant_id)):
            if (output / ".bulkpull" / "account.json").exists():
                before = self.on_service(tenant)
                with pytest.raises(SettingsError, match="another account"):
                    self.loop.run(self.carried_out(command, output=output, tenant_id=tenant))
                assert self.on_service(tenant) == before

    @rule(
        command=st.sampled_from(COMMANDS), question=st.sampled_from(QUESTIONS), effects=st.none() | st.integers(1, 400)
    )
    def the_other_account_runs(self, command: str, question: dict[str, Any], effects: int | None) -> None:
        """Its reports and queries have the same names and texts as those of the first account."""
        self.loop.run(self.carried_out(command, output=self.fabrikam, kill_at=effects, **question))

    @rule()
    def the_other_account_deletes_unused_reports(self) -> None:
        self.loop.run(self.delete_unused(self.fabrikam, tenant_id=FABRIKAM))

    @rule(question=st.sampled_from(QUESTIONS[:3]))
    def another_folder_has_its_night(self, question: dict[str, Any]) -> None:
        self.loop.run(self.carried_out("nightly", output=self.other, **question))

    @rule(dataset=st.sampled_from(DATASETS))
    def another_tool_uses_our_names(self, dataset: str) -> None:
        service = self.simulator.service
        ours = next((report for report in service.standing_reports(dataset)), None)
        if ours is None:
            return
        text = f"SELECT MpnId, Provenance FROM {dataset} WHERE MpnId != '2'"  # noqa: S608 - the service's own language
        query = service.query_store.keep(name=f"Theirs{next(self.numbers)}", text=text, description=None)
        theirs = copy(ours)
        theirs.report_id, theirs.query_id, theirs.query_text = f"theirs-{query.query_id}", query.query_id, query.text
        theirs.parsed, theirs.executions = service.query_store.parse(text), []
        service.reports[theirs.report_id] = theirs
        self.foreign.add(theirs.report_id)

    @rule(role=st.sampled_from([*REFUSALS, "viewer", "executive"]))
    def the_role_changes(self, role: str) -> None:
        self.simulator.disarm_all()
        if role in REFUSALS:
            self.simulator.arm(REFUSALS[role])
        else:
            self.set_scenario(role=role)

    @rule(hours=st.sampled_from([1, 24, 24, 72]))
    def time_passes(self, hours: int) -> None:
        self.clock.advance(3_600 * hours)

    @rule(dataset=st.sampled_from(DATASETS))
    def the_columns_change(self, dataset: str) -> None:
        self.simulator.service.drift(dataset, ColumnDrift(added=(f"New{next(self.numbers)}",)))

    @rule(
        dataset=st.sampled_from(DATASETS), how=st.sampled_from(["pause", "delete", "lose its query", "edit", "rename"])
    )
    def somebody_changes_a_scheduled_report(self, dataset: str, how: str) -> None:
        service = self.simulator.service
        for report in service.standing_reports(dataset):
            if how == "pause":
                service.report_store.pause(report.report_id)
            elif how == "delete":
                service.report_store.delete(report.report_id)
                self.foreign.discard(report.report_id)
            elif how == "lose its query" and report.query_id in service.queries:
                service.delete_query(report.query_id)
            elif how == "edit":
                report.interval_h = 2_160
            else:
                report.name = f"Weekly{next(self.numbers)}"

    @rule()
    def somebody_deletes_what_runs_once(self) -> None:
        service = self.simulator.service
        for report in [report for report in service.reports.values() if not report.is_standing]:
            service.report_store.delete(report.report_id)

    @invariant()
    def every_row_was_made_by_the_question_that_its_label_tells(self) -> None:
        for output in (self.output, self.other, self.fabrikam):
            for name, snapshot in self.current(output).items():
                self.check_origin(output, name, snapshot)

    @invariant()
    def what_others_made_is_still_there(self) -> None:
        if self.foreign:
            assert self.foreign <= self.simulator.service.reports.keys()

    def tenant_of(self, output: Path) -> str:
        """The account whose data belong into a folder."""
        return FABRIKAM if output == self.fabrikam else self.simulator.scenario.tenant_id

    def on_service(self, tenant: str) -> tuple[Any, ...]:
        """The reports and queries of a tenant: those that are there, and how many there ever were."""
        service = self.simulator.services[tenant]
        return set(service.reports), set(service.queries), dict(service.created_reports), dict(service.created_queries)

    def current(self, output: Path) -> dict[str, Any]:
        """What `current.json` names."""
        if not (output / "current.json").exists():
            return {}
        snapshots: dict[str, Any] = json.loads((output / "current.json").read_text())["datasets"]
        return snapshots

    def check_origin(self, output: Path, name: str, snapshot: dict[str, Any]) -> None:
        frame = pl.read_parquet([output / file for file in snapshot["files"]], glob=False)
        assert frame.height == snapshot["rows"]
        question, window = snapshot["question"], snapshot["window"]
        origins = [json.loads(text) for text in frame["Provenance"].unique().to_list()]
        for origin in origins:
            note(f"{name}: {origin}")
            assert origin["account"] == self.tenant_of(output)
            assert origin["span"] == snapshot["timespan"] or window
            assert origin["filter"] == [list(condition) for condition in question["filter"]]
            if window is None:
                assert origin["window"] == [None, None]
            else:
                start, end = origin["window"]
                assert window["start"] <= start < end <= window["end"]
        if name == HISTORY:
            readings = frame.group_by("Month").agg(pl.col("Provenance").n_unique())["Provenance"].to_list()
            assert set(readings) == {1}, "a month of the history has rows of two readings"
        key = (output, name, snapshot["question_sha256"])
        if origins:
            version = min(origin["version"] for origin in origins)
            assert version >= self.newest.get(key, ""), "an older answer took the place of a newer one"
            self.newest[key] = version

    def teardown(self) -> None:
        try:
            if hasattr(self, "simulator"):
                self.loop.run(self.end())
        finally:
            if hasattr(self, "simulator"):
                self.loop.run(self.simulator.__aexit__(None, None, None))
            self.cleanup.close()
            self.loop.close()
            shutil.rmtree(self.folder)

    async def end(self) -> None:
        """Ordinary nights: what was cut off may be carried on for a day; later nights clear up after it."""
        self.simulator.disarm_all()
        self.set_scenario(role="executive")
        manifests: list[Manifest] = []
        outputs: list[Path] = []
        for _ in range(3):
            outputs = [self.output, *(output for output in (self.other, self.fabrikam) if output.exists())]
            manifests = [await self.carried_out("nightly", output=output) for output in outputs]  # type: ignore[misc]
            self.clock.advance(2 * 24 * 3_600)
        for manifest in manifests:
            assert manifest.exit_code == 0, [record.reason for record in manifest.datasets]
        self.every_row_was_made_by_the_question_that_its_label_tells()
        self.what_others_made_is_still_there()
        for tenant, service in self.simulator.services.items():
            of_tenant = {output: manifest for output, manifest in zip(outputs, manifests, strict=True)
                         if self.tenant_of(output) == tenant}  # fmt: skip
            await self.check_nothing_is_left_in_silence(service, of_tenant)

    async def check_nothing_is_left_in_silence(self, service: Service, manifests: dict[Path, Manifest]) -> None:
        """No one-off report is left; every scheduled one serves a dataset, or is named; each query is stored once."""
        assert [report.name for report in service.reports.values() if not report.is_standing] == []
        named, serving = "", set(self.foreign)
        for output, manifest in manifests.items():
            async with opened_ledger(output / ".bulkpull", read_only=True) as ledger:
                steps = await ledger.steps(manifest.run_id)
            serving |= {str(entry.facts.get("report_id")) for entry in steps if entry.step == "standing"}
            named += " ".join([*manifest.notes, *(note for record in manifest.datasets for note in record.notes)])
        for report in service.reports.values():
            assert report.report_id in serving or report.report_id in named, f"{report.name} is not named"
        texts = Counter(query.text for query in service.queries.values() if query.name.startswith("bulkpull "))
        assert [text for text, count in texts.items() if count > 1] == []

    async def carried_out(
        self,
        command: str,
        *,
        output: Path | None = None,
        cancel_after: int = -1,
        kill_at: int | None = None,
        window: Window | None = None,
        where: str | None = None,
        history: bool = False,
        datasets: tuple[str, ...] = DATASETS,
        tenant_id: str | None = None,
        **changes: Any,
    ) -> Manifest | None:
        self.clock.advance(1)  # no two runs begin in the same second
        settings = self.settings(output or self.output, tenant_id=tenant_id, **changes)
        window = Window(HISTORY_START, self.clock.now()) if history else window
        how = {"nightly": command == "nightly", "submit_only": command == "submit_only", "window": window}
        request = ExportRequest(datasets, **how)  # type: ignore[arg-type]
        if where is not None:
            selection = Selection(name=NAME, dataset="OfficeUsage", select="MpnId, Month, Provenance", where=where)
            request = create_request((), settings=settings, selections=(selection,), **how)
        if history:
            selection = Selection(name=HISTORY, dataset="OfficeUsage", select="MpnId, Month, Provenance", keep="append")
            request = create_request((), settings=settings, selections=(selection,), open_ended=True, **how)
        run = Run(request, settings, Events(self.cutting(cancel_after)), clock=self.clock)
        manifest = await self.ended(run, kill_at=kill_at)
        if manifest is not None and not manifest.interrupted and command != "submit_only":
            check_answers(manifest, timespan=changes.get("timespan"), window=window, where=where)
        return manifest

    async def resumed(
        self, *, kill_at: int | None = None, published_anyway: tuple[str, ...] | None = ()
    ) -> Manifest | None:
        if not (self.output / ".bulkpull" / "ledger.sqlite").exists():
            return None
        async with opened_ledger(self.output / ".bulkpull", read_only=True) as ledger:
            run = next(iter(await ledger.runs()), None)
        if run is None:
            return None
        self.clock.advance(1)
        settings = self.settings(self.output, timespan=run.request["timespan"], metrics=run.request["metrics"])
        return await self.ended(
            Run(
                ExportRequest.of_run(run.request),
                settings,
                Events(),
                clock=self.clock,
                resume=run.run_id,
                published_anyway=published_anyway,
            ),
            kill_at=kill_at,
        )

    async def delete_unused(self, output: Path, *, tenant_id: str | None = None) -> None:
        """What `bulkpull reports delete --unused --yes` does."""
        if not (output / ".bulkpull" / "ledger.sqlite").exists():
            return
        async with opened_ledger(output / ".bulkpull", read_only=True) as ledger:
            memories, used = await reports_of_last_night(ledger)
        settings = self.settings(output, tenant_id=tenant_id)
        async with connected(settings=settings, events=Events(), clock=self.clock) as connection:
            listed = await connection.client.list_reports()
            for _, report in unused_reports(listed or (), memories, used=used):
                with suppress(AccessDenied):  # the role may not delete: the command says so, and nothing has changed
                    await connection.client.delete_report(report.report_id)

    def settings(self, output: Path, *, tenant_id: str | None = None, **changes: Any) -> Any:
        patient = {"report_timeout_seconds": 3_600.0, "poll_max_seconds": 60.0, "poll_initial_seconds": 5.0}
        patient["history_restated_months"] = 1
        settings = settings_for(self.simulator, output, **(patient | changes))
        return settings.model_copy(update={"tenant_id": tenant_id or self.tenant_of(output)})

    def set_scenario(self, **changes: Any) -> None:
        for service in self.simulator.services.values():
            service.scenario = replace(service.scenario, **changes)

    def cutting(self, events: int) -> Any:
        self.scope, left = anyio.CancelScope(), events

        def listen(_: Event) -> None:
            nonlocal left
            left -= 1
            if left == 0:
                self.scope.cancel()  # type: ignore[union-attr]

        return listen

    async def ended(self, run: Run, *, kill_at: int | None) -> Manifest | None:
        scope, self.scope = self.scope or anyio.CancelScope(), None
        strangers = [tenant for tenant in self.simulator.services if tenant != run.settings.tenant_id]
        before = [self.on_service(tenant) for tenant in strangers]
        try:
            with scope, self.switch.armed(kill_at):
                await run.export()
        except BaseException as error:
            if not isinstance(error, Killed) and not _is_all_killed(error):
                raise
            return None
        finally:
            assert [self.on_service(tenant) for tenant in strangers] == before, "another account's objects changed"
        if run.manifest is not None:
            self.check_manifest(run.manifest, run.settings.output)
        return run.manifest

    def check_manifest(self, manifest: Manifest, output: Path) -> None:
        """It tells what is current, and no fault of our own."""
        snapshots = self.current(output)
        for record in manifest.datasets:
            assert "defect in bulkpull" not in str(record.reason), record.reason
            if record.status in ("complete", "skipped") and record.files:
                assert record.question_sha256 == snapshots[record.dataset]["question_sha256"]
                assert [file.path for file in record.files] == snapshots[record.dataset]["files"]


def check_answers(manifest: Manifest, *, timespan: str | None, window: Window | None, where: str | None) -> None:
    """Whatever stays current answers what was asked for, also where nothing was brought."""
    for record in manifest.datasets:
        if record.status not in ("complete", "skipped"):
            continue
        assert record.question is not None
        start = record.window and record.window.start
        assert start == (window.start if window else None)
        assert record.timespan in (None, None if window else timespan or "LAST_6_MONTHS")
        assert [" ".join(condition).upper() for condition in record.question["filter"]] == (
            [where.replace("'", "").upper()] if where else []
        )


def _is_all_killed(error: BaseException) -> bool:
    if isinstance(error, BaseExceptionGroup):
        return any(isinstance(inner, Killed) or _is_all_killed(inner) for inner in error.exceptions)
    return isinstance(error, Killed)


if chosen := os.environ.get("TRIALS_SEED"):
    ChangingRuns = seed(int(chosen))(ChangingRuns)  # type: ignore[misc]
TestChangingRuns = ChangingRuns.TestCase
TestChangingRuns.settings = settings(
    max_examples=int(os.environ.get("TRIALS_EXAMPLES", "100" if THOROUGH else "5")),
    stateful_step_count=20 if THOROUGH else 10,
    # To shorten a long walk would take longer than the walk.
    phases=(Phase.explicit, Phase.generate) if THOROUGH else tuple(Phase),
    deadline=None,
    derandomize=not THOROUGH,
    print_blob=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
TestChangingRuns.pytestmark = [  # type: ignore[attr-defined]
    pytest.mark.timeout(14_400 if THOROUGH else 900),
    pytest.mark.case("N1", "N2", "N4", "N5", "N6", "N7", "N8", "N9", "N10", "N13", "N18"),
]
