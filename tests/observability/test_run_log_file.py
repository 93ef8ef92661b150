"""Each run keeps its own log: whole, bounded, without secrets, and never in the run's way."""

from __future__ import annotations

import errno
import json
import threading
from datetime import UTC, datetime, timedelta
from io import FileIO
from pathlib import Path
from typing import Any

import pytest
from journeys.kit import export
from support import EventRecorder

from bulkpull.event_types import Event, Level, restore_event
from bulkpull.observability.run_log import RunLog, parse_entry
from bulkpull.output.layout import Layout
from bulkpull.redact import register_secret
from bulkpull.simulator import Fault, Scenario, Simulator

RUN = "20261123T020405Z-0a1b2c"
AT = datetime(2026, 11, 23, 2, 4, 5, 678_000, UTC)
CANARY = "canary-log-0b7e"


def write_log(output: Path, *events: Event, **options: Any) -> list[dict[str, Any]]:
    """The log after a run that emitted these events, one a second."""
    log = RunLog(output, **options)
    log.start()
    for number, event in enumerate(events):
        log.append(event, run_id=RUN, at=AT + timedelta(seconds=number))
    assert log.close() is None
    return [json.loads(line) for line in Layout(output).log(RUN).read_text(encoding="utf-8").splitlines()]


def event(name: str, level: Level = Level.INFO, dataset: str | None = None, **facts: object) -> Event:
    return restore_event(name, facts, dataset=dataset, level=level)


def test_each_event_is_a_line_with_time_level_run_and_dataset(tmp_path: Path) -> None:
    (line,) = write_log(tmp_path, event("pull.stepped", dataset="Profile", step="poll", none=None))

    assert line == {
        "timestamp": "2026-11-23T02:04:05.678Z",
        "level": "info",
        "event": "pull.stepped",
        "run_id": RUN,
        "dataset": "Profile",
        "step": "poll",
    }


def test_calls_are_logged_and_progress_of_transfers_is_not(tmp_path: Path) -> None:
    lines = write_log(tmp_path, event("call.sent", Level.DEBUG), event("download.progressed", Level.TRACE))

    assert [line["event"] for line in lines] == ["call.sent"]


def test_a_run_that_is_carried_on_goes_on_in_the_same_file_after_a_line_that_a_kill_cut(tmp_path: Path) -> None:
    write_log(tmp_path, event("run.started", run_id=RUN))
    with Layout(tmp_path).log(RUN).open("a") as file:
        file.write('{"timestamp":"2026-11')
    resumed_log = RunLog(tmp_path)
    resumed_log.start()
    resumed_log.append(event("run.started", run_id=RUN, resumed=True), run_id=RUN, at=AT)
    resumed_log.close()
    lines = Layout(tmp_path).log(RUN).read_text(encoding="utf-8").splitlines()

    assert [parse_entry(line) is not None for line in lines] == [True, False, True]


def test_secrets_and_control_characters_never_reach_it(tmp_path: Path) -> None:
    register_secret(CANARY)
    evil = event("x.refused", reason=f"said {CANARY}\nfor ?sig=abc%2Fdef&x=1 \x1b[31m", nested={"password": "hunter22"})
    write_log(tmp_path, evil)
    written = Layout(tmp_path).log(RUN).read_text(encoding="utf-8")

    assert not {text for text in (CANARY, "abc%2F", "hunter22", "\x1b", "\\u001b") if text in written}
    assert written.count("\n") == 1


def test_its_size_is_bounded_calls_go_first_and_the_end_is_always_told(tmp_path: Path) -> None:
    calls = [event("call.sent", Level.DEBUG, endpoint="x" * 100) for _ in range(200)]
    steps = [event("pull.stepped", step="poll") for _ in range(100)]
    lines = write_log(tmp_path, *calls, *steps, event("run.finished", status="complete"), most_bytes=20_000)
    names = [line["event"] for line in lines]

    assert Layout(tmp_path).log(RUN).stat().st_size < 21_000
    assert names.count("pull.stepped") > 50 > names.count("call.sent") > 10
    assert names[-2:] == ["run.finished", "log.cut"]
    assert lines[-1]["lines"] == 300 - names.count("call.sent") - names.count("pull.stepped")


def test_an_event_is_read_back_as_it_was_told(tmp_path: Path) -> None:
    first = event("quota.reached", Level.WARNING, "AzureUsage", wait_s=3.5, limit=5)
    write_log(tmp_path, first)
    read = parse_entry(Layout(tmp_path).log(RUN).read_text(encoding="utf-8"))

    assert read is not None
    assert (read[0].name, read[0].level, read[0].dataset) == (first.name, first.level, first.dataset)
    assert (read[0].facts["wait_s"], read[1]) == (3.5, AT)


@pytest.mark.parametrize("line", ["", "[]", "7", "{}", '{"timestamp":"x","level":"info","event":"a"}', "{"])
def test_what_is_no_line_of_a_log_is_read_as_none(line: str) -> None:
    assert parse_entry(line) is None


async def test_a_run_leaves_its_log_with_datasets_told_also_by_those_who_know_only_reports(tmp_path: Path) -> None:
    async with Simulator(Scenario(rows=10)) as simulator:
        manifest = await export(simulator, tmp_path, "Profile", "OfficeUsage")
    lines = [
        json.loads(line) for line in Layout(tmp_path).log(manifest.run_id).read_text(encoding="utf-8").splitlines()
    ]

    assert (lines[0]["event"], lines[-1]["event"]) == ("run.started", "run.finished")
    assert {line["run_id"] for line in lines} == {manifest.run_id}
    assert "call.sent" in {line["event"] for line in lines}
    assert {line["dataset"] for line in lines if line["event"] == "execution.changed"} == {"Profile", "OfficeUsage"}


async def test_no_secret_and_no_link_is_in_the_log_of_a_run(tmp_path: Path) -> None:
    faults = (Fault("link_expires_mid_file", args={"after": 100}),)
    async with Simulator(Scenario(rows=50, client_secret=CANARY, faults=faults)) as simulator:
        manifest = await export(simulator, tmp_path, "Profile", "OfficeUsage")
    written = Layout(tmp_path).log(manifest.run_id).read_text(encoding="utf-8")

    assert "download.resumed" in written
    assert not {text for text in (CANARY, "eyJ", "sig=") if text in written.replace("sig=***", "")}


async def test_a_log_that_cannot_be_written_is_a_warning_and_harms_nothing(tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    write_log = EventRecorder()

    def be_in_the_way(event: Event) -> None:
        if event.name == "run.started":
            (tmp_path / "runs" / str(event.facts["run_id"]) / "log.jsonl").mkdir(parents=True)

    async with Simulator(Scenario(rows=10)) as simulator:
        manifest = await export(simulator, tmp_path, "Profile", listeners=[be_in_the_way, write_log.events.append])

    assert (manifest.status, manifest.exit_code) == ("complete", 0)
    (warning,) = write_log.of("account.lacking")
    assert warning["part"] == "log.jsonl"
    assert "log.jsonl" in str(warning["reason"])


def test_no_more_lines_wait_for_the_disk_than_a_bound_and_those_that_are_lost_are_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bulkpull.observability.run_log._MOST_WAITING", 3)
    log = RunLog(tmp_path)
    for number in range(10):
        log.append(event("call.finished", number=number), run_id=RUN, at=AT)
    log.start()
    assert log.close() is None
    lines = [json.loads(line) for line in Layout(tmp_path).log(RUN).read_text(encoding="utf-8").splitlines()]

    assert [line["number"] for line in lines[:-1]] == [7, 8, 9]
    assert (lines[-1]["event"], lines[-1]["lines"]) == ("log.cut", 7)


@pytest.mark.case("L8")
def test_a_disk_that_is_full_for_a_moment_costs_no_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    is_full, was_refused = threading.Event(), threading.Event()

    class Disk(FileIO):
        def write(self, line: Any) -> int:
            if is_full.is_set():
                was_refused.set()
                super().write(bytes(line)[:7])  # a part of it still found room
                raise OSError(errno.ENOSPC, "No space left on device")
            return super().write(line)

    monkeypatch.setattr("bulkpull.observability.run_log.FileIO", Disk)
    written = RunLog(tmp_path)
    written.start()

    def tell(number: int) -> None:
        written.append(event("call.finished", number=number), run_id=RUN, at=AT)

    tell(1)
    is_full.set()
    tell(2)
    assert was_refused.wait(60)
    tell(3)
    is_full.clear()
    tell(4)

    assert written.close() is None
    lines = [parse_entry(line) for line in Layout(tmp_path).log(RUN).read_text().splitlines()]
    write_log = [entry[0].facts["number"] for entry in lines if entry is not None and "number" in entry[0].facts]
    assert write_log == [1, 2, 3, 4]
