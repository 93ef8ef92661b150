"""A limit on how long a run may take."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import anyio

from bulkpull.clock import Clock


async def is_overdue(work: Callable[[], Awaitable[None]], *, limit_s: float | None, clock: Clock) -> bool:
    """
    Do `work`, and cancel it when the limit is over; whether it was (case C16).

    Args:
        limit_s: Seconds from now on; `None` for no limit.

    Raises:
        Exception: What `work` raises, as it is.
    """
    if limit_s is None:
        await work()
        return False
    is_over, failure = False, None
    async with anyio.create_task_group() as group:

        async def stop_in_time() -> None:
            nonlocal is_over
            await clock.sleep(limit_s)
            is_over = True
            group.cancel_scope.cancel()

        group.start_soon(stop_in_time)
        try:
            await work()
        except Exception as error:  # noqa: BLE001 - raised below: a task group would wrap it
            failure = error
        group.cancel_scope.cancel()
    if failure is not None:
        raise failure
    return is_over
