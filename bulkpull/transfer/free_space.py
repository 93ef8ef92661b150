"""Checks free disk space, before a download starts and while it runs."""

from __future__ import annotations

import shutil
from pathlib import Path

import anyio.to_thread

from bulkpull import platforms
from bulkpull.errors import DiskTrouble
from bulkpull.output.atomic_files import RESERVE_BYTES


async def check_room(folder: Path, *, needed_bytes: int) -> None:
    """
    Refuse to go on where the disk cannot take what is still to come.

    Raises:
        DiskTrouble: With what is needed and what is free.
    """
    free_bytes = (await anyio.to_thread.run_sync(shutil.disk_usage, folder)).free
    if free_bytes < needed_bytes + RESERVE_BYTES:
        raise DiskTrouble(
            f"no space left on the disk of {platforms.mount_point(folder)}",
            why=f"{needed_bytes:,} bytes and a reserve of {RESERVE_BYTES:,} are needed, {free_bytes:,} are free",
            fix="free some space (or point `output` at a larger disk), then run the same command again",
        )
