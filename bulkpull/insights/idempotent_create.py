"""
Creates an object exactly once, even if the reply is lost.

The service's two POSTs are not idempotent (behaviour 45). Failures that prove that nothing was created (no connection,
429) are retried by the retry layer. After any other failure, or an unreadable success, the object is searched for as
long as listings may lag, and only then created again. If the listing fails or is incomplete, nothing is created.

One creation makes at most six calls: two attempts, each followed by two look-ups. An outage may cost every dataset's
creation its reply at once, and repeated listings get throttled (behaviour 39): one listing serves all of them.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Generic, TypeVar

import anyio

from bulkpull.clock import Clock
from bulkpull.errors import AnswerLost, ReportingError, ServiceTrouble, TransferError, UnexpectedReply
from bulkpull.model import Query, Report
from bulkpull.transport.retry import Retrier

Made = TypeVar("Made", Query, Report)

# A listing may be half a minute behind: the second look-up comes 37 s after the try, `GATHER_S` included.
SECOND_LOOK_UP_S = 33.0
# How long a look-up waits for others; the object itself needs a moment to show in listings, too.
GATHER_S = 2.0
_TRIES = 2
# An outage needs time to end: before the second try passes what elsewhere passes before the fifth, 6 to 60 s.
_PATIENCE = 4


@dataclass(frozen=True, slots=True)
class Created(Generic[Made]):
    """The created or found object, and others that match the request; `None` when nothing had to be looked up."""

    one: Made
    duplicates: tuple[Made, ...] | None = None


async def create_once(
    make: Callable[[], Awaitable[Made]],
    *,
    find: Callable[[], Awaitable[list[Made]]],
    endpoint: str,
    retrier: Retrier,
    clock: Clock,
) -> Created[Made]:
    """Make an object on the service, exactly one: after a doubtful answer the newest of those that were found."""
    began = clock.monotonic()
    tries = min(_TRIES, retrier.policy.attempts)
    attempt = 0
    while True:
        attempt += 1
        try:
            return Created(await make())
        except (AnswerLost, ServiceTrouble, UnexpectedReply) as doubt:
            found = await _look_for(find, clock=clock)
            if found:
                found.sort(key=_age_key)
                return Created(found.pop(), tuple(found))
            await retrier.pause(
                doubt, endpoint=endpoint, attempt=attempt, began=began, attempts=tries, patience=_PATIENCE
            )


async def _look_for(find: Callable[[], Awaitable[list[Made]]], *, clock: Clock) -> list[Made]:
    """Twice; the second listing decides, also where the first failed."""
    with suppress(ReportingError, TransferError):
        if found := await find():
            return found
    await clock.sleep(SECOND_LOOK_UP_S)
    return await find()


def _age_key(made: Made) -> float:
    return made.created_at.timestamp() if made.created_at else 0.0


@dataclass(slots=True, eq=False)
class _Round(Generic[Made]):
    names: set[str] = field(default_factory=set)
    done: anyio.Event = field(default_factory=anyio.Event)
    found: list[Made] | None = None
    error: Exception | None = None


class SharedLookup(Generic[Made]):
    """
    Finds objects by name, for several callers at once.

    `list_named` lists the objects of one name, or with `None` all. `gather` waits for others; else `GATHER_S` pass.
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
