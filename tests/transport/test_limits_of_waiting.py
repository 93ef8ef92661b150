"""No call waits without a limit, whatever the other side does; in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress

import pytest
from support import EventRecorder, raw_server
from virtual_loop import VirtualClock, run_virtually

from bulkpull.errors import AnswerLost, BulkpullError, HeadTooLong
from bulkpull.transport.http import TRANSFER_TIMEOUTS, Http, Request, Timeouts
from bulkpull.transport.http_errors import MAX_HEADER_BYTES, MAX_HEADERS

Answer = Callable[[int, asyncio.StreamWriter], Coroutine[None, None, None]]


async def write_for_ever(writer: asyncio.StreamWriter, piece: bytes, *, every_s: float = 2.0) -> None:
    with suppress(ConnectionError):
        while not writer.is_closing():
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(every_s)


async def trickle_head(_: int, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nX-Long: ")
    await write_for_ever(writer, b"x")


async def interim_for_ever(_: int, writer: asyncio.StreamWriter) -> None:
    await write_for_ever(writer, b"HTTP/1.1 102 Processing\r\n\r\n")


async def headers_for_ever(number: int, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n")
    await write_for_ever(writer, b"X-Another: 1\r\n")


async def say_nothing(_: int, writer: asyncio.StreamWriter) -> None:
    await write_for_ever(writer, b"", every_s=1e6)


HEADLESS = [trickle_head, interim_for_ever, headers_for_ever, say_nothing]


def named(answer: Answer) -> str:
    return str(getattr(answer, "__name__", ""))


async def trickle_body(_: int, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
    await write_for_ever(writer, b"x")


async def trickle_chunks(_: int, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    await write_for_ever(writer, b"1\r\nx\r\n")


async def trickle_refusal(_: int, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 503 Busy\r\nContent-Length: 1000000\r\n\r\n<Error><Code>ServerBusy</Code>")
    await write_for_ever(writer, b"x")


def http() -> Http:
    return Http(ca_file=None, events=EventRecorder().hub, clock=VirtualClock(), user_agent="test")


def sent(answer: Answer, timeouts: Timeouts) -> tuple[BulkpullError | None, float]:
    """What `send` raises, and after how many virtual seconds."""

    async def work() -> BulkpullError | None:
        async with raw_server(answer) as server, http() as ours:
            try:
                await ours.send(Request("GET", server.origin, endpoint="ScheduledReport", timeouts=timeouts))
            except BulkpullError as error:
                return error
            return None

    return run_virtually(work, longest_s=3_600)


@pytest.mark.case("C9", "C13")
@pytest.mark.parametrize("answer", [*HEADLESS, trickle_body, trickle_chunks, trickle_refusal], ids=named)
def test_a_call_whose_answer_never_ends_is_a_lost_answer_when_its_time_is_up(answer: Answer) -> None:
    error, elapsed_s = sent(answer, Timeouts())

    assert isinstance(error, AnswerLost)
    assert elapsed_s <= 181


@pytest.mark.case("C9")
@pytest.mark.parametrize(
    "answer", [trickle_head, interim_for_ever, headers_for_ever, say_nothing], ids=lambda a: a.__name__
)
def test_the_head_of_a_transfer_has_a_limit_of_its_own(answer: Answer) -> None:
    async def work() -> None:
        async with raw_server(answer) as server, http() as ours:
            request = Request("GET", server.origin, endpoint="blob", timeouts=TRANSFER_TIMEOUTS)
            with pytest.raises(AnswerLost):
                async with ours.stream(request):
                    pass

    _, elapsed_s = run_virtually(work, longest_s=3_600)

    assert TRANSFER_TIMEOUTS.head_s is not None
    assert elapsed_s <= TRANSFER_TIMEOUTS.head_s + 1


@pytest.mark.case("C9")
def test_the_body_of_a_refusal_is_read_for_a_moment_and_what_came_of_it_counts() -> None:
    async def work() -> tuple[int, bytes]:
        async with raw_server(trickle_refusal) as server, http() as ours:
            request = Request("GET", server.origin, endpoint="blob", timeouts=TRANSFER_TIMEOUTS)
            async with ours.stream(request) as reply:
                return reply.status, await reply.read_error_body()

    (status, body), elapsed_s = run_virtually(work, longest_s=3_600)

    assert (status, body[:31]) == (503, b"<Error><Code>ServerBusy</Code>x")
    assert elapsed_s <= TRANSFER_TIMEOUTS.error_body_s + 1


def with_headers(lines: bytes) -> Answer:
    async def answer(_: int, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n" + lines + b"Content-Length: 2\r\n\r\n{}")

    return answer


@pytest.mark.case("C23")
@pytest.mark.parametrize(
    "lines", [b"X-Policy: " + b"p" * 9_000 + b"\r\n", b"".join(b"X-H%d: v\r\n" % n for n in range(150))]
)
def test_long_headers_and_many_of_them_are_read(lines: bytes) -> None:
    assert sent(with_headers(lines), Timeouts())[0] is None


@pytest.mark.case("C23")
@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (b"X-Policy: " + b"p" * (MAX_HEADER_BYTES + 4_000) + b"\r\n", "longer than 65,536 bytes"),
        (b"".join(b"X-H%d: v\r\n" % n for n in range(MAX_HEADERS + 50)), "more than 1,000 headers"),
    ],
)
def test_a_head_beyond_every_limit_is_told_as_such_and_not_as_a_fault_of_the_network(lines: bytes, words: str) -> None:
    error, _ = sent(with_headers(lines), Timeouts())

    assert isinstance(error, HeadTooLong)
    assert words in error.reason
