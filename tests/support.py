"""What tests share: virtual time, answers without a network, a raw server on loopback, a client put together."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import os
import re
import tracemalloc
import unicodedata
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from ssl import SSLContext, SSLError
from typing import Any, Self
from unittest.mock import Mock
from weakref import WeakKeyDictionary

import aiohttp
from aioresponses import CallbackResult, aioresponses
from anyio._backends import _asyncio as anyio_internals

from bulkpull.auth.sign_in import prepare_sign_in
from bulkpull.auth.token_endpoint import AccessToken, TokenEndpoint
from bulkpull.config.settings import Settings
from bulkpull.events import Event, Events
from bulkpull.insights.client import InsightsClient
from bulkpull.insights.session import ApiSession
from bulkpull.pipeline.steps import converter_process
from bulkpull.transfer.partial_file import PartialFile
from bulkpull.transfer.signed_link import SignedLink
from bulkpull.transfer.transfer import Transfer
from bulkpull.transport.http import Http
from bulkpull.transport.pacer import RateLimiter
from bulkpull.transport.retry import Retrier, RetryPolicy

_STEERS = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def can_act(letter: str) -> bool:
    """Whether a character steers a terminal, turns the writing direction, breaks a line, or is half of another."""
    return unicodedata.category(letter) in ("Cc", "Cs", "Zl", "Zp") or bool(_STEERS.match(letter))


API = "https://api.partnercenter.microsoft.com/insights/v1/mpn"
TOKEN_URL = "https://login.microsoftonline.com/contoso.example/oauth2/token"
START = datetime(2026, 11, 23, 2, 0, tzinfo=UTC)


THOROUGH = os.environ.get("TRIALS") == "all"
"""Whether the suite takes its long form: every repetition and every example."""


def examples(full: int) -> int:
    """How many examples a property gets: all in the suite's long form, else a fifth, but twenty at least."""
    return full if THOROUGH else max(min(full, 20), full // 5)


class FakeClock:
    """
    Time that passes only when nothing else happens.

    Whoever sleeps is written down. When every task waits for something, no worker thread is at work, and the event
    loop has turned some times without news from any socket, time jumps to the earliest sleeper. So hours of polling
    take milliseconds, also with real sockets on loopback, and tests stay deterministic. It stands still while a child
    process starts or converts, however slow the machine is.

    Args:
        start: What `now` says at first.
        quiet_turns: Turns of the loop without news before a jump.
        busy: Tells of work that the loop cannot see, such as a child process; no jump while it is true.
    """

    def __init__(
        self, *, start: datetime = START, quiet_turns: int = 10, busy: Callable[[], bool] = lambda: False
    ) -> None:
        self.sleeps_s: list[float] = []
        """Every wait asked for, in order."""
        self.elapsed_s = 0.0
        """How far time has gone."""
        self._start = start
        self._quiet_turns = quiet_turns
        self._busy = busy
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._numbers = itertools.count()
        self._quiet = 0
        self._watching = False

    def now(self) -> datetime:
        return self._start + timedelta(seconds=self.elapsed_s)

    def monotonic(self) -> float:
        return 1_000.0 + self.elapsed_s

    async def sleep(self, wait_s: float) -> None:
        self.sleeps_s.append(wait_s)
        if wait_s <= 0:
            await asyncio.sleep(0)
            return
        loop = asyncio.get_running_loop()
        woken: asyncio.Future[None] = loop.create_future()
        # A time that does not move, as by a wait lost in rounding, would let a loop turn for ever.
        heapq.heappush(self._sleepers, (self.elapsed_s + max(wait_s, 1e-6), next(self._numbers), woken))
        if not self._watching:
            self._watching, self._quiet = True, 0
            loop.call_soon(self._watch, loop)
        await woken

    def advance(self, seconds: float) -> None:
        """Let time pass by hand; sleepers that are due wake up."""
        self.elapsed_s += seconds
        self._wake()

    def step_wall_clock(self, seconds: float) -> None:
        """Set the wall clock, as somebody or NTP does; `monotonic` does not notice."""
        self._start += timedelta(seconds=seconds)

    def _watch(self, loop: asyncio.AbstractEventLoop) -> None:
        while self._sleepers and self._sleepers[0][2].done():
            heapq.heappop(self._sleepers)
        if not self._sleepers:
            self._watching = False
            return
        if _others_are_ready(loop):
            self._quiet = 0
            loop.call_soon(self._watch, loop)
            return
        # Without news nothing changes between two turns: the costly looks are taken at the first and at the last.
        self._quiet += 1
        is_last = self._quiet > self._quiet_turns
        at_work = (self._quiet == 1 or is_last) and (self._busy() or _threads_work(loop))
        if at_work or (is_last and (not _all_wait(loop) or _children_work(loop))):
            self._quiet = 0
            loop.call_later(0.001, self._watch, loop)
            return
        if is_last:
            self._quiet = 0
            self.elapsed_s = max(self.elapsed_s, self._sleepers[0][0])
            self._wake()
        loop.call_soon(self._watch, loop)

    def _wake(self) -> None:
        while self._sleepers and self._sleepers[0][0] <= self.elapsed_s:
            _, _, woken = heapq.heappop(self._sleepers)
            if not woken.done():
                woken.set_result(None)


def _others_are_ready(loop: Any) -> bool:
    """Whether the loop has something to call but clocks that watch it."""
    ready = tuple(loop._ready)  # at once: a worker thread may add to it meanwhile
    return any(getattr(handle._callback, "__func__", None) is not FakeClock._watch for handle in ready)


def _all_wait(loop: asyncio.AbstractEventLoop) -> bool:
    waiters = (getattr(task, "_fut_waiter", None) for task in asyncio.all_tasks(loop))
    return all(waiter is not None and not waiter.done() for waiter in waiters)


# The workers of anyio and the idle ones among them, by their loop: asking anyio each time would be most of a look.
_thread_pools: WeakKeyDictionary[Any, tuple[set[Any], deque[Any]]] = WeakKeyDictionary()


def _threads_work(loop: asyncio.AbstractEventLoop) -> bool:
    executor: Any = getattr(loop, "_default_executor", None)
    if executor is not None and (
        executor._work_queue.qsize() or len(executor._threads) > executor._idle_semaphore._value
    ):
        return True
    pools = _thread_pools.get(loop)
    if pools is None:
        try:
            pools = anyio_internals._threadpool_workers.get(), anyio_internals._threadpool_idle_workers.get()
        except LookupError:  # no thread was asked for yet
            return False
        _thread_pools[loop] = pools
    workers, idle = pools
    return len(workers) > len(idle)


def _children_work(loop: asyncio.AbstractEventLoop) -> bool:
    """Whether a task waits for a converting child, by the coroutines that it is in."""
    for task in asyncio.all_tasks(loop):
        coroutine: Any = task.get_coro()
        while coroutine is not None:
            code = getattr(coroutine, "cr_code", None)
            if code is not None and code.co_filename == converter_process.__file__:
                return True
            coroutine = getattr(coroutine, "cr_await", None)
    return False


class _Response(aiohttp.ClientResponse):
    """aioresponses 0.7.9 does not pass the `stream_writer` that aiohttp 3.14 asks for (aioresponses issue 289)."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, stream_writer=Mock(output_size=0), **options)


class Answers(aioresponses):
    """Answers to calls, in the order in which they are given, without a network."""

    def __enter__(self) -> Self:
        self.start()
        return self

    def add(self, url: Any, method: str = "GET", *args: Any, **options: Any) -> None:
        super().add(url, method, *args, **({"response_class": _Response} | options))

    @staticmethod
    def reply(**options: Any) -> CallbackResult:
        """What a callback gives back."""
        return CallbackResult(response_class=_Response, **options)

    def sent(self, method: str) -> list[Any]:
        """The keyword arguments of every call of that method, in no certain order between addresses."""
        return [call.kwargs for key, calls in self.requests.items() if key[0] == method for call in calls]

    def sent_urls(self) -> list[str]:
        """Every call's address, percent-decoded, in the order of their first calls."""
        return [str(url) for (_, url), calls in self.requests.items() for _ in calls]


class EventRecorder:
    """A listener that keeps what it hears."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.hub = Events(self.events.append)

    def of(self, name: str) -> list[dict[str, object]]:
        """The facts of every event of that name."""
        return [dict(event.facts) for event in self.events if event.name == name]

    @property
    def names(self) -> list[str]:
        """The names of all events but single calls."""
        return [event.name for event in self.events if event.name != "call.sent"]


class Tokens:
    """A token source that counts; every token is another one."""

    def __init__(self, *, app_only: bool = False) -> None:
        self.renewals = 0
        self._app_only = app_only

    async def get_token(self) -> AccessToken:
        return AccessToken(f"token-{self.renewals}", 0.0, 1e9, app_only=self._app_only)

    async def renew(self, rejected: AccessToken) -> AccessToken:
        if rejected.value == f"token-{self.renewals}":
            self.renewals += 1
        return await self.get_token()


@dataclass
class Rig:
    """A client on virtual time, and everything to look at from outside."""

    clock: FakeClock
    recorded: EventRecorder
    http: Http
    retrier: Retrier
    pacer: RateLimiter
    tokens: Tokens
    client: InsightsClient

    def opening_transfer(
        self, links: SignedLink, *, execution_id: str = "execution-1", segments: int = 4
    ) -> Callable[[PartialFile], Transfer]:
        """What `download_report` is given to fetch the file behind `links`."""
        return partial(
            Transfer, links, http=self.http, retrier=self.retrier, clock=self.clock, events=self.recorded.hub,
            execution_id=execution_id, segments=segments,
        )  # fmt: skip


@asynccontextmanager
async def rig(
    *, api: str = API, tokens: Tokens | None = None, attempts: int = 6, ca_file: Path | None = None
) -> AsyncIterator[Rig]:
    """A client of the API at `api`; half the jitter, always."""
    clock, recorded, tokens = FakeClock(), EventRecorder(), tokens or Tokens()
    async with Http(ca_file=ca_file, events=recorded.hub, clock=clock, user_agent="test") as http:
        retrier = Retrier(
            policy=RetryPolicy(attempts=attempts),
            clock=clock,
            events=recorded.hub,
            random=lambda: 0.5,
            counts=http.counts,
        )
        pacer = RateLimiter(calls_per_s=10, burst=10, clock=clock, events=recorded.hub)
        session = ApiSession(
            http=http, auth=tokens, pacer=pacer, retrier=retrier, api_base_url=api, clock=clock, events=recorded.hub
        )
        client = InsightsClient(session)
        yield Rig(clock, recorded, http, retrier, pacer, tokens, client)


async def prepared_sign_in(settings: Settings) -> TokenEndpoint:
    """The sign-in that the settings describe; nothing is sent."""
    clock, events = FakeClock(), EventRecorder().hub
    http = Http(ca_file=None, events=events, clock=clock, user_agent="test")
    retrier = Retrier(policy=RetryPolicy(), clock=clock, events=events, random=lambda: 0.5, counts=http.counts)
    return await prepare_sign_in(settings, http=http, retrier=retrier, events=events, clock=clock)


def envelope(*items: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A success as the service sends it."""
    return {
        "value": list(items),
        "nextLink": None,
        "totalCount": len(items),
        "message": None,
        "statusCode": 200,
        "dataRedacted": False,
    } | more


@dataclass
class RawServer:
    """A server on loopback that says byte for byte what a test wants, one connection after the other."""

    origin: str = ""
    requests: list[bytes] = field(default_factory=list)
    """The head of every request received."""


@asynccontextmanager
async def raw_server(
    answer: Callable[[int, asyncio.StreamWriter], Awaitable[None]], *, ssl: SSLContext | None = None
) -> AsyncIterator[RawServer]:
    """
    Serve on loopback.

    Args:
        answer: Gets the number of the request, from 0, and writes what shall come back; the connection is closed after.
    """
    server = RawServer()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            server.requests.append(head)
            await answer(len(server.requests) - 1, writer)
        except (asyncio.IncompleteReadError, ConnectionError, SSLError):
            pass  # the client is gone, which some tests are about
        finally:
            writer.close()

    listener = await asyncio.start_server(handle, "127.0.0.1", 0, ssl=ssl)
    port = listener.sockets[0].getsockname()[1]
    server.origin = f"{'https' if ssl else 'http'}://127.0.0.1:{port}"
    async with listener:
        yield server


def reply(status: str, body: bytes = b"", **headers: str) -> bytes:
    """A whole HTTP answer; underscores in header names become hyphens."""
    lines = [f"HTTP/1.1 {status}", *(f"{name.replace('_', '-')}: {value}" for name, value in headers.items())]
    if "Content_Length" not in headers:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "Connection: close", "", ""]).encode() + body


@dataclass(slots=True)
class PeakMemory:
    """The most memory that Python's own allocations took within a block (`peak_memory`), bytes; known at its end."""

    size_bytes: int = 0


@contextmanager
def peak_memory() -> Iterator[PeakMemory]:
    """Measure the most memory that is allocated at once within the block, beyond what is there before it."""
    peak = PeakMemory()
    tracemalloc.start()
    try:
        yield peak
        _, peak.size_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
