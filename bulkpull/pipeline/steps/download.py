"""
Downloads a report's file from its signed link, complete or not at all.

Offsets, lengths, ETag and MD5 refer to the stored (compressed) bytes (behaviours 129 to 132): nothing is decompressed.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import anyio
import anyio.to_thread
from anyio.abc import TaskGroup

from bulkpull.errors import BulkpullError, FileDamaged
from bulkpull.event_types import DownloadCompleted, DownloadResumed
from bulkpull.model import DownloadedFile
from bulkpull.output.atomic_files import disk_errors, sync_folder
from bulkpull.pipeline.report_deletion import is_worth_resuming
from bulkpull.transfer.partial_file import PartialFile
from bulkpull.transfer.range_responses import Version
from bulkpull.transfer.transfer import Transfer

# The longest wait of a cancelled run for the journal; unrecorded bytes are fetched again.
_SAVING_S = 1.0


async def download_report(
    into: Path, open_transfer: Callable[[PartialFile], Transfer], *, background: TaskGroup | None = None
) -> DownloadedFile:
    """
    Fetch a report's file into `into`, whose folder exists.

    The file stands under its name only when it is whole: length and, where the host gives one, MD5 are checked. Until
    then it is called `*.part`, and a journal beside it says which of its bytes are there. When this is cancelled, the
    process is killed, or the network or the service fails, a later call for the same execution takes both up; so it
    does with a file that was finished. Nothing is left of a file that is damaged or gone (`is_worth_resuming`).

    Args:
        open_transfer: Makes the transfer from the link of the execution to a partial file.
        background: Where a finished file is made durable, while the caller goes on with it; `None` leaves that undone.

    Raises:
        FileGone: The service has cleaned the file up; the report has to run again.
        LinkExpired: Even fresh links are refused.
        FileDamaged: Length or MD5 were wrong twice, or the file keeps changing.
        AnswerLost, StorageTrouble, NotConnected, TlsRefused, UnsafeAddress: No progress in any of the allowed tries.
        DiskTrouble: The disk has no room, or refused the bytes.
        Unchanged: It is the file whose MD5 the transfer knows; its bytes were not fetched.

    Source: behaviours 120 to 135.
    """
    aside = into.with_name(f"{into.name}.part")
    with disk_errors(aside):
        if await anyio.to_thread.run_sync(into.exists):
            await anyio.to_thread.run_sync(into.replace, aside)  # finished by an earlier process
        partial = await PartialFile.opened(aside)
        await anyio.to_thread.run_sync(sync_folder, aside.parent)
        transfer = open_transfer(partial)
        began_s = transfer.clock.monotonic()
        try:
            version = await _fetch_checked(transfer)
            await partial.rename(into)
            if background is not None:
                background.start_soon(_make_durable, partial)
        except BaseException as error:
            is_passing = isinstance(error, BulkpullError) and partial.done_bytes and is_worth_resuming(error)
            if is_passing or isinstance(error, anyio.get_cancelled_exc_class()):
                with anyio.move_on_after(_SAVING_S, shield=True), suppress(OSError):
                    await transfer.save()
            else:
                with anyio.CancelScope(shield=True):
                    await anyio.to_thread.run_sync(partial.remove)
            raise
        finally:
            with anyio.CancelScope(shield=True):
                await partial.close()
    size_bytes, elapsed_s = partial.done_bytes, round(transfer.clock.monotonic() - began_s, 3)
    transfer.events.emit(DownloadCompleted(size_bytes=size_bytes, elapsed_s=elapsed_s))
    return DownloadedFile(
        into, size_bytes, version.etag, version.md5.hex() if version.md5 else None, version.vouched_by
    )


async def _make_durable(partial: PartialFile) -> None:
    """Make a finished file durable; if that fails, a later process may have to fetch it again."""
    with suppress(OSError):  # also when it was published, and is gone
        await partial.fsync()
        await partial.write_journal()


async def _fetch_checked(transfer: Transfer) -> Version:
    """Fetch the file, a damaged one once more from its beginning."""
    try:
        return await _fetch_once(transfer, resume=True)
    except FileDamaged as damaged:
        transfer.http.counts.retried += 1
        transfer.events.emit(DownloadResumed(offset_bytes=0, reason=damaged.message))
    return await _fetch_once(transfer, resume=False)


async def _fetch_once(transfer: Transfer, *, resume: bool) -> Version:
    version, partial = await transfer.fetch(resume=resume), transfer.partial
    if version.size_bytes is not None and partial.done_bytes != version.size_bytes:
        raise FileDamaged(
            "the downloaded file has another length than announced",
            why=f"expected {version.size_bytes:,} bytes, got {partial.done_bytes:,}",
        )
    if partial.done_bytes == 0:
        raise FileDamaged(
            "the service's file is empty (0 bytes)",
            why="even a report without rows has a header line",
            fix="run the export again later; if it happens again, report it to the service's support",
        )
    if version.md5 is not None:
        digest = await partial.md5(size_bytes=partial.done_bytes)
        if digest != version.md5:
            raise FileDamaged(
                "the downloaded file does not match its MD5",
                why=f"expected {version.md5.hex()}, got {digest.hex()}",
                fix="a proxy on the way may change files: try without it",
            )
    return version
