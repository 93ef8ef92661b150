"""
Opens, checks and migrates the ledger's database, or moves it aside if it is damaged.

The schema version is SQLite's `user_version`. All missing migrations run in one transaction. A schema change is a new
script at the end; existing scripts are never edited.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from bulkpull import platforms
from bulkpull.errors import BulkpullError, LedgerError
from bulkpull.output.atomic_files import makedirs_durable, sync_folder, to_disk_error

MIGRATIONS = (
    # 1: runs, how they ended, and the steps of their pulls
    """
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
    """,
    # 2: when an interrupted run was resumed; steps of one name over all runs are found at once
    """
    CREATE TABLE resumption (run_id TEXT NOT NULL REFERENCES run, at TEXT NOT NULL) STRICT;
    CREATE INDEX step_by_name ON step (step, at);
    """,
    # 3: a digest of each row, so that damage within its texts is seen; rows from before have none
    """
    ALTER TABLE run ADD COLUMN digest TEXT;
    ALTER TABLE ending ADD COLUMN digest TEXT;
    ALTER TABLE step ADD COLUMN digest TEXT;
    ALTER TABLE resumption ADD COLUMN digest TEXT;
    """,
)
SCHEMA_VERSION = len(MIGRATIONS)
# No schema has such a version: the number itself is damaged.
_LAST_BELIEVABLE_VERSION = 1_000
# What each table holds, in the order in which it is written; but for `resumption` the last column is a JSON object.
_TABLES = {
    "run": "run_id, started_at, request",
    "ending": "run_id, ended_at, status, summary",
    "step": "run_id, dataset, step, at, facts",
    "resumption": "run_id, at",
}
_DIGEST_DIGITS = 16

# Another program that reads the ledger (a database browser, a backup) may hold it for a moment.
BUSY_S = 10.0
_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_BUSY = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
_SYSTEM_ERRORS = {
    sqlite3.SQLITE_FULL: errno.ENOSPC,
    sqlite3.SQLITE_IOERR: errno.EIO,
    **dict.fromkeys((sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM), errno.EACCES),
}
# SQLite's extended result codes if a file cannot be mapped into shared memory.
_NO_SHARED_MAPS = {
    sqlite3.SQLITE_PROTOCOL,
    sqlite3.SQLITE_IOERR_SHMOPEN,
    sqlite3.SQLITE_IOERR_SHMSIZE,
    sqlite3.SQLITE_IOERR_SHMLOCK,
    sqlite3.SQLITE_IOERR_SHMMAP,
}
_NO_LOCKS = {sqlite3.SQLITE_NOLFS, sqlite3.SQLITE_IOERR_LOCK, sqlite3.SQLITE_IOERR_RDLOCK, sqlite3.SQLITE_IOERR_UNLOCK}
_MAGIC = b"SQLite format 3\0"
_PRIMARY = 0xFF  # the rest of a result code is detail
_FILES = ("-wal", "-shm", "")  # the endings of a database's files, itself last
_KEPT_ASIDE = 3
_INDEX_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class SetAside:
    """A damaged ledger that was moved out of the way."""

    path: Path
    why: str

    @property
    def sentence(self) -> str:
        return (
            f"the run ledger was damaged ({self.why}) and is now {self.path}; a new one was created, published data is "
            "not concerned, and reports of an interrupted run are found again by their names"
        )


class _Damaged(Exception):
    pass


@contextmanager
def ledger_errors(path: Path) -> Iterator[None]:
    """Turn what SQLite refuses into one sentence about the ledger at `path`: a `DiskTrouble` or a `LedgerError`."""
    try:
        yield
    except sqlite3.Error as trouble:
        raise _as_ours(trouble, path) from trouble


def open_to_read(path: Path) -> sqlite3.Connection:
    """Open a ledger for reading, also during a run; creates, changes and moves nothing."""
    with ledger_errors(path), _connect(path, _read_mode(path)) as database:
        version = version_of(database)
        _refuse_newer(version, path)
        if version or database.execute("SELECT count(*) FROM sqlite_schema").fetchone() != (0,):
            return database
        database.close()
        return open_empty()  # its first run was killed, or had no room, before it had tables


def open_empty() -> sqlite3.Connection:
    """A ledger in memory that knows no run, in place of one that does not exist."""
    database = sqlite3.connect(":memory:", check_same_thread=False)
    _migrate(database, 0)
    return database


def open_to_write(path: Path, *, stamp: str) -> tuple[sqlite3.Connection, SetAside | None]:
    """Open the ledger for its one writer, who holds the lock of the folder; created when there is none."""
    with ledger_errors(path):
        try:
            # The lock of a store elsewhere does not create the local folder.
            makedirs_durable(path.parent)
            return _open_with_either_journal(path), None
        except _Damaged as damaged:
            set_aside = _move_aside(path, stamp=stamp, why=str(damaged))
        except OSError as trouble:
            raise to_disk_error(trouble, path) from trouble
        return _open_with_either_journal(path), set_aside


def version_of(database: sqlite3.Connection) -> int:
    """The version of a database's schema; 0 for one that was just created."""
    return int(database.execute("PRAGMA user_version").fetchone()[0])


def _open_with_either_journal(path: Path) -> sqlite3.Connection:
    try:
        return _open_checked(path)
    except sqlite3.Error as trouble:
        if not _lacks_shared_maps(trouble):
            raise
    return _open_checked(path, shared_maps=False)  # the write-ahead journal keeps its index in shared memory


def _open_checked(path: Path, *, shared_maps: bool = True) -> sqlite3.Connection:
    # Before SQLite sees it: it would remove the journal of what it takes for no database of its own.
    if os.path.lexists(path):
        if not path.is_file():
            raise _Damaged("it is no regular file")
        with path.open("rb") as file:
            if file.read(len(_MAGIC)) not in (_MAGIC, b""):  # an empty file is an empty database
                raise _Damaged("it does not begin as a database does")
    try:
        with _connect(path, "mode=rwc", shared_maps=shared_maps) as database:
            version = version_of(database)
            _check_database(database, version, path)
            # Readers see the last commit while a run writes, and neither waits for the other.
            if shared_maps:
                database.execute("PRAGMA journal_mode = WAL")
                database.execute("SELECT count(*) FROM sqlite_schema").fetchone()  # the first to use the index
            # Every commit is on the disk before the next step begins; NORMAL would lose the last ones in a power cut.
            database.execute("PRAGMA synchronous = FULL")
            # Effective on macOS only, where a plain sync leaves data in the drive's cache.
            database.execute("PRAGMA fullfsync = ON")
            database.execute("PRAGMA checkpoint_fullfsync = ON")
            _migrate(database, version)
            _check_rows(database)
            return database
    except sqlite3.Error as trouble:
        if _code(trouble) in _DAMAGED:
            raise _Damaged(str(trouble)) from trouble
        raise
    except UnicodeDecodeError as trouble:  # what SQLite says of a damaged schema quotes it
        raise _Damaged("names in it are no text") from trouble


def ledger_digest(values: Sequence[object]) -> str:
    """A short digest of the content of a row."""
    return hashlib.sha256("\0".join(map(str, values)).encode()).hexdigest()[:_DIGEST_DIGITS]


def _check_database(database: sqlite3.Connection, version: int, path: Path) -> None:
    if not 0 <= version <= _LAST_BELIEVABLE_VERSION:
        raise _Damaged(f"its version reads {version}")
    _refuse_newer(version, path)
    # A look at every page takes milliseconds: pruning keeps the ledger at a few megabytes. `quick_check` would not
    # hold the indexes against the tables, and a damaged index hides rows.
    (found,) = database.execute("PRAGMA integrity_check(1)").fetchone()
    if found != "ok":
        raise _Damaged(str(found).replace("\n", " "))
    if version == 0 and database.execute("SELECT count(*) FROM sqlite_schema").fetchone() != (0,):
        raise _Damaged("it is another program's database")
    # With a wrong number the wrong migrations would run.
    there = {name for (name,) in database.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
    script = "".join(MIGRATIONS[:version])
    if any((table in there) != (f"CREATE TABLE {table} " in script) for table in _TABLES):
        raise _Damaged(f"its version reads {version}, and its tables are those of another")


def _check_rows(database: sqlite3.Connection) -> None:
    """Check the texts in every row, which SQLite itself does not check; a row without a digest is parsed."""
    # One row at a time: the ledger of many runs is larger than the memory that a run may take.
    for table, columns in _TABLES.items():
        try:
            for *values, digest in database.execute(f"SELECT {columns}, digest FROM {table}"):  # noqa: S608 - our names
                if digest is not None and digest != ledger_digest(values):
                    raise _Damaged(f"a row of its table `{table}` is not what was written")
                if digest is None and table != "resumption" and not _is_json_object(values[-1]):
                    raise _Damaged(f"a row of its table `{table}` holds no JSON object")
        except sqlite3.OperationalError as trouble:
            if _code(trouble) in (0, sqlite3.SQLITE_ERROR):  # text that is no UTF-8, or a table of another shape
                raise _Damaged(str(trouble)) from trouble
            raise


def _is_json_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False


def _migrate(database: sqlite3.Connection, version: int) -> None:
    if version == SCHEMA_VERSION:
        return
    script = "".join(MIGRATIONS[version:])
    try:
        database.executescript(f"BEGIN IMMEDIATE; {script} PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;")
    except BaseException:
        database.rollback()
        raise


def _move_aside(path: Path, *, stamp: str, why: str) -> SetAside:
    """Rename the database with its journal, so that what can be saved of it can be read in its new place."""
    aside = path.with_name(f"{path.stem}.damaged-{stamp}{path.suffix}")
    try:
        for ending in _FILES:
            source = path.with_name(path.name + ending)
            if os.path.lexists(source):
                platforms.current().replace_file(source, aside.with_name(aside.name + ending))
        for file in sorted(path.parent.glob(f"{path.stem}.damaged-*{path.suffix}"))[:-_KEPT_ASIDE]:
            for ending in _FILES:
                file.with_name(file.name + ending).unlink(missing_ok=True)
        sync_folder(path.parent)
    except OSError as trouble:
        raise to_disk_error(trouble, path) from trouble
    return SetAside(aside, why)


def _refuse_newer(version: int, path: Path) -> None:
    if version > SCHEMA_VERSION:
        raise LedgerError(
            f"the run ledger {path} was written by a newer bulkpull",
            why=f"its schema is version {version}, this one knows {SCHEMA_VERSION}",
            fix="upgrade bulkpull, or choose another folder with --output",
        )


@contextmanager
def _connect(path: Path, mode: str, *, shared_maps: bool = True) -> Iterator[sqlite3.Connection]:
    """A connection, closed only where the block fails."""
    database = sqlite3.connect(f"{path.resolve().as_uri()}?{mode}", uri=True, timeout=BUSY_S, check_same_thread=False)
    try:
        if not shared_maps:
            # An exclusive user of a database needs no index in shared memory; the lock of the folder ensures that we
            # are its one writer. The rollback journal needs none either, and readers may look on between two commits.
            database.execute("PRAGMA locking_mode = EXCLUSIVE")
            database.execute("PRAGMA journal_mode = DELETE")
            database.execute("PRAGMA locking_mode = NORMAL")
        # KiB that SQLite keeps in memory, in a negative number. Its own 2 MB are no quicker for us, and each worker
        # thread that opens the ledger leaves as much behind in a process that makes many runs.
        database.execute("PRAGMA cache_size = -256")
        yield database
    except BaseException:
        database.close()
        raise


def _read_mode(path: Path) -> str:
    # SQLite creates `-wal` and `-shm` beside a WAL database even for a reader, unless it is told that nobody writes.
    # That holds without a journal; a run that begins in the next instants writes to its journal, not to what is read.
    journal = path.with_name(f"{path.name}-wal")
    is_idle = not journal.exists() or journal.stat().st_size == 0
    return "mode=ro&immutable=1" if is_idle else "mode=ro"


def _as_ours(trouble: sqlite3.Error, path: Path) -> BulkpullError:
    code = _code(trouble)
    if code in _BUSY:
        return LedgerError(
            f"another program holds the run ledger {path}",
            why=f"it was not free for {BUSY_S:.0f} s ({trouble})",
            fix="close what has it open (a database browser, a backup), then run the same command again",
        )
    number = _SYSTEM_ERRORS.get(code)
    if code == sqlite3.SQLITE_IOERR and _is_full(path.parent):
        number = errno.ENOSPC  # for the files beside a database
    if number is not None and not (number == errno.EIO and _lacks_shared_maps(trouble)):
        return to_disk_error(OSError(number, str(trouble)), path)
    if _lacks_shared_maps(trouble) or _extended_code(trouble) in _NO_LOCKS:
        return LedgerError(
            f"the file system of {path} does not do what a database needs",
            why=f"locks or shared maps are refused ({trouble})",
            fix="choose a folder on a local disk, or on a share with locks, by --output",
        )
    return damaged_ledger(path, why=str(trouble))


def damaged_ledger(path: Path, *, why: str) -> LedgerError:
    """The error for a ledger that a reader cannot use; a run sets it aside (`open_to_write`)."""
    return LedgerError(
        f"the run ledger {path} cannot be used",
        why=why,
        fix="the next `bulkpull export` sets a damaged ledger aside and goes on; published data is not touched",
    )


def _is_full(folder: Path) -> bool:
    with suppress(OSError):
        return shutil.disk_usage(folder).free < _INDEX_BYTES
    return False


def _lacks_shared_maps(trouble: sqlite3.Error) -> bool:
    return _extended_code(trouble) in _NO_SHARED_MAPS


def _code(trouble: sqlite3.Error) -> int:
    return _extended_code(trouble) & _PRIMARY


def _extended_code(trouble: sqlite3.Error) -> int:
    return getattr(trouble, "sqlite_errorcode", 0)
