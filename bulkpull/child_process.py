"""Ends a child process and the processes that it started."""

from __future__ import annotations

import subprocess
from contextlib import suppress

import anyio
import anyio.abc
import anyio.to_thread

from bulkpull import platforms


async def end_process(process: anyio.abc.Process) -> None:
    """
    End a process that was started with a group of its own, together with that group; one that has ended is left.

    Returns when it is gone, whatever is cancelled meanwhile.
    """
    if process.returncode is None:
        with anyio.CancelScope(shield=True), suppress(OSError, subprocess.TimeoutExpired):
            await anyio.to_thread.run_sync(platforms.current().end_with_children, process.pid)
        with suppress(OSError):
            process.kill()
    with anyio.CancelScope(shield=True):
        await process.wait()
