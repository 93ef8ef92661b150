"""
The ledger: what each pull of a run has reached; appended, never edited.

SQLite in `.bulkpull/`, one writer. Every step's outcome is in it before the next step begins, so that a run that was
cut off can be carried on: same query, same report. Never a secret, never a secure link.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import anyio
import anyio.to_thread

from bulkpull.errors import LedgerError

T = TypeVar("T")

SCHEMA_VERSION = 1
_SCHEMA = """
CREATE TABLE run (
    run_id TEXT PRIMARY KEY, started_at TEXT NOT NULL, request TEXT NOT NULL
) STRICT;
CREATE TABLE ending (
    run_id TEXT NOT NULL REFERENCES run, ended_at TEXT NOT NULL, status TEXT NOT NULL, summary TEXT NOT NULL
) STRICT;
CREATE TABLE step (
    number INTEGER PRIMARY KEY, run_id TEXT NOT NULL REFERENCES run, dataset TEXT NOT NULL, step TEXT NOT NULL,
    at TEXT NOT NULL, facts TEXT NOT NULL
) STRICT;
CREATE INDEX step_of_run ON step (run_id, dataset);
"""


@dataclass(frozen=True, slots=True)
class RunEntry:
    """
    A run as the ledger knows it.

    Attributes:
        request: What was asked for; a later run with the same request carries on an unfinished one.
        status: `complete`, `partial`, `failed`, `interrupted`; `None` while it runs, and after a kill.
        summary: Counts per dataset status.
    """

    run_id: str
    started_at: str
    request: Mapping[str, Any]
    ended_at: str | None = None
    status: str | None = None
    summary: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class StepEntry:
    """The outcome of one step of one pull."""

    dataset: str
    step: str
    at: str
    facts: Mapping[str, Any]


class Ledger:
    """Reads and appends; every call goes to a thread, because a commit waits for the disk."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database
        self._one_at_a_time = anyio.CapacityLimiter(1)

    async def begin_run(self, run_id: str, *, request: Mapping[str, Any], at: str) -> None:
        """Write down that a run begins."""
        await self._write("INSERT INTO run VALUES (?, ?, ?)", (run_id, at, _json(request)))

    async def end_run(self, run_id: str, *, status: str, summary: Mapping[str, Any], at: str) -> None:
        """Write down how a run ended. A run that is carried on ends more than once; the last ending counts."""
        await self._write("INSERT INTO ending VALUES (?, ?, ?, ?)", (run_id, at, status, _json(summary)))

    async def note(self, run_id: str, *, dataset: str, step: str, facts: Mapping[str, Any], at: str) -> None:
        """Write down the outcome of a step before the next one begins."""
        await self._write(
            "INSERT INTO step (run_id, dataset, step, at, facts) VALUES (?, ?, ?, ?, ?)",
            (run_id, dataset, step, at, _json(facts)),
        )

    async def runs(self) -> list[RunEntry]:
        """All runs, newest first."""
        rows = await self._read(
            "SELECT run.run_id, started_at, request, ended_at, status, summary FROM run LEFT JOIN ending"
            " ON ending.rowid = (SELECT max(rowid) FROM ending WHERE ending.run_id = run.run_id)"
            " ORDER BY run.rowid DESC"
        )
        return [
            RunEntry(run_id, started_at, json.loads(request), ended_at, status, json.loads(summary or "null"))
            for run_id, started_at, request, ended_at, status, summary in rows
        ]

    async def steps(self, run_id: str) -> list[StepEntry]:
        """What the pulls of a run have reached, in the order in which they reached it."""
        rows = await self._read("SELECT dataset, step, at, facts FROM step WHERE run_id = ? ORDER BY number", (run_id,))
        return [StepEntry(dataset, step, at, json.loads(facts)) for dataset, step, at, facts in rows]

    async def moments(self, *, step: str, since: str) -> list[str]:
        """When steps of that name were noted, over all runs, from `since` on (both ISO 8601 UTC)."""
        rows = await self._read("SELECT at FROM step WHERE step = ? AND at >= ? ORDER BY at", (step, since))
        return [at for (at,) in rows]

    async def _write(self, statement: str, values: tuple[Any, ...]) -> None:
        def work() -> None:
            with self._database:
                self._database.execute(statement, values)

        # Shielded: a step that has happened is written down even when the run is being stopped.
        with anyio.CancelScope(shield=True):
            await self._in_thread(work)

    async def _read(self, statement: str, values: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        return await self._in_thread(lambda: self._database.execute(statement, values).fetchall())

    async def _in_thread(self, work: Callable[[], T]) -> T:
        try:
            return await anyio.to_thread.run_sync(work, limiter=self._one_at_a_time)
        except sqlite3.Error as trouble:
            raise LedgerError("the run ledger cannot be used", why=str(trouble), fix=_FIX) from trouble


_FIX = "move `.bulkpull/ledger.sqlite` away and run again: published data is not touched"


@asynccontextmanager
async def opened_ledger(folder: Path, *, read_only: bool = False) -> AsyncIterator[Ledger]:
    """
    The ledger in `folder` (the private `.bulkpull`), created when there is none.

    Raises:
        LedgerError: It is damaged, or was written by a newer version.
    """
    path = folder / "ledger.sqlite"
    try:
        database = await anyio.to_thread.run_sync(lambda: _open(path, read_only=read_only))
    except sqlite3.Error as trouble:
        raise LedgerError(f"the run ledger {path} cannot be opened", why=str(trouble), fix=_FIX) from trouble
    try:
        yield Ledger(database)
    finally:
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(database.close)


def _open(path: Path, *, read_only: bool) -> sqlite3.Connection:
    mode = _mode_to_read(path) if read_only else "mode=rwc"
    database = sqlite3.connect(f"{path.resolve().as_uri()}?{mode}", uri=True, check_same_thread=False)
    try:
        version = database.execute("PRAGMA user_version").fetchone()[0]
        if version > SCHEMA_VERSION:
            raise LedgerError(
                f"the run ledger {path} was written by a newer bulkpull",
                why=f"its schema is version {version}, this one knows {SCHEMA_VERSION}",
                fix="upgrade bulkpull, or choose another folder with --output",
            )
        if version == 0 and not read_only:
            database.execute("PRAGMA journal_mode = WAL")
            database.executescript(f"BEGIN; {_SCHEMA} PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;")
        if not read_only:
            database.execute("PRAGMA synchronous = FULL")
    except BaseException:
        database.close()
        raise
    return database


def _mode_to_read(path: Path) -> str:
    """
    How to open the database so that reading leaves no file behind.

    SQLite creates `-wal` and `-shm` beside a WAL database even for a reader, unless it is told that nobody writes. That
    holds while there is no journal; a run that begins in the next instants writes to its journal, not to what is read.
    """
    journal = path.with_name(f"{path.name}-wal")
    is_idle = not journal.exists() or journal.stat().st_size == 0
    return "mode=ro&immutable=1" if is_idle else "mode=ro"


def _json(value: Mapping[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
