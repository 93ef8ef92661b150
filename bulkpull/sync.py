"""
The functions of the package without `await`, for scripts and notebooks.

They work inside a running event loop too, such as a notebook's: the work is done in a loop of its own in another
thread, and the caller waits. Ctrl-C cancels the work and lets it clean up, as it does on the command line.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from bulkpull import api
from bulkpull.api import connect_sql, scan

__all__ = ["connect_sql", "export", "nightly", "resume", "scan", "status", "verify"]

P = ParamSpec("P")
T = TypeVar("T")


def _plain(function: Callable[P, Awaitable[T]]) -> Callable[P, T]:
    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        async def work() -> T:
            return await function(*args, **kwargs)

        try:
            asyncio.get_running_loop()
        except RuntimeError:
            pass  # what follows stands outside, so that no error of the work seems to come from the missing loop
        else:
            return _in_thread(work)
        return asyncio.run(work())

    call.__doc__ = f"As `bulkpull.{function.__name__}`, without `await`."
    return call


def _in_thread(work: Callable[[], Awaitable[T]]) -> T:
    """Wait for `work` in a loop of another thread; an exception in the waiting, such as Ctrl-C, cancels it first."""
    from anyio.from_thread import start_blocking_portal  # noqa: PLC0415 - scripts need none of it

    with start_blocking_portal() as portal:
        future = portal.start_task_soon(work)
        try:
            return future.result()
        except BaseException:
            future.cancel()  # the portal waits until the work has cleaned up
            raise


export = _plain(api.export)
nightly = _plain(api.nightly)
resume = _plain(api.resume)
status = _plain(api.status)
verify = _plain(api.verify)
