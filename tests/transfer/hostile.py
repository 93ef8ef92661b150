"""A storage host that means no good, and the transfer that it gets, on virtual time."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from support import EventRecorder, RawServer, raw_server
from virtual_loop import VirtualClock, run_virtually

from bulkpull.errors import BulkpullError
from bulkpull.model import SecureLink
from bulkpull.pipeline.steps.download import download_report
from bulkpull.transfer.signed_link import SignedLink
from bulkpull.transfer.transfer import Transfer
from bulkpull.transport.http import Http
from bulkpull.transport.retry import Retrier, RetryPolicy


@dataclass
class Outcome:
    """What became of a transfer."""

    error: BulkpullError | None
    requests: int
    relinks: int
    elapsed_s: float
    recorded: EventRecorder = field(default_factory=EventRecorder)
    asked_at_s: list[float] = field(default_factory=list)


Answer = Callable[[RawServer, int, asyncio.StreamWriter], Awaitable[None]]


def transfer(
    answer: Answer, into: Path, *, attempts: int = 6, longest_s: float = 40_000.0, seed: int = 1, segments: int = 1
) -> Outcome:
    """Fetch one file from a host that answers so, given its own server and the request's number."""
    recorded, relinks, asked_at_s = EventRecorder(), itertools.count(), list[float]()
    draw = random.Random(seed).random  # noqa: S311 - jitter

    async def work() -> tuple[BulkpullError | None, int]:
        holder: list[RawServer] = []

        async def noted(number: int, writer: asyncio.StreamWriter) -> None:
            asked_at_s.append(asyncio.get_running_loop().time())
            with suppress(ConnectionError):
                await answer(holder[0], number, writer)

        clock = VirtualClock()
        async with (
            raw_server(noted) as server,
            Http(ca_file=None, events=recorded.hub, clock=clock, user_agent="test") as http,
        ):
            holder.append(server)

            async def relink() -> SecureLink:
                return SecureLink(f"{server.origin}/f?sig={next(relinks)}")

            retrier = Retrier(
                policy=RetryPolicy(attempts=attempts), clock=clock,
                events=recorded.hub, random=draw, counts=http.counts,
            )  # fmt: skip
            try:
                links = SignedLink(SecureLink(f"{server.origin}/f?sig=first"), relink, clock)
                open_transfer = partial(
                    Transfer, links, http=http, retrier=retrier, clock=clock, events=recorded.hub, execution_id="e",
                    segments=segments,
                )  # fmt: skip
                await download_report(into / "report", open_transfer)
            except BulkpullError as error:
                return error, len(server.requests)
            return None, len(server.requests)

    (error, requests), elapsed_s = run_virtually(work, longest_s=longest_s)
    return Outcome(error, requests, next(relinks), elapsed_s, recorded, asked_at_s)
