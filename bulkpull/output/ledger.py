"""
The ledger: the steps that each pull of a run has completed, in SQLite in `.bulkpull/`, with one writer.

The outcome of every step is committed before the next step begins, so an interrupted run can resume with the same query
and report. It holds no secrets and no signed links.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import chain
from pathlib import Path
from typing import Any, Generic, TypeVar

import anyio
import anyio.to_thread

from bulkpull.clock import Clock, SystemClock, iso_utc
from bulkpull.output.atomic_files import json_values
from bulkpull.output.layout import ledger_file
from bulkpull.output.ledger_db import (
    SetAside,
    damaged_ledger,
    ledger_digest,
    ledger_errors,
    open_empty,
    open_to_read,
    open_to_write,
    version_of,
)
from bulkpull.output.ledger_facts import PublicationFacts, StepFacts

T = TypeVar("T")
FactsT_co = TypeVar("FactsT_co", bound=StepFacts, covariant=True)

_COUNTS_RESUMPTIONS = 2  # the version of the schema
_parse_moment = datetime.fromisoformat
# A run that has not ended since it was begun or resumed.
_INTERRUPT = """
INSERT INTO ending SELECT ?1, ?2, 'interrupted', '{}', ?3 FROM run WHERE run_id = ?1 AND NOT EXISTS (
    SELECT 1 FROM ending WHERE run_id = ?1
    AND ended_at >= coalesce((SELECT max(at) FROM resumption WHERE run_id = ?1), '')
)
"""


@dataclass(frozen=True, slots=True)
class RunEntry:
    """
    A run; `status` is `complete`, `partial`, `failed` or `interrupted`, and `None` while it runs, and after a kill.

    `summary` counts its datasets by status. It noted its last step at `active_at`.
    """

    run_id: str
    started_at: datetime
    request: Mapping[str, Any]
    ended_at: datetime | None = None
    status: str | None = None
    summary: Mapping[str, Any] | None = None
    active_at: datetime | None = None

    @property
    def command(self) -> str:
        return "nightly" if self.request.get("nightly") else "export"


@dataclass(frozen=True, slots=True)
class StepEntry:
    """One step of one pull, with its facts as JSON values."""

    dataset: str
    step: str
    at: datetime
    facts: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class NotedFacts(Generic[FactsT_co]):
    """The facts of one step of a dataset, and when they were written down."""

    dataset: str
    at: datetime
    facts: FactsT_co


@dataclass(frozen=True, slots=True)
class RunEnding:
    """One end of a run: the time, its status, and its counts per dataset status."""

    at: datetime
    status: str
    summary: Mapping[str, Any]


def read_facts(kind: type[FactsT_co], steps: Iterable[StepEntry]) -> list[NotedFacts[FactsT_co]]:
    """The facts of the steps of that kind, in their order; those that another version wrote otherwise are left out."""
    found = ((entry, kind.read(entry.facts)) for entry in steps if entry.step == kind.step)
    return [NotedFacts(entry.dataset, entry.at, facts) for entry, facts in found if facts is not None]


def published_datasets(steps: Iterable[StepEntry]) -> frozenset[str]:
    """The datasets of which a snapshot was published."""
    return frozenset(entry.dataset for entry in steps if entry.step == PublicationFacts.step)


class Ledger:
    """Reads and appends; every call runs in a thread, because a commit waits for the disk."""

    def __init__(self, database: sqlite3.Connection, *, path: Path, set_aside: SetAside | None = None) -> None:
        self.set_aside = set_aside
        self._database = database
        self._path = path
        self._one_at_a_time = anyio.CapacityLimiter(1)

    async def begin_run(self, run_id: str, *, request: Mapping[str, Any], at: datetime) -> None:
        await self._write("INSERT INTO run VALUES (?, ?, ?, ?)", (run_id, iso_utc(at), json_values(request)))

    async def resume_run(self, run_id: str, *, at: datetime) -> None:
        await self._write("INSERT INTO resumption VALUES (?, ?, ?)", (run_id, iso_utc(at)))

    async def end_run(self, run_id: str, *, status: str, summary: Mapping[str, Any], at: datetime) -> None:
        """Record how a run ended. A resumed run ends more than once; the last ending counts."""
        values = run_id, iso_utc(at), status, json_values(summary)
        await self._write("INSERT INTO ending VALUES (?, ?, ?, ?, ?)", values)

    def record_interruption(self, run_id: str, *, at: datetime) -> None:
        """Record that a run which has not ended was interrupted; at once, and whatever its own connection is doing."""
        digest = ledger_digest((run_id, iso_utc(at), "interrupted", "{}"))
        with ledger_errors(self._path), closing(sqlite3.connect(self._path)) as database, database:
            database.execute(_INTERRUPT, (run_id, iso_utc(at), digest))

    async def note(self, run_id: str, *, dataset: str, facts: StepFacts, at: datetime) -> None:
        await self._write(
            "INSERT INTO step (run_id, dataset, step, at, facts, digest) VALUES (?, ?, ?, ?, ?, ?)",
            (run_id, dataset, facts.step, iso_utc(at), json_values(facts.as_json())),
        )

    async def runs(self) -> list[RunEntry]:
        """All runs, newest first."""

        def entry(*row: Any) -> RunEntry:
            run_id, started_at, request, ended_at, status, summary, active_at = row
            ending = (_parse_moment(ended_at), status, json.loads(summary)) if ended_at else ()
            run = RunEntry(run_id, _parse_moment(started_at), json.loads(request), *ending)
            return replace(run, active_at=_parse_moment(active_at)) if active_at else run

        return await self._read(
            entry,
            "SELECT run.run_id, started_at, request, ended_at, status, summary,"
            " (SELECT max(at) FROM step WHERE step.run_id = run.run_id) FROM run LEFT JOIN ending"
            " ON ending.rowid = (SELECT max(rowid) FROM ending WHERE ending.run_id = run.run_id)"
            " ORDER BY run.rowid DESC",
        )

    async def steps(self, run_id: str) -> list[StepEntry]:
        return await self._steps("run_id = ?", run_id)

    async def endings(self, run_id: str) -> list[RunEnding]:
        """The endings of a run, the last one last."""
        return await self._read(
            lambda at, status, summary: RunEnding(_parse_moment(at), status, json.loads(summary)),
            "SELECT ended_at, status, summary FROM ending WHERE run_id = ? ORDER BY rowid",
            run_id,
        )

    async def resumptions(self, run_id: str) -> list[datetime]:
        """When a run was resumed; unknown for runs of versions that did not record it."""
        if await self._in_thread(lambda: version_of(self._database)) < _COUNTS_RESUMPTIONS:
            return []  # of an older version, and opened to be read only
        return await self._read(_parse_moment, "SELECT at FROM resumption WHERE run_id = ? ORDER BY rowid", run_id)

    async def prune(self, *, before: datetime, keep: Collection[str], keep_last: type[StepFacts] | None = None) -> int:
        """
        Delete the runs that began earlier, but for those in `keep`; returns how many. Their space is used again.

        Of the step `keep_last` the last facts of each dataset and report (`report_id`) stay.
        """

        def work() -> int:
            with self._database:
                old = self._database.execute("SELECT run_id FROM run WHERE started_at < ?", (iso_utc(before),))
                gone = [(run_id,) for (run_id,) in old.fetchall() if run_id not in keep]
                self._database.executemany(
                    "DELETE FROM step WHERE run_id = ? AND number NOT IN (SELECT max(number) FROM step WHERE step = ?"
                    " GROUP BY dataset, json_extract(facts, '$.report_id'))",
                    [(run_id, keep_last.step if keep_last else "") for (run_id,) in gone],
                )
                for table in ("ending", "resumption", "run"):
                    self._database.executemany(f"DELETE FROM {table} WHERE run_id = ?", gone)  # noqa: S608 - our names
                return len(gone)

        return await self._in_thread(work)

    async def drop_facts(
        self, kind: type[StepFacts], names: Sequence[str], *, is_over: Callable[[Mapping[str, Any]], bool]
    ) -> int:
        """
        Remove large facts that no later run reads, so that a run in a folder of many runs costs what the first did.

        `is_over` tells by the facts of a step, in a thread, whether they may go; a step without the first of `names` is
        not looked at. Returns from how many steps they were removed; these stay, with their other facts.
        """

        def work() -> int:
            shortened = 0
            with self._database:
                found = self._database.execute(
                    "SELECT number FROM step WHERE step = ? AND json_type(facts, ?) IS NOT NULL",
                    (kind.step, f"$.{names[0]}"),
                )
                for (number,) in found.fetchall():  # one row in memory at a time: there may be thousands
                    *values, text = self._database.execute(
                        "SELECT run_id, dataset, step, at, facts FROM step WHERE number = ?", (number,)
                    ).fetchone()
                    facts = json.loads(text)
                    if is_over(facts):
                        rest = json_values({name: value for name, value in facts.items() if name not in names})
                        self._database.execute(
                            "UPDATE step SET facts = ?, digest = ? WHERE number = ?",
                            (rest, ledger_digest((*values, rest)), number),
                        )
                        shortened += 1
            return shortened

        return await self._in_thread(work)

    async def distinct(self, kinds: Iterable[type[StepFacts]], names: Sequence[str]) -> set[tuple[str, str]]:
        """The texts that facts of these names have in steps of these kinds, over all runs, each with its dataset."""
        asked = [(f"$.{name}", kind.step) for kind in kinds for name in names]
        select = "SELECT dataset, json_extract(facts, ?) FROM step WHERE step = ?"
        pairs = await self._read(lambda *pair: pair, " UNION ".join([select] * len(asked)), *chain(*asked))
        return {(dataset, value) for dataset, value in pairs if value and isinstance(value, str)}

    async def noted(self, kind: type[FactsT_co], *, since: datetime | None = None) -> list[NotedFacts[FactsT_co]]:
        """The facts of every step of that kind, over all runs, from `since` on, the oldest first."""
        return read_facts(kind, await self._steps("step = ? AND at >= ?", kind.step, iso_utc(since) if since else ""))

    async def moments(self, kind: type[StepFacts], *, since: datetime) -> list[datetime]:
        """When steps of that kind were noted, over all runs, from `since` on."""
        return await self._read(
            _parse_moment, "SELECT at FROM step WHERE step = ? AND at >= ? ORDER BY at", kind.step, iso_utc(since)
        )

    async def _steps(self, condition: str, *values: str) -> list[StepEntry]:
        return await self._read(
            lambda dataset, step, at, facts: StepEntry(dataset, step, _parse_moment(at), json.loads(facts)),
            f"SELECT dataset, step, at, facts FROM step WHERE {condition} ORDER BY number",  # noqa: S608 - our conditions
            *values,
        )

    async def _write(self, statement: str, values: tuple[Any, ...]) -> None:
        """Append a row; its digest, which the statement takes last, is made here."""

        def work() -> None:
            with self._database:
                self._database.execute(statement, (*values, ledger_digest(values)))

        await self._in_thread(work)

    async def _read(self, make: Callable[..., T], statement: str, *values: str) -> list[T]:
        """The rows, each made into a value; opening for a run checks every row, so that only a reader meets damage."""
        rows = await self._in_thread(lambda: self._database.execute(statement, values).fetchall())
        try:
            return [make(*row) for row in rows]
        except ValueError:
            raise damaged_ledger(self._path, why="a row of it holds no JSON, or no moment") from None

    async def _in_thread(self, work: Callable[[], T]) -> T:
        # Shielded: a completed step is recorded even while the run is being stopped.
        with ledger_errors(self._path), anyio.CancelScope(shield=True):
            done = await anyio.to_thread.run_sync(work, limiter=self._one_at_a_time)
        return done  # noqa: RET504 - within the block mypy misses a return


@asynccontextmanager
async def opened_ledger(folder: Path, *, read_only: bool = False, clock: Clock | None = None) -> AsyncIterator[Ledger]:
    """
    The ledger in `folder` (the private `.bulkpull`), created when there is none.

    A damaged one is `set_aside` and a new one begun: what it held of interrupted runs is found again on the service, by
    the names of its objects. With `read_only` nothing is created or moved; where there is none, what is read is empty.

    Raises:
        LedgerError: It was written by a newer version, another program holds it, or it cannot be read.
        DiskTrouble: The folder cannot be written.
    """
    path = ledger_file(folder)
    set_aside: SetAside | None = None
    if read_only:
        database = await anyio.to_thread.run_sync(lambda: open_to_read(path) if path.is_file() else open_empty())
    else:
        stamp = f"{(clock or SystemClock()).now():%Y%m%dT%H%M%SZ}"
        database, set_aside = await anyio.to_thread.run_sync(lambda: open_to_write(path, stamp=stamp))
    try:
        yield Ledger(database, path=path, set_aside=set_aside)
    finally:
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(database.close)
