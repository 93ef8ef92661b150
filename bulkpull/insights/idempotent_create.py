"""
Creates an object exactly once, even if the reply is lost.

The service's two POSTs are not idempotent (behaviour 45). Failures that prove that nothing was created (no connection,
429) are retried by the retry layer. After any other failure, or an unreadable success, the object is searched for as
long as listings may lag, and only then created again. If the listing fails or is incomplete, nothing is created.

An object is the result of a creation if it equals the request in every requested field, was created after the request
was sent, and was not known before. Any other object is neither adopted nor deleted: names need not be unique
(behaviours 71 and 92) and listings may lag, so a name alone proves nothing.

One creation makes at most six calls: two attempts, each followed by two look-ups. An outage may cost every dataset's
creation its reply at once, and repeated listings get throttled (behaviour 39): one listing serves all of them.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
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
# Between the clock of a gateway, whose `Date` is known, and that of the machine that stores what was made.
_CLOCK_MARGIN = timedelta(seconds=30)
# Used until a reply has carried the service's time.
_UNKNOWN_CLOCK_MARGIN = timedelta(minutes=10)


@dataclass(frozen=True, slots=True, kw_only=True)
class Creation:
    """
    When a creation was requested, and which objects were known then.

    Nothing created for this request is older than `not_before`, by the service's clock. With `name_is_unique` no other
    request uses this name, so any object with it belongs to this request, even if that was first sent some minutes ago.
    """

    not_before: datetime
    known_ids: Collection[str] = ()
    name_is_unique: bool = False

    @classmethod
    def at(cls, now: datetime, *, skew_s: float | None, known_ids: Collection[str], name_is_unique: bool) -> Creation:
        """A creation that is requested `now`; the service's clock is ahead by `skew_s`, if that is known."""
        margin = _CLOCK_MARGIN
        if skew_s is None or name_is_unique:
            # A name of its own is proof enough: then whichever clock is behind counts, and a request sent before.
            skew_s, margin = min(0.0, skew_s or 0.0), _UNKNOWN_CLOCK_MARGIN
        not_before = now + timedelta(seconds=skew_s) - margin
        return cls(not_before=not_before, known_ids=frozenset(known_ids), name_is_unique=name_is_unique)

    def may_have_brought(self, its_id: str, created_at: datetime | None) -> bool:
        """Whether an object of that id and age may come from this request."""
        if self.name_is_unique:
            return created_at is None or created_at >= self.not_before
        return its_id not in self.known_ids and created_at is not None and created_at >= self.not_before


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
