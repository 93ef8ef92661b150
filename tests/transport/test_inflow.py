"""A large body comes past the HTTP library, and means the same: every byte, in order, or an error of ours."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import anyio
import anyio.lowlevel
import numpy as np
import pytest
from support import FakeClock, Told

from bulkpull.errors import AnswerLost
from bulkpull.transport.http import TRANSFER_TIMEOUTS, AnswerOverdue, Http, Request, Timeouts
from bulkpull.transport.inflow import BUFFER_BYTES

CERTIFICATE = Path(__file__).parent / "loopback.pem"
BODY = np.random.default_rng(1).bytes(9 << 20)
HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n"

Answer = Callable[[asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Host:
    origin: str = ""
    connections: int = 0

    def request(self, timeouts: Timeouts = TRANSFER_TIMEOUTS) -> Request:
        return Request("GET", f"{self.origin}/f", endpoint="blob", timeouts=timeouts)


@pytest.fixture(params=["plain", "tls"])
def certificate(request: pytest.FixtureRequest) -> Path | None:
    return CERTIFICATE if request.param == "tls" else None


@pytest.fixture
async def http(certificate: Path | None) -> AsyncIterator[Http]:
    async with Http(ca_file=certificate, events=Told().hub, clock=FakeClock(), user_agent="bulkpull/test") as ready:
        yield ready


@asynccontextmanager
async def hosted(answer: Answer, certificate: Path | None) -> AsyncIterator[Host]:
    """Serve on loopback, one answer after another on each connection, until the client leaves or `answer` closes."""
    host = Host()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        host.connections += 1
        try:
            while not writer.is_closing():
                await reader.readuntil(b"\r\n\r\n")
                await answer(writer)
        except (asyncio.IncompleteReadError, ConnectionError, ssl.SSLError):
            pass  # the client is gone, which some tests are about
        finally:
            writer.close()

    context = None
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
    async with await asyncio.start_server(handle, "127.0.0.1", 0, ssl=context) as listener:
        port = listener.sockets[0].getsockname()[1]
        host.origin = f"{'https' if certificate else 'http'}://127.0.0.1:{port}"
        yield host


async def whole(writer: asyncio.StreamWriter) -> None:
    writer.write(HEAD % len(BODY) + BODY)
    await writer.drain()


async def read_all(http: Http, request: Request, *, into: bytearray | None = None) -> bytes:
    got = bytearray() if into is None else into
    async with http.stream(request) as answer:
        async for piece in answer.chunks():
            got += piece
    return bytes(got)


async def test_a_large_body_arrives_whole_and_leaves_its_connection_to_the_next_call(
    http: Http, certificate: Path | None
) -> None:
    async with hosted(whole, certificate) as host:
        for _ in range(3):
            assert await read_all(http, host.request()) == BODY

    assert host.connections == 1


async def test_a_large_body_comes_in_pieces_worth_a_write(http: Http, certificate: Path | None) -> None:
    async with hosted(whole, certificate) as host, http.stream(host.request()) as answer:
        sizes = [len(piece) async for piece in answer.chunks()]

    assert max(sizes) == BUFFER_BYTES


async def test_a_reader_that_takes_its_time_loses_nothing(http: Http, certificate: Path | None) -> None:
    """The connection waits for it: what has not been read takes no more memory than a few buffers."""
    got = bytearray()
    async with hosted(whole, certificate) as host, http.stream(host.request()) as answer:
        async for piece in answer.chunks():
            for _ in range(50):
                await anyio.lowlevel.checkpoint()
            got += piece

    assert got == BODY


@pytest.mark.fault(59, 60)
async def test_all_that_came_before_a_break_is_handed_over_before_it_is_told(
    http: Http, certificate: Path | None
) -> None:
    sent = BODY[: 3 * BUFFER_BYTES + 12_345]

    async def cut(writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD % len(BODY) + sent)
        await writer.drain()
        writer.close()

    got = bytearray()
    async with hosted(cut, certificate) as host:
        with pytest.raises(AnswerLost):
            await read_all(http, host.request(), into=got)

    assert got == sent


@pytest.mark.fault(62)
async def test_a_silence_in_a_large_body_ends_it(http: Http, certificate: Path | None) -> None:
    async def fall_silent(writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD % len(BODY) + BODY[: 2 * BUFFER_BYTES])
        await writer.drain()
        await anyio.sleep_forever()

    got = bytearray()
    async with hosted(fall_silent, certificate) as host:
        with pytest.raises(AnswerOverdue):
            await read_all(http, host.request(Timeouts(read_s=0.2, total_s=None)), into=got)

    assert got == BODY[: 2 * BUFFER_BYTES]


async def test_a_few_bytes_do_not_wait_for_a_full_buffer(http: Http, certificate: Path | None) -> None:
    """On a slow line a full buffer would take seconds, which a kill would cost."""
    go_on = asyncio.Event()

    async def trickle(writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD % len(BODY) + BODY[:1_000])
        await writer.drain()
        await go_on.wait()
        writer.write(BODY[1_000:])
        await writer.drain()

    got = bytearray()
    async with hosted(trickle, certificate) as host, http.stream(host.request()) as answer:
        async for piece in answer.chunks():
            got += piece
            if len(got) >= 1_000:
                go_on.set()

    assert got == BODY


@pytest.mark.fault(61)
async def test_bytes_beyond_the_announced_end_are_no_part_of_it_nor_of_the_next_answer(
    http: Http, certificate: Path | None
) -> None:
    async def too_much(writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD % len(BODY) + BODY + b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n" * 10_000)
        await writer.drain()

    async with hosted(too_much, certificate) as host:
        assert await read_all(http, host.request()) == BODY
        assert await read_all(http, host.request()) == BODY

    assert host.connections == 2


async def test_a_reader_that_leaves_early_ends_the_connection(http: Http, certificate: Path | None) -> None:
    async with hosted(whole, certificate) as host:
        async with http.stream(host.request()) as answer, aclosing(answer.chunks()) as chunks:
            await anext(chunks)
        assert await read_all(http, host.request()) == BODY

    assert host.connections == 2
