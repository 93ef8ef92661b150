"""
One shared listing for all creations whose outcome is unknown at the same time.

An outage may cost every dataset's creation its reply at once, and repeated listings get throttled (behaviour 39).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Generic

import anyio

from bulkpull.clock import Clock
from bulkpull.insights.idempotent_create import Made

# How long a look-up waits for others; the object itself needs a moment to show in listings, too.
GATHER_S = 2.0


@dataclass(slots=True, eq=False)
class _Round(Generic[Made]):
    names: set[str] = field(default_factory=set)
    done: anyio.Event = field(default_factory=anyio.Event)
    found: list[Made] | None = None
    error: Exception | None = None


class SharedLookup(Generic[Made]):
    """
    Finds objects by name, for several callers at once.

    `list_named` lists the objects of one name, or with `None` all. `gather` waits for others to join, or `GATHER_S`
    pass.
    """

    def __init__(
        self,
        list_named: Callable[[str | None], Awaitable[list[Made]]],
        *,
        clock: Clock,
        gather: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self._list: Callable[[str | None], Awaitable[list[Made]]] = list_named
        self._gather = gather or partial(clock.sleep, GATHER_S)
        self._open: _Round[Made] | None = None

    async def find(self, name: str) -> list[Made]:
        """The objects that the service lists once others have joined: those of `name`, or all if others look too."""
        while True:
            joined = self._open
            if joined is None:
                return await self._lead(name)
            joined.names.add(name)
            await joined.done.wait()
            if joined.error is not None:
                raise joined.error
            if joined.found is not None:
                return joined.found
            # The caller that led this round was cancelled.

    async def _lead(self, name: str) -> list[Made]:
        mine = self._open = _Round[Made]({name})
        try:
            try:
                await self._gather()
            finally:
                self._open = None  # later callers need a later listing
            mine.found = await self._list(name if len(mine.names) == 1 else None)
        except Exception as error:
            mine.error = error
            raise
        finally:
            mine.done.set()
        return mine.found
