"""The ledger's database: brought up to date, refused when it is newer, set aside when it is damaged."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from support import FakeClock, peak_memory

from bulkpull.clock import iso_utc
from bulkpull.errors import DiskTrouble, LedgerError
from bulkpull.output import ledger_db
from bulkpull.output.ledger import opened_ledger
from bulkpull.output.ledger_db import MIGRATIONS, SCHEMA_VERSION
from bulkpull.output.ledger_facts import ReportFacts

AT = datetime(2026, 11, 23, 2, tzinfo=UTC)
PAGE = 4096


def write_old(path: Path, *, version: int = 1) -> None:
    """A ledger as an earlier version wrote it, with a run in it."""
    with closing(sqlite3.connect(path)) as database:
        database.executescript(f"{''.join(MIGRATIONS[:version])} PRAGMA user_version = {version};")
        database.execute("INSERT INTO run VALUES ('run-1', ?, '{}')", (iso_utc(AT),))
        database.commit()


async def fill(folder: Path, *, steps: int = 400) -> Path:
    """A ledger of many pages."""
    async with opened_ledger(folder) as ledger:
        await ledger.begin_run("run-1", request={}, at=AT)
        for number in range(steps):
            await ledger.note("run-1", dataset="Profile", facts=ReportFacts(f"{number:0500}"), at=AT)
    return folder / "ledger.sqlite"


@pytest.mark.parametrize("version", range(1, SCHEMA_VERSION))
async def test_a_ledger_of_an_earlier_version_is_brought_up_to_date_with_all_that_it_knows(
    tmp_path: Path, version: int
) -> None:
    write_old(tmp_path / "ledger.sqlite", version=version)

    async with opened_ledger(tmp_path) as ledger:
        assert [run.run_id for run in await ledger.runs()] == ["run-1"]
        await ledger.resume_run("run-1", at=AT)
        assert ledger.set_aside is None

    with closing(sqlite3.connect(tmp_path / "ledger.sqlite")) as database:
        assert ledger_db.version_of(database) == SCHEMA_VERSION


async def test_an_earlier_version_can_be_read_without_being_changed(tmp_path: Path) -> None:
    write_old(tmp_path / "ledger.sqlite")
    before = (tmp_path / "ledger.sqlite").read_bytes()

    async with opened_ledger(tmp_path, read_only=True) as ledger:
        assert [run.run_id for run in await ledger.runs()] == ["run-1"]
        assert await ledger.resumptions("run-1") == []

    assert [path.name for path in tmp_path.iterdir()] == ["ledger.sqlite"]
    assert (tmp_path / "ledger.sqlite").read_bytes() == before


async def test_a_migration_that_breaks_off_leaves_the_earlier_version_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_old(tmp_path / "ledger.sqlite")
    with monkeypatch.context() as patched:
        patched.setattr(
            ledger_db, "MIGRATIONS", (*MIGRATIONS, "CREATE TABLE more (x); INSERT INTO nowhere VALUES (1);")
        )
        patched.setattr(ledger_db, "SCHEMA_VERSION", SCHEMA_VERSION + 1)
        with pytest.raises(LedgerError, match="nowhere"):
            async with opened_ledger(tmp_path):
                pass

    with closing(sqlite3.connect(tmp_path / "ledger.sqlite")) as database:
        assert ledger_db.version_of(database) == 1
        tables = {name for (name,) in database.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
    assert tables == {"run", "ending", "step"}


@pytest.mark.fault(9)
@pytest.mark.parametrize("read_only", [False, True])
async def test_a_ledger_of_a_newer_version_is_refused_and_left_alone(tmp_path: Path, read_only: bool) -> None:
    async with opened_ledger(tmp_path):
        pass
    with closing(sqlite3.connect(tmp_path / "ledger.sqlite")) as database:
        database.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")

    with pytest.raises(LedgerError, match="newer bulkpull") as refused:
        async with opened_ledger(tmp_path, read_only=read_only):
            pass

    assert refused.value.exit_code == 1
    assert [path.name for path in tmp_path.glob("*.sqlite")] == ["ledger.sqlite"]


def rubbish(path: Path) -> None:
    path.write_bytes(b"not a database at all" * 100)


def corrupt_page(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[5 * PAGE : 7 * PAGE] = b"\xa5" * (2 * PAGE)
    path.write_bytes(content)


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: 3 * PAGE + 100])


def foreign(path: Path) -> None:
    path.unlink()
    with closing(sqlite3.connect(path)) as database:
        database.execute("CREATE TABLE photo (name TEXT)")


@pytest.mark.fault(9)
@pytest.mark.parametrize("harm", [rubbish, corrupt_page, truncated, foreign])
async def test_a_damaged_ledger_is_set_aside_under_a_name_that_says_when_and_a_new_one_begun(
    tmp_path: Path, harm: object
) -> None:
    path = await fill(tmp_path)
    assert callable(harm)
    harm(path)
    damaged = path.read_bytes()

    async with opened_ledger(tmp_path, clock=FakeClock()) as ledger:
        assert await ledger.runs() == []
        await ledger.begin_run("run-2", request={}, at=AT)
        assert ledger.set_aside is not None
        assert ledger.set_aside.path == tmp_path / "ledger.damaged-20261123T020000Z.sqlite"
        assert str(ledger.set_aside.path) in ledger.set_aside.sentence

    assert ledger.set_aside.path.read_bytes() == damaged
    async with opened_ledger(tmp_path) as ledger:
        assert ledger.set_aside is None
        assert [run.run_id for run in await ledger.runs()] == ["run-2"]


@pytest.mark.fault(9)
async def test_the_journal_of_a_damaged_ledger_goes_with_it(tmp_path: Path) -> None:
    rubbish(tmp_path / "ledger.sqlite")
    for ending in ("-wal", "-shm"):
        (tmp_path / f"ledger.sqlite{ending}").write_bytes(b"journal")

    async with opened_ledger(tmp_path, clock=FakeClock()):
        pass

    for ending in ("-wal", "-shm"):
        assert (tmp_path / f"ledger.damaged-20261123T020000Z.sqlite{ending}").read_bytes() == b"journal"


@pytest.mark.fault(9)
async def test_of_many_damaged_ledgers_the_last_three_are_kept(tmp_path: Path) -> None:
    clock = FakeClock()
    for _ in range(5):
        rubbish(tmp_path / "ledger.sqlite")
        async with opened_ledger(tmp_path, clock=clock):
            pass
        clock.advance(3_600)

    stamps = [path.name.removeprefix("ledger.damaged-") for path in sorted(tmp_path.glob("*.damaged-*.sqlite"))]
    assert stamps == [f"20261123T{hour}0000Z.sqlite" for hour in ("04", "05", "06")]


@pytest.mark.fault(9)
@pytest.mark.parametrize("harm", [rubbish, truncated, corrupt_page])
async def test_who_only_reads_moves_nothing(tmp_path: Path, harm: object) -> None:
    path = await fill(tmp_path)
    assert callable(harm)
    harm(path)
    damaged = path.read_bytes()

    with pytest.raises(LedgerError, match="cannot be used"):
        async with opened_ledger(tmp_path, read_only=True) as ledger:
            await ledger.steps("run-1")

    assert [item.name for item in tmp_path.iterdir()] == ["ledger.sqlite"]
    assert path.read_bytes() == damaged


async def test_a_reader_beside_a_writer_sees_the_last_commit_and_neither_waits(tmp_path: Path) -> None:
    async with opened_ledger(tmp_path) as writing:
        await writing.begin_run("run-1", request={}, at=AT)
        async with opened_ledger(tmp_path, read_only=True) as reading:
            assert len(await reading.runs()) == 1
            await writing.begin_run("run-2", request={}, at=AT)
            assert len(await reading.runs()) == 2


@pytest.mark.fault(9)
async def test_a_ledger_that_another_program_holds_is_told_in_one_sentence_and_not_taken_for_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger_db, "BUSY_S", 0.01)
    async with opened_ledger(tmp_path):
        pass
    with closing(sqlite3.connect(tmp_path / "ledger.sqlite", isolation_level=None)) as other:
        other.execute("PRAGMA locking_mode = EXCLUSIVE")
        other.execute("BEGIN EXCLUSIVE")

        with pytest.raises(LedgerError, match="another program holds the run ledger"):
            async with opened_ledger(tmp_path):
                pass

    assert [path.name for path in tmp_path.glob("*.damaged*")] == []


@pytest.mark.fault(9)
async def test_a_lock_that_comes_in_mid_run_is_told_as_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger_db, "BUSY_S", 0.01)
    async with opened_ledger(tmp_path) as ledger:
        with closing(sqlite3.connect(tmp_path / "ledger.sqlite", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(LedgerError, match="database browser"):
                await ledger.begin_run("run-1", request={}, at=AT)
            other.execute("ROLLBACK")
        await ledger.begin_run("run-1", request={}, at=AT)


@pytest.mark.parametrize(("code", "words"), [("SQLITE_FULL", "no space left"), ("SQLITE_CANTOPEN", "no permission")])
def test_a_disk_that_refuses_the_ledger_is_told_as_for_any_file(tmp_path: Path, code: str, words: str) -> None:
    trouble = sqlite3.OperationalError("told by SQLite")
    trouble.sqlite_errorcode = getattr(sqlite3, code)

    with pytest.raises(DiskTrouble, match=words), ledger_db.ledger_errors(tmp_path):
        raise trouble


@pytest.mark.case("C21")
async def test_the_rows_of_a_large_ledger_are_checked_one_at_a_time(tmp_path: Path) -> None:
    """A process that makes run after run grew by what the check of all earlier runs took."""
    row_bytes, rows = 200_000, 40
    async with opened_ledger(tmp_path) as ledger:
        await ledger.begin_run("run-1", request={}, at=AT)
        for number in range(rows):
            await ledger.note("run-1", dataset="Profile", facts=ReportFacts(f"{number:0{row_bytes}}"), at=AT)

    with peak_memory() as peak:
        database, set_aside = ledger_db.open_to_write(tmp_path / "ledger.sqlite", stamp="20260101T000000Z")
    with closing(database):
        (cache_size,) = database.execute("PRAGMA cache_size").fetchone()

    assert set_aside is None
    assert cache_size == -256, "KiB that SQLite keeps, in a negative number"
    assert peak.size_bytes < 8 * row_bytes
