"""Whatever is damaged within the ledger's file, a run sets it aside and goes on (C21)."""

from __future__ import annotations

import os
import random
import sqlite3
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bulkpull.errors import LedgerError
from bulkpull.output.ledger import Ledger, opened_ledger
from bulkpull.output.ledger_facts import ScheduledReportFacts

AT = datetime(2026, 11, 23, 2, 4, 5, tzinfo=UTC)


async def fill(folder: Path) -> Path:
    """A ledger of a few runs; returns its file."""
    folder.mkdir(parents=True, exist_ok=True)
    async with opened_ledger(folder) as ledger:
        for number in range(4):
            run_id = f"20261123T02040{number}Z-abcdef"
            await ledger.begin_run(run_id, request={"datasets": ["profile"], "nightly": True}, at=AT)
            await ledger.resume_run(run_id, at=AT)
            await ledger.note(run_id, dataset="Profile", facts=ScheduledReportFacts("n", report_id="r"), at=AT)
            await ledger.end_run(run_id, status="complete", summary={"complete": 1}, at=AT)
    return folder / "ledger.sqlite"


async def read_all(ledger: Ledger) -> None:
    for run in await ledger.runs():
        assert set(run.request) == {"datasets", "nightly"}
        assert [set(step.facts) for step in await ledger.steps(run.run_id)] == [{"name", "report_id"}]
        await ledger.endings(run.run_id)
        await ledger.resumptions(run.run_id)


@pytest.mark.case("C21")
@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE step SET facts = '{\"name\": ' WHERE number = 2",
        "UPDATE step SET facts = replace(facts, 'report_id', 'repost_id') WHERE number = 2",
        "UPDATE step SET facts = '[]', digest = NULL",
        "UPDATE run SET started_at = 'yesterday'",
        "UPDATE run SET request = CAST(x'7bff7d' AS TEXT)",
        "UPDATE ending SET summary = 'null', digest = NULL",
        "PRAGMA user_version = 1",
        "PRAGMA user_version = 65539",
        "PRAGMA user_version = -1",
        "DROP TABLE resumption",
    ],
)
async def test_damage_that_sqlite_finds_whole_is_set_aside_and_the_run_goes_on(tmp_path: Path, statement: str) -> None:
    file = await fill(tmp_path)
    database = sqlite3.connect(file)
    with database:
        database.execute(statement)
    database.close()

    async with opened_ledger(tmp_path) as ledger:
        assert ledger.set_aside is not None
        assert ledger.set_aside.path.exists()
        assert await ledger.runs() == []
        await ledger.begin_run("20261124T020405Z-abcdef", request={"datasets": [], "nightly": True}, at=AT)
    async with opened_ledger(tmp_path) as ledger:
        assert ledger.set_aside is None


@pytest.mark.case("C26")
@pytest.mark.case("C21")
@pytest.mark.parametrize("kind", ["pipe", "folder", "loop", "link to nothing"])
async def test_what_is_no_regular_file_in_the_ledgers_place_is_set_aside(tmp_path: Path, kind: str) -> None:
    file = tmp_path / "ledger.sqlite"
    if kind == "pipe":
        os.mkfifo(file)
    elif kind == "folder":
        file.mkdir()
    else:
        file.symlink_to(file if kind == "loop" else tmp_path / "absent")

    async with opened_ledger(tmp_path) as ledger:
        assert ledger.set_aside is not None
        assert await ledger.runs() == []

    assert os.path.lexists(ledger.set_aside.path)
    assert file.is_file()


@pytest.mark.fault(6)
@pytest.mark.parametrize("has_header", [False, True])
async def test_a_ledger_without_tables_is_read_as_one_without_runs(tmp_path: Path, has_header: bool) -> None:
    file = tmp_path / "ledger.sqlite"
    file.touch()
    if has_header:
        database = sqlite3.connect(file)
        database.execute("PRAGMA journal_mode = WAL")
        database.close()

    async with opened_ledger(tmp_path, read_only=True) as ledger:
        assert await ledger.runs() == []
    async with opened_ledger(tmp_path) as ledger:
        assert ledger.set_aside is None


@pytest.mark.case("C21")
async def test_a_reader_of_a_damaged_row_is_told_that_the_next_run_mends_it(tmp_path: Path) -> None:
    database = sqlite3.connect(await fill(tmp_path))
    with database:
        database.execute("UPDATE run SET request = '{'")
    database.close()

    with pytest.raises(LedgerError, match="sets a damaged ledger aside"):
        async with opened_ledger(tmp_path, read_only=True) as ledger:
            await ledger.runs()


@pytest.mark.case("C48")
@pytest.mark.case("C21")
@pytest.mark.parametrize("seed", range(40))
async def test_after_random_damage_a_run_reads_what_was_written_or_begins_anew(tmp_path: Path, seed: int) -> None:
    file = await fill(tmp_path)
    draw = random.Random(seed)  # noqa: S311 - damage, not a secret
    content = bytearray(file.read_bytes())
    for _ in range(draw.choice((1, 1, 3, 20))):
        content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
    file.write_bytes(content)

    try:
        async with opened_ledger(tmp_path) as ledger:
            await read_all(ledger)
            await ledger.begin_run("20261124T020405Z-abcdef", request={"datasets": [], "nightly": True}, at=AT)
    except LedgerError as refused:
        if "written by a newer bulkpull" not in str(refused):  # a damaged version number that could be true
            raise
