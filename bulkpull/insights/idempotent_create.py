"""
Creating once, though the answer may get lost.

The service promises no idempotency for its two POSTs (behaviour 45). What proves that nothing was done (no connection,
429) is repeated by the retry layer. After any other failure, or a success that cannot be read, nobody knows; so the
object is looked for, for as long as listings may lag, and only then made again. `lost_creation` says what counts as
found. Where the listing itself fails, or does not tell, nothing is made on "don't know".

Six calls are the budget of one creation, look-ups included: two tries, each followed by two look-ups, which other
creations share (`lookup`).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Generic, TypeVar

from bulkpull.clock import Clock
from bulkpull.errors import AnswerLost, ReportingError, ServiceTrouble, TransferError, UnexpectedReply
from bulkpull.model import Query, Report
from bulkpull.transport.retry import Retrier

Made = TypeVar("Made", Query, Report)

# A listing may be half a minute behind: the second look-up comes 37 s after the try, `lookup.GATHER_S` included.
SECOND_LOOK_UP_S = 33.0
_TRIES = 2
# An outage needs time to end: before the second try passes what elsewhere passes before the fifth, 20 to 40 s.
_PATIENCE = 4


@dataclass(frozen=True, slots=True)
class Created(Generic[Made]):
    """
    What exists now.

    Attributes:
        spare: Others that answer the order as well; `None` when `one` came by a plain answer and nothing was looked up.
    """

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
    """
    Make an object on the service, exactly one.

    Args:
        make: Asks the service to make it.
        find: Lists those that answer the order (`lost_creation`).
        endpoint: The name by which repetitions are told.

    Returns:
        The made object, or after a doubtful answer the newest of those that were found.

    Raises:
        BulkpullError: What `make` or `find` raises, after all tries.
    """
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
