"""Is there room on the disk? Asked before a file begins and while it grows, so that a full disk is no surprise."""

from __future__ import annotations

import shutil
from pathlib import Path

import anyio.to_thread

from bulkpull.errors import DiskTrouble

# The ledger, the manifest and the pointer have to be written even when data no longer can (fault 7).
_RESERVE_BYTES = 4 << 20


async def check_room(folder: Path, *, needed_bytes: int) -> None:
    """
    Refuse to go on where the disk cannot take what is still to come.

    Raises:
        DiskTrouble: With what is needed and what is free.
    """
    free_bytes = (await anyio.to_thread.run_sync(shutil.disk_usage, folder)).free
    if free_bytes < needed_bytes + _RESERVE_BYTES:
        raise DiskTrouble(
            f"no room left on the disk for {folder}",
            why=f"{needed_bytes:,} bytes and a reserve of {_RESERVE_BYTES:,} are needed, {free_bytes:,} are free",
            fix="free some space (or point `output` at a larger disk), then run the same command again",
        )
