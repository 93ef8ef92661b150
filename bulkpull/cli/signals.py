"""Ctrl-C, SIGTERM and SIGHUP: the first cancels the work and lets it clean up, the second ends the process at once."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Awaitable, Callable

import anyio

from bulkpull import platforms
from bulkpull.cli.error_output import INTERRUPTED

_SHOW_CURSOR = "\x1b[?25h"
# A disk that does not answer must not keep the process alive.
_LAST_STEP_S = 1.0


def run_interruptibly(
    work: Callable[[], Awaitable[object]],
    *,
    when_asked: Callable[[], None],
    when_forced: Callable[[], None] = lambda: None,
) -> bool:
    """
    Run `work` in an event loop; returns whether a signal cut it short.

    `when_asked` is called at the first signal; `when_forced` at the second one, in a thread that has a second for it.
    """

    async def guarded() -> bool:
        working = anyio.CancelScope()
        with platforms.current().stop_requests() as requests:

            async def watch() -> None:
                async for _ in requests:
                    if working.cancel_called:
                        end_at_once(when_forced)
                    when_asked()
                    working.cancel()

            async with anyio.create_task_group() as watching:
                watching.start_soon(watch)
                with working:
                    await work()
                watching.cancel_scope.cancel()
        return working.cancelled_caught

    return anyio.run(guarded)


def end_at_once(last_step: Callable[[], None]) -> None:
    """End the process after `last_step`, without any clean-up; the ledger is safe against that."""
    thread = threading.Thread(target=last_step, daemon=True)
    thread.start()
    thread.join(_LAST_STEP_S)
    if sys.stderr.isatty():
        sys.stderr.write(_SHOW_CURSOR)
        sys.stderr.flush()
    os._exit(INTERRUPTED)
