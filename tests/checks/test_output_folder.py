"""The doctor's look at the output folder: nothing is made, and what a run needs to know is reported."""

from __future__ import annotations

import errno
import json
import os
import shutil
import socket
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from support import START, FakeClock

from bulkpull.checks.output_folder import check_output_folder
from bulkpull.checks.result import CheckResult, CheckStatus, problem_from
from bulkpull.clock import iso_utc
from bulkpull.config.settings import Settings
from bulkpull.errors import BulkpullError, SettingsError
from bulkpull.output.atomic_files import RESERVE_BYTES
from bulkpull.output.current import Current, CurrentSnapshot
from bulkpull.output.ledger import opened_ledger
from bulkpull.output.ledger_facts import ReportFacts
from bulkpull.output.lock import find_writer, locked
from bulkpull.output.owner import Owner, check_owner, claim_folder
from bulkpull.output.store import LocalStore

RUN = "20261123T013000Z-0000aa"


class Usage(NamedTuple):
    """As `shutil.disk_usage` answers."""

    total: int
    used: int
    free: int


async def look(output: Path) -> dict[str, CheckResult]:
    found = await check_output_folder(Settings(output=output), clock=FakeClock())
    return {finding.check: finding for finding in found}


async def write_run(output: Path, *, reports: int = 0, downloaded_bytes: int = 0) -> None:
    """A complete run that ended half an hour ago."""
    began = START - timedelta(minutes=30)
    at = iso_utc(began)
    private = output / ".bulkpull"
    private.mkdir(parents=True, exist_ok=True)
    async with opened_ledger(private) as ledger:
        await ledger.begin_run(RUN, request={}, at=began)
        for _ in range(reports):
            await ledger.note(RUN, dataset="Profile", facts=ReportFacts("r"), at=began)
        await ledger.end_run(RUN, status="complete", summary={"complete": 1}, at=began)
    record = {"dataset": "Profile", "status": "complete", "downloaded_bytes": downloaded_bytes}
    record["files"] = [{"path": "x", "rows": 1, "bytes": 1_000_000, "sha256": ""}]
    manifest = {"run_id": RUN, "status": "complete", "started_at": at, "finished_at": at, "api_base_url": "https://x"}
    folder = output / "runs" / RUN
    folder.mkdir(parents=True)
    text = json.dumps(manifest | {"tool": {"version": "0"}, "requests": {}, "datasets": [record]})
    (folder / "manifest.json").write_text(text, encoding="utf-8")


async def test_a_folder_that_does_not_exist_is_not_made_by_looking(tmp_path: Path) -> None:
    found = await look(tmp_path / "new" / "data")

    assert {finding.verdict for finding in found.values()} == {CheckStatus.OK}
    assert "can be created" in found["output"].message
    assert list(tmp_path.iterdir()) == []


async def test_an_existing_folder_is_written_to_for_trial_and_left_as_it_was(tmp_path: Path) -> None:
    found = await look(tmp_path)

    assert "can be written" in found["output"].message
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("below", [".", "data"])
async def test_a_file_in_the_way_of_the_folder_is_trouble(tmp_path: Path, below: str) -> None:
    """Settings refuse a file as the folder; here it comes into the way after they were made."""
    settings = Settings(output=tmp_path / "taken" / below)
    (tmp_path / "taken").write_text("a file", encoding="utf-8")
    found = {finding.check: finding for finding in await check_output_folder(settings, clock=FakeClock())}

    assert found["output"].verdict is CheckStatus.TROUBLE
    assert "not a folder" in found["output"].message
    assert "--output" in (found["output"].fix or "")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere")
async def test_a_folder_without_permission_is_trouble(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    found = await look(tmp_path)
    tmp_path.chmod(0o700)

    assert "no permission" in found["output"].message


@pytest.mark.fault(8)
async def test_free_room_is_not_called_fine_where_nothing_can_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(tempfile, "TemporaryDirectory", refuse)
    found = await look(tmp_path)

    assert found["output"].verdict is CheckStatus.TROUBLE
    assert "its disk is mounted read-only" in found["output"].message
    assert found["disk"].verdict is CheckStatus.UNCHECKED
    assert found["disk"].message.startswith("the output folder cannot be written; ")


@pytest.mark.fault(8)
async def test_a_folder_that_cannot_be_created_leads_to_one_that_can(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Below /proc no folder can be made, and it has no free bytes: one problem, whose fix is not the doctor."""
    (tmp_path / "kernel").mkdir()
    monkeypatch.chdir(tmp_path)
    create = tempfile.TemporaryDirectory

    def refuse_there(**options: Any) -> tempfile.TemporaryDirectory[str]:
        if options["dir"] == tmp_path / "kernel":
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
        return create(**options)

    monkeypatch.setattr(tempfile, "TemporaryDirectory", refuse_there)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(0, 0, 0))
    found = await look(tmp_path / "kernel" / "out")

    usual = tmp_path / "bulkpull-data"
    assert found["output"].fix == f"set `output` (or --output) to a folder that can be written, such as {usual}"
    assert found["disk"].verdict is CheckStatus.UNCHECKED
    assert list(tmp_path.iterdir()) == [tmp_path / "kernel"]


def _subclasses(kind: type[BulkpullError]) -> list[type[BulkpullError]]:
    return [kind, *(found for subclass in kind.__subclasses__() for found in _subclasses(subclass))]


def test_no_check_of_the_doctor_sends_to_the_doctor() -> None:
    public = [kind for kind in _subclasses(BulkpullError) if kind.__module__ == BulkpullError.__module__]
    kinds = [kind for kind in public if "doctor" in kind.remedy]
    errors = [kind("it failed") for kind in kinds]
    misspelt = {"tenantid": "t", "grant": "pasword"}
    for wrong in ({"on_drift": "wran"}, {"nonsense": 1}, {"on_drift": "wran", "nonsense": 1}, misspelt):
        with pytest.raises(SettingsError) as refused:
            Settings(**wrong)
        errors.append(refused.value)

    fixes = [problem_from("x", error).fix for error in errors]

    assert len(kinds) > 5
    assert [fix for fix in fixes if not fix or "doctor" in fix] == []


@pytest.mark.case("O5")
@pytest.mark.fault(6)
@pytest.mark.parametrize(("short_bytes", "verdict"), [(0, CheckStatus.OK), (1, CheckStatus.TROUBLE)])
async def test_free_room_is_held_against_what_the_published_datasets_took(
    short_bytes: int, verdict: CheckStatus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await write_run(tmp_path, downloaded_bytes=4_000_000)
    Current(datasets={"Profile": CurrentSnapshot(run_id=RUN, rows=1, files=["x"])}).save(LocalStore(tmp_path))
    free = 5_000_000 + RESERVE_BYTES - short_bytes
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(free, 0, free))
    disk = (await look(tmp_path))["disk"]

    assert (disk.verdict, disk.facts["needed_bytes"]) == (verdict, 5_000_000 + RESERVE_BYTES)
    assert "9.2 MB" in disk.message
    assert bool(disk.fix) == bool(short_bytes)


@pytest.mark.fault(6)
async def test_before_the_first_export_the_twenty_are_expected_to_take_some_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(9_000_000, 0, 9_000_000))
    disk = (await look(tmp_path / "new"))["disk"]

    assert disk.verdict is CheckStatus.TROUBLE
    assert "an export of 20 datasets needs 30.2 MB with its reserve" in disk.message
    assert "2.0 MB for each that was never exported" in disk.message


async def test_the_holder_of_the_lock_is_named_and_is_no_trouble(tmp_path: Path) -> None:
    assert "free" in (await look(tmp_path))["lock"].message
    async with locked(tmp_path / ".bulkpull", since=datetime(2026, 11, 23, 1, tzinfo=UTC)):
        held = (await look(tmp_path))["lock"]
    free = (await look(tmp_path))["lock"]

    assert held.verdict is CheckStatus.OK
    assert f"process {os.getpid()} on {socket.gethostname()}, since 2026-11-23T01:00:00Z" in held.message
    assert free.facts == {"held": False}


@pytest.mark.parametrize(
    "account",
    [
        {"pid": 2**22 + 1, "host": socket.gethostname(), "since": "x"},
        {"pid": 1, "host": "elsewhere.contoso.example", "since": "x"},
        {"strange": True},
    ],
)
def test_an_account_left_by_a_dead_writer_holds_nothing(tmp_path: Path, account: dict[str, object]) -> None:
    (tmp_path / "writer.json").write_text(json.dumps(account), encoding="utf-8")

    assert find_writer(tmp_path) is None


async def test_the_ledger_tells_of_its_runs_and_of_the_quota(tmp_path: Path) -> None:
    await write_run(tmp_path, reports=5)
    found = await look(tmp_path)

    assert "1 run, the last complete" in found["ledger"].message
    assert found["quota"].facts["made"] == 5
    assert "until 02:30Z" in found["quota"].message  # made at 01:30, an hour before it opens again


async def test_a_ledger_that_cannot_be_read_is_trouble_with_a_next_step(tmp_path: Path) -> None:
    private = tmp_path / ".bulkpull"
    private.mkdir()
    (private / "ledger.sqlite").write_bytes(b"this is no database, whatever its name says" * 50)
    found = await look(tmp_path)

    assert found["ledger"].verdict is CheckStatus.TROUBLE
    assert found["ledger"].fix
    assert found["quota"].verdict is CheckStatus.UNCHECKED


async def test_a_folder_of_another_account_is_a_problem_as_it_is_for_an_export(tmp_path: Path) -> None:
    mine = Settings(output=tmp_path / "data", tenant_id="contoso.example")
    store = LocalStore(mine.output)
    mine.output.mkdir()
    claim_folder(store, Owner(mine.account))
    other = mine.model_copy(update={"tenant_id": "fabrikam.example"})

    fine, problem = [(await check_output_folder(settings, clock=FakeClock()))[0] for settings in (mine, other)]

    with pytest.raises(SettingsError) as refused:
        check_owner(store, other.account)
    assert fine.verdict is CheckStatus.OK
    assert (problem.check, problem.verdict, problem.exit_code) == ("output", CheckStatus.TROUBLE, 2)
    assert problem.message == refused.value.message
    assert f"{problem.fix}; no report was created" == refused.value.fix  # the doctor never creates one
