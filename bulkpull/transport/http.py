"""
Sends HTTP requests. Only this module, `http_errors` and the simulator use aiohttp.

This module retries nothing, and no exception of aiohttp or of the system leaves it: they carry addresses and headers,
which are secrets. Our own errors are raised after the `except` block has ended, so that not even `__context__` holds
theirs. Redirects are followed here, because each new address must be checked first.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Collection, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from copy import copy
from dataclasses import dataclass, field, replace
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Any, Self

import anyio
from anyio import to_thread
from yarl import URL

from bulkpull.clock import Clock
from bulkpull.errors import AnswerLost, BulkpullError, ProxyRefused, UnexpectedReply, UnsafeAddress
from bulkpull.event_types import CallSent
from bulkpull.events import Events
from bulkpull.redact import register_secret
from bulkpull.transport.buffered_body import BufferedBody
from bulkpull.transport.http_errors import MAX_HEADER_BYTES, MAX_HEADERS, TRANSLATED, AnswerOverdue, translate
from bulkpull.transport.http_messages import ERROR_BODY_S, TRANSFER_TIMEOUTS, Reply, Request, RequestCounts, Timeouts
from bulkpull.transport.proxies import Proxies, Proxy
from bulkpull.transport.rate_limit import parse_http_date
from bulkpull.transport.threaded_tls_reader import ThreadedTlsReader
from bulkpull.transport.trust_store import certificates_read_late, trusted_certificates
from bulkpull.url_safety import check_address, check_reach, join_address, same_origin

with certificates_read_late():
    import aiohttp

__all__ = ["TRANSFER_TIMEOUTS", "AnswerOverdue", "Http", "Reply", "Request", "StreamedReply", "Timeouts"]

# The longest reply that the API is believed to send is a list of some hundred reports, well under a megabyte.
MAX_BODY_BYTES = 32 * 1024 * 1024
MAX_REDIRECTS = 5
# Fewer, larger reads cost less than many small ones: aiohttp would hand over 64 KiB at a time.
READ_BUFFER_BYTES = 1024 * 1024
# Smaller bodies are not worth the buffers.
_LARGE_BYTES = 8 << 20
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_REPEATABLE = frozenset({"GET", "HEAD"})
_KEEP_METHOD = frozenset({307, 308})
_WITH_DATA = frozenset({HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT})
_CREDENTIALS = frozenset({"authorization", "cookie", "proxy-authorization", "x-aadusertoken", "x-aaduserticket"})


class _BrokenError(Exception):
    """Carries an exception past aiohttp's own retries; its own text has none of that one's addresses."""

    def __init__(self, cause: BaseException) -> None:
        self.cause = cause
        super().__init__()


async def _prevent_repetition(
    request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
) -> aiohttp.ClientResponse:
    # aiohttp sends a GET, PUT or DELETE again on its own when a kept connection turns out to be cut.
    try:
        return await handler(request)
    except TRANSLATED as error:
        raise _BrokenError(error) from None


@dataclass(frozen=True, slots=True)
class StreamedReply:
    """The head of a response, and its body as a stream; valid until the `stream` block ends."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    _content: aiohttp.StreamReader = field(repr=False)
    _label: str
    _inflow: BufferedBody | None = field(default=None, repr=False)
    _error_body_s: float = ERROR_BODY_S

    async def chunks(self) -> AsyncGenerator[bytes | memoryview, None]:
        """
        The stored bytes, never decompressed, in pieces of any size.

        A `memoryview` is only valid until the next piece is asked for. Raises `AnswerLost` where the bytes broke off
        before the announced end, or none came for `read_s`.
        """
        ours: BulkpullError | None = None
        while ours is None:
            try:
                if self._inflow is not None:
                    chunk, ends_a_chunk = await self._inflow.read(), False
                else:  # not `readany`: it would join what has come meanwhile, one more copy of most of a fast transfer
                    chunk, ends_a_chunk = await self._content.readchunk()
            except TRANSLATED as error:
                ours = translate(error, label=self._label)
                chunk, ends_a_chunk = self._left_behind(), True
            if chunk:
                yield chunk
            # Answers without a body share one reader in aiohttp, which says only once that it is at its end.
            elif ours is None and (not ends_a_chunk or self._content.at_eof()):
                return
        raise ours

    def _left_behind(self) -> bytes:
        """What arrived before a break, which aiohttp hides: up to two megabytes would have to come again."""
        try:
            return self._content._read_nowait(-1)  # noqa: SLF001 - there is no public way past its exception
        except TimeoutError:  # the time for the whole call is over, of which it tells here as well (case C13)
            return b""

    async def tapped(self) -> ThreadedTlsReader | None:
        """
        Where a worker thread reads the rest of the body by `pour` alone; `None` as long as it comes by `chunks`.

        Raises `AnswerLost` as `chunks`, which ends once there is a reader.
        """
        if self._inflow is None:
            return None
        try:
            return await self._inflow.tapped()
        except TRANSLATED as error:
            ours = translate(error, label=self._label)
        raise ours

    async def read_error_body(self, limit: int = 65_536) -> bytes:
        """The first `limit` bytes of the body, which explain an error; fewer if they break off or take long."""
        body = bytearray()
        with suppress(AnswerLost), anyio.move_on_after(self._error_body_s):
            async for chunk in self.chunks():
                body += chunk
                if len(body) >= limit:
                    break
        return bytes(body[:limit])


@dataclass(kw_only=True, eq=False, repr=False)
class Http:
    """
    Sends requests; use it as a context manager. It uses the proxy of the environment, never for loopback.

    The user's `.netrc` is not read: its credentials would go to the storage host, which refuses any. Links and
    redirects may not lead closer to this machine than the API at `api_base_url` is itself, except to `near_hosts`;
    without that address nothing is refused for it. `ca_file` is trusted besides the system's certificates. `in_flight`
    counts the calls under way at this moment.

    Raises:
        SettingsError: The environment names a proxy that cannot be used.
    """

    ca_file: Path | None
    events: Events
    clock: Clock
    user_agent: str
    api_base_url: str | None = None
    near_hosts: Collection[str] = ()
    counts: RequestCounts = field(default_factory=RequestCounts)
    in_flight: int = field(default=0, init=False)
    _proxies: Proxies = field(default_factory=Proxies, init=False)
    _proxy_refusal: ProxyRefused | None = field(default=None, init=False)
    _session: aiohttp.ClientSession | None = field(default=None, init=False)

    async def __aenter__(self) -> Self:
        trusted = await to_thread.run_sync(partial(trusted_certificates, self.ca_file))
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=trusted, ttl_dns_cache=60),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"User-Agent": self.user_agent},
            timeout=aiohttp.ClientTimeout(total=None),
            middlewares=(_prevent_repetition,),
            max_line_size=MAX_HEADER_BYTES,
            max_field_size=MAX_HEADER_BYTES,
            max_headers=MAX_HEADERS,
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()

    async def send(self, request: Request) -> Reply:
        """
        Send one call and read its whole answer, whatever its status is.

        Raises:
            NotConnected: Nothing was sent.
            AnswerLost: It was sent, and no complete reply arrived.
            TlsRefused, ProxyRefused: The certificate cannot be trusted, or the proxy refuses credentials or host.
            UnsafeAddress: The address, or a redirect, leads where credentials must not go.
            UnexpectedReply, HeadTooLong: The answer has more than 32 MiB, or a header more than 64 KiB.
        """
        check_address(request.url, what=request.label)
        followed = _REDIRECTS if request.method in _REPEATABLE else _KEEP_METHOD
        with self._under_way():
            response, _ = await self._open_redirected(
                request, followed=followed, check=_check_same_host, auto_decompress=True
            )
            try:
                body = bytearray()
                reply = StreamedReply(response.status, response.headers, response.content, request.label)
                async for chunk in reply.chunks():
                    body += chunk
                    if len(body) > MAX_BODY_BYTES:
                        raise UnexpectedReply(f"{request.label}: the reply is longer than {MAX_BODY_BYTES:,} bytes")
            finally:
                response.release()
        return Reply(response.status, response.headers, bytes(body), response.reason or "")

    @asynccontextmanager
    async def stream(self, request: Request) -> AsyncIterator[StreamedReply]:
        """
        Send one call and hand over its answer as it arrives, for files of any size; raises as `send`.

        The bytes come as they are stored: nothing is negotiated and nothing is decompressed, so that offsets, lengths
        and digests mean the file (behaviours 128 to 130). Redirects lose every credential and must be https. A link to
        this machine or to a private network, from an API that is not there itself, is an unsafe address.
        """
        bare = {name: value for name, value in request.headers.items() if name.lower() not in _CREDENTIALS}
        request = replace(request, headers={"Accept-Encoding": "identity", **bare})
        self._check_link(request.url, what=request.label)
        with self._under_way():
            response, url = await self._open_redirected(
                request, followed=_REDIRECTS, check=self._check_redirect, auto_decompress=False
            )
            proxy, about = self._proxies.proxy_for(url), (response.status, response.headers, response.content)
            # Whether TLS runs on the socket itself (case C38).
            may_tap = proxy is None or not proxy.is_tls
            try:
                with _read_past(response, read_s=request.timeouts.read_s, may_tap=may_tap) as inflow:
                    yield StreamedReply(*about, request.label, inflow, request.timeouts.error_body_s)
            finally:
                response.release()

    def _check_link(self, url: str, *, what: str) -> None:
        check_address(url, what=what)
        if self.api_base_url is not None:
            check_reach(url, from_url=self.api_base_url, allowed=self.near_hosts, what=what)

    def _check_redirect(self, request: Request, target: str) -> None:
        what = f"{request.label}: a redirect"
        self._check_link(target, what=what)
        check_reach(target, from_url=request.url, allowed=self.near_hosts, what=what)

    async def _open_redirected(
        self,
        request: Request,
        *,
        followed: frozenset[int],
        check: Callable[[Request, str], None],
        auto_decompress: bool,
    ) -> tuple[aiohttp.ClientResponse, str]:
        """The answer behind all redirects of the statuses `followed`, and its address; `check` raises for a bad one."""
        for _ in range(MAX_REDIRECTS + 1):
            response = await self._open(request, auto_decompress=auto_decompress)
            location = response.headers.get("Location")
            if response.status not in followed or not location:
                return response, request.url
            response.release()
            target = join_address(request.url, location, what=f"{request.label}: a redirect")
            check(request, target)
            request = replace(request, url=target)
        raise UnsafeAddress(f"{request.label}: too many redirects")

    async def _open(self, request: Request, *, auto_decompress: bool) -> aiohttp.ClientResponse:
        if self._session is None or self._session.closed:
            raise BulkpullError(
                f"{request.label}: the connection is closed",
                why="it is open only within its `async with` block",
                fix="make the call within the block, or open a new one",
            )
        times = request.timeouts
        began = self.clock.monotonic()
        response: aiohttp.ClientResponse | None = None
        failure: BulkpullError | None = None
        options: dict[str, Any] = {} if request.json is None else {"json": request.json}
        if request.form is not None:
            options["data"] = dict(request.form)
        if (proxy := self._proxies.proxy_for(request.url)) is not None:
            if self._proxy_refusal is not None:
                raise copy(self._proxy_refusal)  # a wrong password that is repeated locks accounts
            options |= _by_proxy(proxy)
        try:
            # aiohttp begins a new count with every byte and every interim answer: a trickle would never end.
            with anyio.fail_after(times.head_s):
                response = await self._session.request(
                    request.method,
                    URL(request.url, encoded=True),
                    headers=request.headers,
                    allow_redirects=False,
                    auto_decompress=auto_decompress,
                    read_bufsize=READ_BUFFER_BYTES,
                    # total=None: aiohttp ends a transfer after 300 s by default.
                    timeout=aiohttp.ClientTimeout(
                        total=times.total_s, sock_connect=times.connect_s, sock_read=times.read_s
                    ),
                    **options,
                )
        except (_BrokenError, *TRANSLATED) as error:
            cause = error.cause if isinstance(error, _BrokenError) else error
            failure = translate(cause, label=request.label, address=request.address_name)
        if failure is None or isinstance(failure, AnswerLost):
            self.counts.by_endpoint[request.endpoint] += 1
        if isinstance(failure, ProxyRefused) and failure.why is None:  # another host may be allowed, no other password
            self._proxy_refusal = failure
        if failure is not None:
            raise failure
        assert response is not None
        date = parse_http_date(response.headers.get("Date"))
        self.counts.throttled += response.status == HTTPStatus.TOO_MANY_REQUESTS
        self.events.emit(
            CallSent(
                endpoint=request.endpoint,
                status=response.status,
                elapsed_s=round(self.clock.monotonic() - began, 3),
                request_id=request.headers.get("MS-RequestId"),
                # How far the other side's clock is ahead of ours, in whole seconds as `Date` tells it.
                skew_s=None if date is None else round((date - self.clock.now()).total_seconds()),
            )
        )
        return response

    @contextmanager
    def _under_way(self) -> Iterator[None]:
        self.in_flight += 1
        try:
            yield
        finally:
            self.in_flight -= 1


def _check_same_host(request: Request, target: str) -> None:
    if not same_origin(request.url, target):
        raise UnsafeAddress(
            f"{request.label}: a redirect is not followed",
            why="it leads to another host, which must not receive the token",
        )


def _by_proxy(proxy: Proxy) -> dict[str, Any]:
    """The proxy arguments for aiohttp, whose own parsing of user and password is limited to Latin-1."""
    if proxy.user is None:
        return {"proxy": proxy.url}
    credentials = b64encode(f"{proxy.user}:{proxy.password}".encode()).decode("ascii")
    register_secret(credentials)
    return {"proxy": proxy.url, "proxy_headers": {"Proxy-Authorization": f"Basic {credentials}"}}


@contextmanager
def _read_past(response: aiohttp.ClientResponse, *, read_s: float, may_tap: bool) -> Iterator[BufferedBody | None]:
    """Read the body of a large answer past aiohttp; `None` where that is not worth it or not possible."""
    content, connection = response.content, response.connection
    length = response.headers.get("Content-Length", "")
    is_plain = response.status in _WITH_DATA and length.isdigit() and "Transfer-Encoding" not in response.headers
    transport, protocol = (connection.transport, connection.protocol) if connection else (None, None)
    is_large = is_plain and int(length) - content.total_bytes >= _LARGE_BYTES
    if not is_large or transport is None or protocol is None or not transport.is_reading() or content.exception():
        yield None
        return
    protocol.pause_reading()  # also ends its own watch over silences
    # The bytes received so far are all in `content`: nothing was paused yet.
    missing_bytes, first = int(length) - content.total_bytes, content.read_nowait(-1)
    inflow = BufferedBody(
        transport, first=first, missing_bytes=missing_bytes, before=protocol, read_s=read_s, may_tap=may_tap
    )
    try:
        yield inflow
    finally:
        if inflow.end():
            protocol.resume_reading()
            content.feed_eof()  # which lets the next call have the connection
        else:
            protocol.abort()  # nothing else would stop the rest of the body
