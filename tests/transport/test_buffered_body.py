"""A large body comes past the HTTP library, and means the same: every byte, in order, or an error of ours."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import anyio
import anyio.lowlevel
import numpy as np
import pytest
from support import EventRecorder, FakeClock
from transport.kept_host import CERTIFICATE, HEAD, hosted

from bulkpull.errors import AnswerLost
from bulkpull.transport.buffered_body import BUFFER_BYTES
from bulkpull.transport.http import AnswerOverdue, Http, Request, Timeouts

BODY = np.random.default_rng(1).bytes(9 << 20)


@pytest.fixture(params=["plain", "tls"])
def certificate(request: pytest.FixtureRequest) -> Path | None:
    return CERTIFICATE if request.param == "tls" else None


@pytest.fixture
async def http(certificate: Path | None) -> AsyncIterator[Http]:
    async with Http(
        ca_file=certificate, events=EventRecorder().hub, clock=FakeClock(), user_agent="bulkpull/test"
    ) as ready:
        yield ready


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
