"""
One writer per output folder: a lock that the operating system releases when its process ends.

A file beside the lock names its holder, for the message of a second run. NFS from version 4 and SMB pass the lock to
the server. A mount with local locks only (`nolock`, `local_lock`) looks like a local disk.
"""

from __future__ import annotations

import errno
import json
import os
import socket
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
from filelock import BaseFileLock, FileLock, Timeout

from bulkpull import platforms
from bulkpull.clock import iso_utc
from bulkpull.errors import DiskTrouble, OutputLocked
from bulkpull.output.atomic_files import (
    disk_errors,
    json_text,
    makedirs_durable,
    read_whole,
    remove_stale_temp_files,
    write_atomically,
)
from bulkpull.output.layout import PRIVATE_FILES, PUBLIC_FILES, RUN_FILES, Layout, lock_file, writer_file
from bulkpull.output.symlink_safety import names_beneath

_NO_LOCKS = {errno.ENOSYS, errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP}
# A process that has just taken the lock needs a moment to write its name.
_LOOKS, _LOOK_S = 20, 0.05


@asynccontextmanager
async def locked(folder: Path, *, since: datetime) -> AsyncIterator[Callable[[], None]]:
    """
    Hold the one writer's lock of `folder` (its private `.bulkpull`) for the block; a second run names `since`.

    Yields a check that raises `DiskTrouble` when the lock that is held is no longer the file at its path: it was
    deleted, or the folder was moved or unmounted, so that somebody else may be writing there.

    Raises:
        OutputLocked: Another process holds it; the message names its pid, host and start time.
        DiskTrouble: The folder cannot be written, or its file system has no locks.
    """
    # Not bound to a thread: it is acquired and released in any worker thread.
    # No fallback to a lock by a file's existence: such a lock survives a kill and would block every later run.
    lock = FileLock(lock_file(folder), timeout=0, thread_local=False, fallback_to_soft=False)
    await anyio.to_thread.run_sync(_acquire, lock, folder, since)
    try:
        held = await anyio.to_thread.run_sync(os.stat, lock_file(folder))
        yield lambda: _check_held(lock_file(folder), held)
    finally:
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(lock.release)


def _check_held(path: Path, held: os.stat_result) -> None:
    with suppress(OSError):
        if os.path.samestat(path.stat(), held):
            return
    raise DiskTrouble(
        f"{path.parent.parent} no longer belongs to this run",
        why="its lock was deleted, or the folder was moved or unmounted, during the run",
        fix="put the folder back, then run the same command again: what was published before stays",
    )


def find_writer(folder: Path) -> str | None:
    """The writer of the output folder of `folder` (its private `.bulkpull`), in words; `None` if there is none."""
    # The lock is tried only where the last writer may live: a run that begins now is not refused because of this look.
    if not writer_file(folder).is_file() or not _may_be_running(_load_writer(folder)):
        return None
    lock = FileLock(lock_file(folder), timeout=0, fallback_to_soft=False)
    try:
        lock.acquire()
    except Timeout:
        return _describe(_load_writer(folder))
    except OSError:
        return f"unknown; the last one was {_describe(_load_writer(folder))}"
    lock.release()
    return None


def _load_writer(folder: Path) -> dict[str, Any] | None:
    """Process, host and start time of the last writer; `None` where its file cannot be read."""
    with suppress(ValueError, OSError):
        writer = json.loads(read_whole(writer_file(folder), root=folder) or b"null")
        if isinstance(writer, dict) and writer.keys() >= {"pid", "host", "since"}:
            return writer
    return None


def _may_be_running(writer: Mapping[str, Any] | None) -> bool:
    """Whether the process may still run; one of another host always may."""
    if writer is None or writer["host"] != socket.gethostname():
        return True
    try:
        return platforms.current().is_process_alive(int(writer["pid"]))
    except (ValueError, TypeError, OSError):
        return True


def _describe(writer: Mapping[str, Any] | None) -> str:
    if writer is None:
        return "it has just started"
    return f"process {writer['pid']} on {writer['host']}, since {writer['since']}"


def _acquire(lock: BaseFileLock, folder: Path, since: datetime) -> None:
    with disk_errors(folder):
        makedirs_durable(folder)  # durable: if the ledger vanished with its folder, its reports would be created twice
        try:
            lock.acquire()
        except Timeout:
            raise OutputLocked(
                f"another run is writing to {folder.parent}",
                why=_wait_for_holder(folder),
                fix="wait until it has ended, or choose another folder with --output",
            ) from None
        except OSError as refused:
            if refused.errno not in _NO_LOCKS:
                raise
            raise DiskTrouble(
                f"{folder.parent} lies on a file system without locks",
                fix="choose a folder on a local disk with --output: here two runs at once could not be detected",
            ) from None
    try:
        with disk_errors(writer_file(folder)):
            _remove_temp_files(folder)
            facts = {"pid": os.getpid(), "host": socket.gethostname(), "since": iso_utc(since)}
            write_atomically(writer_file(folder), json_text(facts))
    except BaseException:
        lock.release()
        raise


def _remove_temp_files(folder: Path) -> None:
    """Remove unfinished files of a killed run; only files with our names."""
    output, layout = folder.parent, Layout(folder.parent)
    remove_stale_temp_files(folder, root=folder, names=PRIVATE_FILES)
    remove_stale_temp_files(output, root=output, names=PUBLIC_FILES)
    remove_stale_temp_files(layout.latest, root=output)
    for run_id in names_beneath(layout.runs, root=output):
        remove_stale_temp_files(layout.run(run_id), root=output, names=RUN_FILES)


def _wait_for_holder(folder: Path) -> str:
    """Who holds the lock; waits briefly for a new holder's file instead of naming the previous one."""
    for _ in range(_LOOKS):
        if writer_file(folder).exists() and _may_be_running(_load_writer(folder)):
            break
        time.sleep(_LOOK_S)
    return _describe(_load_writer(folder))
