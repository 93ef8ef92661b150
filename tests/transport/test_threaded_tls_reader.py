"""A thread that reads a TLS connection brings what the loop would: every byte, in order, or an error of ours."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import anyio
import anyio.to_thread
import numpy as np
import pytest
from support import EventRecorder, FakeClock
from transport.kept_host import CERTIFICATE, HEAD, Host, hosted, server_context

from bulkpull.errors import AnswerLost
from bulkpull.transport import buffered_body
from bulkpull.transport.http import TRANSFER_TIMEOUTS, AnswerOverdue, Http, StreamedReply, Timeouts
from bulkpull.transport.proxies import Proxies, Proxy
from bulkpull.transport.threaded_tls_reader import ThreadedTlsReader

BODY = np.random.default_rng(1).bytes(32 << 20)
IMPATIENT = Timeouts(read_s=0.2, total_s=None)


async def whole(writer: asyncio.StreamWriter) -> None:
    writer.write(HEAD % len(BODY) + BODY)
    await writer.drain()


@dataclass
class Fetch:
    """A client that reads as a transfer does, and counts what threads brought."""

    http: Http
    got: bytearray
    tapped_bytes: int = 0
    spoil: Callable[[ThreadedTlsReader], None] = lambda _: None

    async def run(self, host: Host, *, timeouts: Timeouts = TRANSFER_TIMEOUTS, at_most: int = len(BODY)) -> bytes:
        self.got.clear()
        async with self.http.stream(host.request(timeouts)) as reply:
            async for chunk in reply.chunks():
                self.got += chunk
                await self._read_tapped(reply, at_most=at_most)
                if len(self.got) >= at_most:
                    break
            await self._read_tapped(reply, at_most=at_most)
        return bytes(self.got)

    async def _read_tapped(self, reply: StreamedReply, *, at_most: int) -> None:
        while len(self.got) < at_most and (tap := await reply.tapped()) is not None:
            before_bytes = len(self.got)
            self.spoil(tap)
            await anyio.to_thread.run_sync(partial(tap.pour, self._put, at_most=3_000_000, for_s=0.1))
            self.tapped_bytes += len(self.got) - before_bytes

    def _put(self, piece: memoryview) -> None:
        self.got += piece


@pytest.fixture(autouse=True)
def _any_line_is_fast(monkeypatch: pytest.MonkeyPatch) -> None:
    """However busy the machine is."""
    monkeypatch.setattr(buffered_body, "_FAST_BYTES_PER_S", 0.0)


@pytest.fixture
async def fetch() -> AsyncIterator[Fetch]:
    async with Http(
        ca_file=CERTIFICATE, events=EventRecorder().hub, clock=FakeClock(), user_agent="bulkpull/test"
    ) as ready:
        yield Fetch(ready, bytearray())


async def test_a_body_arrives_whole_and_leaves_its_connection_to_the_next_call(fetch: Fetch) -> None:
    async with hosted(whole) as host:
        for _ in range(3):
            assert await fetch.run(host) == BODY

    assert fetch.tapped_bytes > len(BODY)
    assert host.connections == 1


async def test_a_body_in_the_clear_and_one_on_a_slow_line_come_by_the_loop(
    fetch: Fetch, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with hosted(whole, None) as host:
        assert await fetch.run(host) == BODY
    monkeypatch.setattr(buffered_body, "_FAST_BYTES_PER_S", 1e18)
    async with hosted(whole) as host:
        assert await fetch.run(host) == BODY

    assert fetch.tapped_bytes == 0


async def test_where_the_loop_does_not_leave_the_connection_alone_nothing_has_happened(
    fetch: Fetch, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries = 0

    async def never(_: ThreadedTlsReader) -> bool:
        nonlocal tries
        tries += 1
        await anyio.sleep(0.01)
        return False

    monkeypatch.setattr(ThreadedTlsReader, "_is_left_alone", never)
    async with hosted(whole) as host:
        for _ in range(2):
            assert await fetch.run(host) == BODY

    assert tries == 6
    assert host.connections == 1


@pytest.mark.fault(59, 60)
async def test_all_that_came_before_a_break_is_handed_over_before_it_is_told(fetch: Fetch) -> None:
    sent = BODY[: (16 << 20) + 12_345]

    async def cut(writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD % len(BODY) + sent)
        await writer.drain()
        writer.close()

    async with hosted(cut) as host:
        with pytest.raises(AnswerLost):
            await fetch.run(host)

    assert fetch.tapped_bytes > 0
    assert fetch.got == sent


@pytest.mark.fault(62)
async def test_a_silence_ends_it(fetch: Fetch) -> None:
    async def fall_silent(writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD % len(BODY) + BODY[: 16 << 20])
        await writer.drain()
        await anyio.sleep_forever()

    async with hosted(fall_silent) as host:
        with pytest.raises(AnswerOverdue):
            await fetch.run(host, timeouts=IMPATIENT)

    assert fetch.tapped_bytes > 0
    assert fetch.got == BODY[: 16 << 20]


async def test_a_few_bytes_do_not_wait_for_a_full_piece(fetch: Fetch) -> None:
    """On a line that has become slow a full piece would take seconds, which a kill would cost."""
    go_on, begun = asyncio.Event(), (16 << 20) + 1_000

    async def trickle(writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD % len(BODY) + BODY[:begun])
        await writer.drain()
        await go_on.wait()
        writer.write(BODY[begun:])
        await writer.drain()

    def look(_: ThreadedTlsReader) -> None:
        if len(fetch.got) >= begun:
            go_on.set()

    fetch.spoil = look
    async with hosted(trickle) as host:
        assert await fetch.run(host) == BODY


@pytest.mark.fault(61)
async def test_bytes_beyond_the_announced_end_are_no_part_of_it_nor_of_the_next_answer(fetch: Fetch) -> None:
    async def too_much(writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD % len(BODY) + BODY + b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n" * 10_000)
        await writer.drain()

    async with hosted(too_much) as host:
        assert await fetch.run(host) == BODY
        assert await fetch.run(host) == BODY

    assert host.connections == 2


async def test_a_reader_that_leaves_early_ends_the_connection(fetch: Fetch) -> None:
    async with hosted(whole) as host:
        assert BODY.startswith(await fetch.run(host, at_most=16 << 20))
        assert fetch.tapped_bytes > 0
        assert await fetch.run(host) == BODY

    assert host.connections == 2


async def test_records_out_of_order_break_the_connection_and_bring_no_byte(fetch: Fetch) -> None:
    """As they would come if the loop and a thread ever read at once."""

    def interfere(tap: ThreadedTlsReader) -> None:
        tap._connection.incoming.write(b"\x17\x03\x03\x40\x11" + bytes(0x4011))

    fetch.spoil = interfere
    async with hosted(whole) as host:
        with pytest.raises(AnswerLost):
            await fetch.run(host)

    assert BODY.startswith(bytes(fetch.got))
    assert len(fetch.got) < len(BODY)


@pytest.mark.parametrize("number", [errno.ECONNRESET, errno.ETIMEDOUT, errno.EHOSTUNREACH])
async def test_a_network_that_goes_is_a_break_of_the_connection(fetch: Fetch, number: int) -> None:
    class Gone(socket.socket):
        def recv_into(self, *_: object) -> int:
            raise OSError(number, os.strerror(number))

    def cut_off(tap: ThreadedTlsReader) -> None:
        tap._line = Gone(fileno=tap._line.detach())

    fetch.spoil = cut_off
    async with hosted(whole) as host:
        with pytest.raises(AnswerLost):
            await fetch.run(host)

    assert BODY.startswith(bytes(fetch.got))


async def test_a_disk_that_refuses_a_piece_is_no_fault_of_the_connection(fetch: Fetch) -> None:
    def refuse(_: memoryview) -> None:
        raise OSError(28, "No space left on device")

    async with hosted(whole) as host:
        fetch._put = refuse  # type: ignore[method-assign, assignment]
        with pytest.raises(OSError, match="No space left"):
            await fetch.run(host)


class ForLoopbackToo(Proxies):
    """One proxy for every address: ours leave loopback out."""

    def __init__(self, proxy: Proxy) -> None:
        super().__init__({})
        self._only = proxy

    def proxy_for(self, url: str) -> Proxy | None:
        return self._only


@asynccontextmanager
async def connecting_proxy(certificate: Path | None) -> AsyncIterator[Proxy]:
    """A proxy on loopback that passes every byte on to wherever CONNECT says; over TLS where it has a certificate."""

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, ssl.SSLError):
            while piece := await reader.read(1 << 16):
                writer.write(piece)
                await writer.drain()
        writer.close()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        host, _, port = head.split()[1].decode().rpartition(":")
        there, back = await asyncio.open_connection(host, int(port))
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        await asyncio.gather(pass_on(reader, back), pass_on(there, writer))

    context = None if certificate is None else server_context(certificate)
    async with await asyncio.start_server(handle, "127.0.0.1", 0, ssl=context) as listener:
        port = listener.sockets[0].getsockname()[1]
        yield Proxy(f"{'https' if certificate else 'http'}://127.0.0.1:{port}")


@pytest.mark.case("C38")
@pytest.mark.parametrize("certificate", [None, CERTIFICATE], ids=["http proxy", "https proxy"])
async def test_a_thread_reads_only_where_tls_runs_on_the_socket_itself(fetch: Fetch, certificate: Path | None) -> None:
    """Behind an https proxy the socket holds the proxy's TLS, and the host's only within it."""
    async with connecting_proxy(certificate) as proxy, hosted(whole) as host:
        fetch.http._proxies = ForLoopbackToo(proxy)

        assert await fetch.run(host) == BODY

    assert (fetch.tapped_bytes > 0) == (certificate is None)
