"""The ledger remembers what a run reached; the lock lets one run write."""

from __future__ import annotations

import errno
import json
import sys
from collections.abc import Mapping
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anyio
import pytest

from bulkpull.errors import DiskTrouble, OutputLocked
from bulkpull.output import ledger_db
from bulkpull.output.atomic_files import disk_errors, json_text, write_atomically
from bulkpull.output.ledger import opened_ledger
from bulkpull.output.ledger_facts import ReportFacts, ScheduledReportFacts
from bulkpull.output.lock import locked
from bulkpull.output.manifest import DatasetRecord, Manifest, Requests, Tool, status_of

AT = datetime(2026, 11, 23, 2, tzinfo=UTC)
JANUARY, JUNE, NOVEMBER = (datetime(2026, month, 1, tzinfo=UTC) for month in (1, 6, 11))
# SQLite: OFF 0, NORMAL 1, FULL 2, EXTRA 3.
_FULL = 2


async def test_what_was_noted_is_there_after_the_ledger_was_closed(tmp_path: Path) -> None:
    async with opened_ledger(tmp_path) as ledger:
        await ledger.begin_run("run-1", request={"datasets": ["profile"]}, at=AT)
        await ledger.note("run-1", dataset="Profile", facts=ReportFacts("r"), at=AT)

    async with opened_ledger(tmp_path) as ledger:
        (run,) = await ledger.runs()
        (step,) = await ledger.steps("run-1")
        moments = await ledger.moments(ReportFacts, since=AT)

    assert (run.run_id, run.request, run.status) == ("run-1", {"datasets": ["profile"]}, None)
    assert (step.dataset, step.step, step.facts) == ("Profile", "report", ReportFacts("r").as_json())
    assert moments == [AT]


@pytest.mark.fault(103)
async def test_an_interruption_is_recorded_once_for_each_part_of_a_run_that_has_not_ended(tmp_path: Path) -> None:
    async with opened_ledger(tmp_path) as ledger:
        ledger.record_interruption("run-1", at=AT)  # it is not begun
        await ledger.begin_run("run-1", request={}, at=AT)
        ledger.record_interruption("run-1", at=AT)
        ledger.record_interruption("run-1", at=AT)
        await ledger.resume_run("run-1", at=NOVEMBER.replace(day=25))
        ledger.record_interruption("run-1", at=NOVEMBER.replace(day=26))
        await ledger.resume_run("run-1", at=NOVEMBER.replace(day=27))
        await ledger.end_run("run-1", status="complete", summary={}, at=NOVEMBER.replace(day=28))
        ledger.record_interruption("run-1", at=NOVEMBER.replace(day=29))

    async with opened_ledger(tmp_path) as ledger:
        assert ledger.set_aside is None  # every row has its digest
        endings = await ledger.endings("run-1")

    assert [(ending.at.day, ending.status) for ending in endings] == [
        (23, "interrupted"),
        (26, "interrupted"),
        (28, "complete"),
    ]


@pytest.mark.case("C44")
@pytest.mark.fault(95)
@pytest.mark.parametrize("shared_maps", [True, False])
def test_a_commit_is_on_the_disk_before_the_next_step_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, shared_maps: bool
) -> None:
    """In both journal modes: with less than FULL a power cut takes the last commits of a write-ahead journal."""
    if not shared_maps:
        opened = ledger_db._open_checked
        monkeypatch.setattr(ledger_db, "_open_checked", lambda path, **_: opened(path, shared_maps=False))
    database, _ = ledger_db.open_to_write(tmp_path / "ledger.sqlite", stamp="20260101T000000Z")
    with closing(database):
        (level,) = database.execute("PRAGMA synchronous").fetchone()
        (mode,) = database.execute("PRAGMA journal_mode").fetchone()

    assert level >= _FULL
    assert mode == ("wal" if shared_maps else "delete")


async def test_runs_come_newest_first_with_their_last_ending(tmp_path: Path) -> None:
    async with opened_ledger(tmp_path) as ledger:
        for run_id in ("run-1", "run-2"):
            await ledger.begin_run(run_id, request={}, at=AT)
        await ledger.end_run("run-1", status="interrupted", summary={}, at=AT)
        await ledger.end_run("run-1", status="complete", summary={"complete": 20}, at=AT)

        runs = await ledger.runs()

    assert [(run.run_id, run.status) for run in runs] == [("run-2", None), ("run-1", "complete")]
    assert runs[1].summary == {"complete": 20}


async def test_the_endings_and_resumptions_of_a_run_are_remembered_in_their_order(tmp_path: Path) -> None:
    async with opened_ledger(tmp_path) as ledger:
        await ledger.begin_run("run-1", request={}, at=AT)
        await ledger.end_run("run-1", status="interrupted", summary={"failed": 1}, at=AT)
        await ledger.resume_run("run-1", at=datetime(2026, 11, 23, 3, tzinfo=UTC))
        await ledger.end_run("run-1", status="complete", summary={}, at=datetime(2026, 11, 23, 3, 10, tzinfo=UTC))

        assert [ending.status for ending in await ledger.endings("run-1")] == ["interrupted", "complete"]
        assert await ledger.resumptions("run-1") == [datetime(2026, 11, 23, 3, tzinfo=UTC)]
        assert await ledger.resumptions("run-2") == []


async def test_old_runs_are_forgotten_with_all_that_they_reached_unless_something_of_them_is_kept(
    tmp_path: Path,
) -> None:
    async with opened_ledger(tmp_path) as ledger:
        for run_id, at in (("old", JANUARY), ("kept", JANUARY), ("new", NOVEMBER)):
            await ledger.begin_run(run_id, request={}, at=at)
            await ledger.note(run_id, dataset="Profile", facts=ReportFacts("r"), at=at)
            await ledger.end_run(run_id, status="complete", summary={}, at=at)

        forgotten = await ledger.prune(before=JUNE, keep={"kept"})

        assert forgotten == 1
        assert [run.run_id for run in await ledger.runs()] == ["new", "kept"]
        assert (await ledger.steps("old"), await ledger.endings("old")) == ([], [])
        assert len(await ledger.steps("kept")) == 1


@pytest.mark.case("N16")
async def test_the_last_note_of_each_scheduled_report_outlives_its_run(tmp_path: Path) -> None:
    async with opened_ledger(tmp_path) as ledger:
        for run_id, at in (("a", JANUARY), ("b", JANUARY), ("c", NOVEMBER)):
            await ledger.begin_run(run_id, request={}, at=at)
            for report_id in ("1", "2") if run_id == "a" else ("1",):
                await ledger.note(
                    run_id, dataset="Profile", facts=ScheduledReportFacts("n", report_id=report_id), at=at
                )
            await ledger.note(run_id, dataset="Profile", facts=ReportFacts("3"), at=at)

        await ledger.prune(before=JUNE, keep=(), keep_last=ScheduledReportFacts)

        noted = [(entry.at, entry.facts.report_id) for entry in await ledger.noted(ScheduledReportFacts)]
        assert noted == [(JANUARY, "2"), (NOVEMBER, "1")]
        assert len(await ledger.noted(ReportFacts)) == 1


async def test_large_facts_that_nobody_reads_any_more_go_and_their_steps_stay(tmp_path: Path) -> None:
    async with opened_ledger(tmp_path) as ledger:
        await ledger.begin_run("run-1", request={}, at=AT)
        for report_id in ("over", "needed"):
            await ledger.note("run-1", dataset="Profile", facts=ReportFacts(report_id, "q", "name"), at=AT)

        is_over = {"over": True, "needed": False}
        dropped = await ledger.drop_facts(
            ReportFacts, ("name", "query_id"), is_over=lambda facts: is_over[facts["report_id"]]
        )

    assert dropped == 1
    async with opened_ledger(tmp_path) as ledger:
        assert ledger.set_aside is None, "the digest of the row is renewed"
        noted = [entry.facts for entry in await ledger.noted(ReportFacts)]
        looked_at: list[str] = []

        def look(facts: Mapping[str, Any]) -> bool:
            looked_at.append(facts["report_id"])
            return False

        await ledger.drop_facts(ReportFacts, ("name",), is_over=look)
    assert noted == [ReportFacts("over"), ReportFacts("needed", "q", "name")]
    assert looked_at == ["needed"], "what was dropped is not looked at again"


async def test_the_values_of_a_fact_are_told_once_for_each_dataset(tmp_path: Path) -> None:
    async with opened_ledger(tmp_path) as ledger:
        await ledger.begin_run("run-1", request={}, at=AT)
        for dataset, query_id in (("Profile", "1"), ("Profile", "1"), ("Profile", "2"), ("Usage", "1"), ("Usage", "")):
            await ledger.note("run-1", dataset=dataset, facts=ReportFacts("r", query_id), at=AT)
        await ledger.note("run-1", dataset="Usage", facts=ScheduledReportFacts("n"), at=AT)

        kinds, ids = (ReportFacts, ScheduledReportFacts), [("Profile", "1"), ("Profile", "2"), ("Usage", "1")]
        assert await ledger.distinct(kinds, ["query_id"]) == set(ids)
        assert await ledger.distinct(kinds, ["query_id", "report_id"]) == {*ids, ("Profile", "r"), ("Usage", "r")}
        assert await ledger.distinct((ScheduledReportFacts,), ["query_id"]) == set()


HOLD = """
import sys
from datetime import UTC, datetime
from pathlib import Path
import anyio
from bulkpull.output.lock import locked
async def hold():
    async with locked(Path(sys.argv[1]), since=datetime(2026, 11, 23, 2, tzinfo=UTC)):
        print("held", flush=True)
        sys.stdin.read()
anyio.run(hold)
"""


@pytest.mark.fault(2, 3)
async def test_a_second_run_is_told_who_holds_the_folder_and_a_killed_holder_frees_it(tmp_path: Path) -> None:
    private = tmp_path / ".bulkpull"
    async with await anyio.open_process([sys.executable, "-c", HOLD, str(private)]) as holder:
        assert holder.stdout is not None
        assert (await holder.stdout.receive()).startswith(b"held")

        with pytest.raises(OutputLocked) as refused:
            async with locked(private, since=AT):
                pass
        assert f"process {holder.pid}" in str(refused.value)
        assert "since 2026-11-23T02:00:00Z" in str(refused.value)
        assert refused.value.exit_code == 5

        holder.kill()
        await holder.wait()
    async with locked(private, since=AT):
        pass


@pytest.mark.fault(5, 7)
@pytest.mark.parametrize(
    ("number", "status"),
    [(errno.EROFS, 2), (errno.EACCES, 2), (errno.EPERM, 2), (errno.ENOTDIR, 2), (errno.ENOSPC, 1), (errno.EIO, 1)],
)
def test_an_output_that_can_never_be_written_is_a_wrong_setting_and_a_full_disk_is_none(
    number: int, status: int, tmp_path: Path
) -> None:
    with pytest.raises(DiskTrouble) as reported, disk_errors(tmp_path):
        raise OSError(number, "reported by the system")

    assert reported.value.exit_code == status


@pytest.mark.fault(5)
async def test_an_output_folder_that_is_a_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("")

    with pytest.raises(DiskTrouble, match="not a folder"):
        async with locked(tmp_path / "out" / ".bulkpull", since=AT):
            pass


@pytest.mark.fault(5, 7)
@pytest.mark.parametrize(("number", "words"), [(28, "no space left"), (13, "no permission"), (5, "refused")])
def test_the_systems_refusals_become_one_sentence_with_the_path(number: int, words: str, tmp_path: Path) -> None:
    with pytest.raises(DiskTrouble, match=words) as reported, disk_errors(tmp_path):
        raise OSError(number, "told by the system")

    assert str(tmp_path) in str(reported.value)


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    write_atomically(path, json_text({"a": 1}))

    with pytest.raises(ValueError, match="Unable to serialize"):
        write_atomically(path, json_text({"a": object()}))

    assert json.loads(path.read_text()) == {"a": 1}
    assert [file.name for file in tmp_path.iterdir()] == ["x.json"]


def manifest(*records: DatasetRecord, interrupted: bool = False) -> Manifest:
    return Manifest(
        run_id="r", status=status_of(list(records)), started_at=AT, finished_at=AT, tool=Tool(version="1"),
        api_base_url="https://x", requests=Requests(), datasets=list(records), interrupted=interrupted,
    )  # fmt: skip


def record(status: str, *, named: bool = False) -> DatasetRecord:
    return DatasetRecord(dataset="Profile", status=status, named=named)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("records", "status", "code"),
    [
        ([record("complete"), record("skipped")], "complete", 0),
        ([record("complete"), record("unavailable")], "complete", 0),
        ([record("complete"), record("unavailable", named=True)], "partial", 3),
        ([record("complete"), record("failed")], "partial", 3),
        ([record("failed")], "failed", 3),
        ([], "complete", 0),
    ],
)
def test_status_and_exit_status_agree(records: list[DatasetRecord], status: str, code: int) -> None:
    made = manifest(*records)

    assert (made.status, made.exit_code) == (status, code)
    assert manifest(*records, interrupted=True).exit_code == 130


def test_the_manifest_has_the_keys_of_the_contract_and_reads_like_its_json() -> None:
    made = manifest(record("complete"))
    reported = made.as_dict()

    assert {
        "version", "run_id", "status", "started_at", "finished_at", "tool", "api_base_url", "requests", "datasets",
    } <= set(reported)  # fmt: skip
    assert {
        "dataset", "status", "reason", "query", "query_id", "report_id", "execution_id", "data_redacted", "rows",
        "columns", "downloaded_bytes", "files", "seconds",
    } <= set(reported["datasets"][0])  # fmt: skip
    assert set(reported["datasets"][0]["seconds"]) == {"submit", "wait", "download", "convert"}
    assert made["datasets"][0]["status"] == "complete"
