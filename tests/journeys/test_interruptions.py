"""Runs that are cut off, wait their turn or meet another: the same command carries on, and nothing is made twice."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest
from journeys.kit import QUICK, assert_holds_what_the_csv_said, export, settings_for
from support import FakeClock

from bulkpull.errors import DiskTrouble, OutputLocked
from bulkpull.events import Event, Events
from bulkpull.model import Window
from bulkpull.output.ledger import opened_ledger
from bulkpull.output.lock import locked
from bulkpull.pipeline.request import ExportRequest
from bulkpull.pipeline.run import Run
from bulkpull.simulator import ColumnDrift, Fault, Scenario, Simulator
from bulkpull.transport.http_messages import Timeouts

HOUR = 3600.0


async def interrupted_at(name: str, simulator: Simulator, output: Path) -> None:
    """Export two datasets, and cancel the run when the first event of that name is told."""
    scope = anyio.CancelScope()

    def listen(event: Event) -> None:
        if event.name == name:
            scope.cancel()

    with scope:
        await export(simulator, output, "Profile", "OfficeUsage", listeners=[listen])
    assert scope.cancelled_caught


@pytest.mark.fault(93)
@pytest.mark.parametrize(
    "moment",
    [
        "plan.made",
        "query.created",
        "report.created",
        "execution.changed",
        "download.completed",
        pytest.param("conversion.completed", marks=pytest.mark.child_processes),
        "snapshot.published",
        "pull.finished",
        "report.deleted",
    ],
)
async def test_the_same_command_carries_on_wherever_it_was_cut_off(moment: str, tmp_path: Path) -> None:
    async with Simulator(Scenario(rows=50, latency_s=(0.1, 0.3))) as simulator:
        await interrupted_at(moment, simulator, tmp_path)
        manifest = await export(simulator, tmp_path, "Profile", "OfficeUsage")

        assert (manifest.status, len(manifest.datasets)) == ("complete", 2)
        for record in manifest.datasets:
            content = await simulator.csv(record.dataset)
            assert_holds_what_the_csv_said(tmp_path, manifest, record.dataset, content)
        assert dict(simulator.service.created_reports) == {"Profile": 1, "OfficeUsage": 1}
        assert dict(simulator.service.created_queries) == {"Profile": 1, "OfficeUsage": 1}
        assert simulator.service.reports == {}
    assert [path.name for path in (tmp_path / "runs").iterdir()] == [manifest.run_id]  # one run, carried on
    assert list((tmp_path / ".bulkpull" / "staging").iterdir()) == []


@pytest.mark.fault(93, 95)
async def test_what_a_killed_process_had_written_and_not_renamed_is_removed_by_the_next_run(tmp_path: Path) -> None:
    async with Simulator(Scenario(rows=5)) as simulator:
        await export(simulator, tmp_path, "Profile")
        never_replaced = {"lock", "ledger.sqlite", "ledger.sqlite-shm", "ledger.sqlite-wal", "log.jsonl"}
        replaced = [
            path
            for path in tmp_path.rglob("*")
            if path.is_file() and path.suffix != ".parquet" and path.name not in never_replaced
        ]
        assert {path.name for path in replaced} >= {"current.json", "README.md", "views.sql", "account.json"}
        for path in [*replaced, tmp_path / "latest" / "Profile"]:
            path.with_name(f".{path.name}.4194303.new").write_text("half", "utf-8")

        await export(simulator, tmp_path, "Profile")

    assert list(tmp_path.rglob("*.new")) == []


@pytest.mark.fault(93)
async def test_an_interrupted_run_leaves_a_manifest_that_says_so(tmp_path: Path) -> None:
    async with Simulator(Scenario(rows=50, latency_s=(30.0, 30.0))) as simulator:
        scope = anyio.CancelScope()
        events: list[Event] = []

        def listen(event: Event) -> None:
            events.append(event)
            if event.name == "report.created":
                scope.cancel()

        run = Run(ExportRequest(("Profile",)), settings_for(simulator, tmp_path), Events(listen))
        with scope:
            await run.export()

    assert run.manifest is not None
    assert run.manifest.exit_code == 130
    assert "run the same command again" in (run.manifest.datasets[0].reason or "")
    assert json.loads((tmp_path / "runs" / run.run_id / "manifest.json").read_text())["status"] == "failed"
    async with opened_ledger(tmp_path / ".bulkpull", read_only=True) as ledger:
        runs = await ledger.runs()
    assert [(entry.status, entry.summary) for entry in runs] == [("interrupted", {"unfinished": 1})]
    assert [event.facts["datasets"] for event in events if event.name == "run.finished"] == [{"unfinished": 1}]


def command(simulator: Simulator, output: Path, *datasets: str) -> tuple[list[str], dict[str, str]]:
    """The real command line, pointed at the simulator by the environment alone."""
    quick = {f"BULKPULL_{name.upper()}": str(value) for name, value in QUICK.items()}
    arguments = [sys.executable, "-m", "bulkpull", "export", *datasets, "--output", str(output), "--json"]
    return arguments, os.environ | quick | simulator.environment


async def start(simulator: Simulator, output: Path, *datasets: str) -> anyio.abc.Process:
    arguments, environment = command(simulator, output, *datasets)
    return await anyio.open_process(
        arguments, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL
    )


async def finish(process: anyio.abc.Process) -> tuple[int, Any]:
    assert process.stdout is not None
    reported = b"".join([chunk async for chunk in process.stdout])
    return await process.wait(), json.loads(reported) if reported else None


async def until(simulator: Simulator, *, endpoint: str, method: str) -> None:
    """Wait until the simulator has answered such a call."""
    while not any(call.endpoint == endpoint and call.method == method and call.status for call in simulator.calls):
        await anyio.sleep(0.01)


@pytest.mark.fault(3, 38)
@pytest.mark.parametrize(
    ("endpoint", "method"),
    [("ScheduledQueries", "POST"), ("ScheduledReport", "POST"), ("execution", "GET"), ("blob", "GET")],
)
async def test_a_killed_run_is_carried_on_with_the_same_query_and_report(
    tmp_path: Path, endpoint: str, method: str
) -> None:
    async with Simulator(Scenario(rows=50, latency_s=(0.3, 0.3))) as simulator:
        victim = await start(simulator, tmp_path, "Profile")
        await until(simulator, endpoint=endpoint, method=method)
        victim.kill()
        await victim.wait()
        await victim.aclose()

        code, manifest = await finish(await start(simulator, tmp_path, "Profile"))

        assert (code, manifest["status"]) == (0, "complete")
        assert dict(simulator.service.created_queries) == {"Profile": 1}
        assert dict(simulator.service.created_reports) == {"Profile": 1}


@pytest.mark.fault(93, 103)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_ends_the_run_with_130_and_the_same_command_carries_on(
    tmp_path: Path, number: signal.Signals
) -> None:
    async with Simulator(Scenario(rows=50, latency_s={"Profile": 1.0, "*": 0.0})) as simulator:
        process = await start(simulator, tmp_path, "Profile")
        await until(simulator, endpoint="ScheduledReport", method="POST")
        process.send_signal(number)
        code, manifest = await finish(process)
        assert (code, manifest["status"]) == (130, "failed")

        code, manifest = await finish(await start(simulator, tmp_path, "Profile"))
        assert (code, manifest["status"]) == (0, "complete")
        assert dict(simulator.service.created_reports) == {"Profile": 1}


@pytest.mark.fault(38)
async def test_a_report_whose_creation_was_never_answered_is_taken_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # An order under way is awaited when the run is cancelled, for a minute otherwise.
    monkeypatch.setattr("bulkpull.insights.session.Timeouts", partial(Timeouts, read_s=5.0))
    stuck = Fault("slow_answer", endpoint="POST ScheduledReport", args={"seconds": 3600})
    async with Simulator(Scenario(rows=50, faults=(stuck,))) as simulator:
        with anyio.CancelScope() as scope:
            async with anyio.create_task_group() as group:

                async def cancel_when_made() -> None:
                    while not simulator.service.reports:
                        await anyio.sleep(0.01)
                    scope.cancel()

                group.start_soon(cancel_when_made)
                await export(simulator, tmp_path, "Profile")
        manifest = await export(simulator, tmp_path, "Profile")

        assert manifest.status == "complete"
        assert dict(simulator.service.created_reports) == {"Profile": 1}


async def test_a_run_that_asks_for_something_else_begins_anew(tmp_path: Path) -> None:
    async with Simulator(Scenario(rows=50, latency_s=(0.1, 0.1))) as simulator:
        await interrupted_at("report.created", simulator, tmp_path)
        await export(simulator, tmp_path, "Profile")

    assert len(list((tmp_path / "runs").iterdir())) == 2


async def test_a_window_without_an_end_is_carried_on_with_the_end_that_it_began_with(tmp_path: Path) -> None:
    since = datetime(2026, 8, 1, tzinfo=UTC)
    ends = [datetime(2026, 11, 23, 2, minute, tzinfo=UTC) for minute in (0, 5)]
    async with Simulator(Scenario(rows=50, latency_s=(0.2, 0.2))) as simulator:
        settings = settings_for(simulator, tmp_path)
        scope = anyio.CancelScope()
        events = Events(lambda event: scope.cancel() if event.name == "report.created" else None)
        requests = [ExportRequest(("MSLearn",), window=Window(since, end), open_ended=True) for end in ends]
        with scope:
            await Run(requests[0], settings, events).export()
        calls_before = len(simulator.calls)

        manifest = await Run(requests[1], settings, Events()).export()

        assert manifest.requests.total == len(simulator.calls) > calls_before > 0, "both parts are counted"

        assert manifest.datasets[0].window == Window(
            datetime(2026, 8, 1, tzinfo=UTC), datetime(2026, 11, 23, 2, tzinfo=UTC)
        )
        assert dict(simulator.service.created_reports) == {"MSLearn": 1}


@pytest.mark.fault(2)
async def test_a_second_run_on_the_same_folder_is_refused_and_writes_nothing(tmp_path: Path) -> None:
    async with Simulator(Scenario(rows=10)) as simulator:
        async with locked(tmp_path / ".bulkpull", since=datetime(2026, 11, 23, 2, tzinfo=UTC)):
            before = sorted(tmp_path.rglob("*"))
            with pytest.raises(OutputLocked, match="since 2026-11-23T02:00:00Z"):
                await export(simulator, tmp_path, "Profile")
            assert sorted(tmp_path.rglob("*")) == before
        assert simulator.calls == []


@pytest.mark.fault(4)
async def test_a_file_system_without_locks_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr("fcntl.flock", refuse)
    async with Simulator(Scenario(rows=10)) as simulator:
        with pytest.raises(DiskTrouble, match="without locks"):
            await export(simulator, tmp_path, "Profile")


@pytest.mark.behaviour(42, 85)
@pytest.mark.fault(36)
async def test_twenty_one_offs_under_five_an_hour_take_their_turns_and_none_fails(tmp_path: Path) -> None:
    clock = FakeClock()
    scenario = Scenario(rows=5, one_off_quota=5, latency_s=(60.0, 300.0))
    async with Simulator(scenario, clock=clock) as simulator:
        manifest = await export(simulator, tmp_path, clock=clock, report_timeout_seconds=900.0, poll_max_seconds=60.0)

        assert manifest.status == "complete", [record.reason for record in manifest.datasets]
        assert set(simulator.service.created_reports.values()) == {1}
    assert 3 * HOUR <= clock.elapsed_s <= 3.4 * HOUR
    assert all(record.seconds.wait < 900 for record in manifest.datasets)


@pytest.mark.behaviour(3, 18)
@pytest.mark.fault(16, 104)
async def test_a_token_that_ends_during_the_run_is_renewed_once_and_no_request_is_lost(tmp_path: Path) -> None:
    clock = FakeClock()
    scenario = Scenario(rows=5, datasets=("Profile", "OfficeUsage"), latency_s=(5_000.0, 5_000.0))
    async with Simulator(scenario, clock=clock) as simulator:
        manifest = await export(
            simulator,
            tmp_path,
            "Profile",
            "OfficeUsage",
            clock=clock,
            report_timeout_seconds=9e3,
            poll_max_seconds=60.0,
        )

    assert manifest.status == "complete"
    assert manifest.requests.by_endpoint["token"] == 2
    assert [call for call in simulator.calls if call.status == 401] == []


@pytest.mark.behaviour(120, 135)
async def test_no_secret_reaches_an_event_or_a_file(tmp_path: Path) -> None:
    reported: list[str] = []
    faults = (
        Fault("link_always_refused", dataset="Profile", times=None),
        Fault("xml_under_200", dataset="MSLearn"),
        Fault("cut_after_bytes", dataset="OfficeUsage", args={"after": 900}),
        Fault("http_status", endpoint="execution", args={"status": 500, "body": "html"}),
        Fault("token_refused"),
    )
    scenario = Scenario(
        rows=100, faults=faults, client_secret="canary-client-secret", password="canary-password",
        datasets=("Profile", "MSLearn", "OfficeUsage"),
    )  # fmt: skip
    clock = FakeClock()
    async with Simulator(scenario, clock=clock) as simulator:
        manifest = await export(
            simulator, tmp_path, clock=clock, keep_raw=True, listeners=[lambda event: reported.append(repr(event))]
        )
        tokens = [call for call in simulator.calls if call.endpoint == "blob" and call.has_authorization]

    assert manifest.exit_code == 3
    assert tokens == []  # the storage host never got our token
    written = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    everything = b"\n".join([*written, *(line.encode() for line in reported)])
    for canary in (b"canary", b"sig=", b"sig%3D", b"Bearer "):
        assert canary not in everything


async def test_a_query_that_todays_columns_have_outdated_goes_and_other_queries_stay(tmp_path: Path) -> None:
    """Columns come and go; what they leave on the service would count against the quota of queries for ever."""
    async with Simulator(Scenario(rows=50)) as simulator:
        await export(simulator, tmp_path, "Profile", "OfficeUsage")
        simulator.service.drift("OfficeUsage", ColumnDrift(removed=("CustomerName",)))
        manifest = await export(simulator, tmp_path, "OfficeUsage")

        own = [query.text for query in simulator.service.queries.values() if query.user is not None]
        assert sorted(text.rpartition(" FROM ")[2].split()[0] for text in own) == ["OfficeUsage", "Profile"]
        assert manifest.datasets[0].drift is not None
        assert dict(simulator.service.created_queries) == {"Profile": 1, "OfficeUsage": 2}


@pytest.mark.child_processes
async def test_parquet_that_was_finished_before_a_run_was_cut_off_is_not_made_again(tmp_path: Path) -> None:
    reported: list[Event] = []
    async with Simulator(Scenario(rows=50)) as simulator:
        await interrupted_at("conversion.completed", simulator, tmp_path)
        manifest = await export(simulator, tmp_path, "Profile", "OfficeUsage", listeners=[reported.append])

        assert manifest.status == "complete"
        for record in manifest.datasets:
            assert_holds_what_the_csv_said(tmp_path, manifest, record.dataset, await simulator.csv(record.dataset))
    converted = [event.dataset for event in reported if event.name == "conversion.completed"]
    assert len(converted) < 2


async def test_reports_that_were_only_submitted_are_collected_by_the_run_that_resumes(tmp_path: Path) -> None:
    async with Simulator(Scenario(rows=50)) as simulator:
        settings = settings_for(simulator, tmp_path)
        request = ExportRequest(("Profile", "OfficeUsage"), submit_only=True)
        submitted = await Run(request, settings, Events()).export()
        left = len(simulator.service.reports)
        again = await Run(ExportRequest(("Profile", "OfficeUsage")), settings, Events()).export()

        assert dict(simulator.service.created_reports) == {"Profile": 1, "OfficeUsage": 1}
        assert simulator.service.reports == {}
    assert (submitted.submitted, submitted.exit_code, left) == (True, 0, 2)
    assert all(record.status == "skipped" and "runs resume" in str(record.reason) for record in submitted.datasets)
    assert (again.run_id, again.status, again.submitted) == (submitted.run_id, "complete", False)


async def test_a_run_with_losses_is_resumed_by_name_and_what_it_published_stays(tmp_path: Path) -> None:
    fault = Fault("short_row", dataset="OfficeUsage", times=None)
    async with Simulator(Scenario(rows=50, faults=(fault,))) as simulator:
        settings, request = settings_for(simulator, tmp_path), ExportRequest(("Profile", "OfficeUsage"))
        partial = await Run(request, settings, Events()).export()
        simulator.disarm_all()
        resumed = await Run(request, settings, Events(), resume=partial.run_id).export()

        assert (partial.status, resumed.status) == ("partial", "complete")
        # The service made that report as it was asked to; only its file came damaged.
        assert dict(simulator.service.created_reports) == {"Profile": 1, "OfficeUsage": 1}
    assert resumed.run_id == partial.run_id


async def test_a_report_of_a_run_that_asked_for_more_is_used_by_one_that_asks_for_less(tmp_path: Path) -> None:
    """Reports are dear (five an hour): what is under way for the same question is not ordered again."""
    async with Simulator(Scenario(rows=50, latency_s=(0.1, 0.3))) as simulator:
        await interrupted_at("execution.changed", simulator, tmp_path)
        manifest = await export(simulator, tmp_path, "Profile")

        assert manifest.status == "complete"
        assert simulator.service.created_reports["Profile"] == 1


@pytest.mark.fault(10)
async def test_a_snapshot_that_was_damaged_by_others_is_told_and_published_anew(tmp_path: Path) -> None:
    async with Simulator(Scenario(rows=50)) as simulator:
        first = await export(simulator, tmp_path, "Profile")
        (tmp_path / first.datasets[0].files[0].path).unlink()
        again = await export(simulator, tmp_path, "Profile")

        assert_holds_what_the_csv_said(tmp_path, again, "Profile", await simulator.csv("Profile"))
    assert any("damaged" in note for note in again.datasets[0].notes)
