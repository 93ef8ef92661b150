"""A whole transfer over TLS on a fast line, where threads read and write: the same file as on any other."""

from __future__ import annotations

import asyncio
import random
import re
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import anyio
import numpy as np
import pytest
from support import Told

from bulkpull.clock import SystemClock
from bulkpull.journey.download import StoredFile, download_report
from bulkpull.model import SecureLink
from bulkpull.transport import inflow
from bulkpull.transport.http import Http
from bulkpull.transport.retry import Retrier, RetryBudget, RetryPolicy
from bulkpull.transport.tap import Tap

CERTIFICATE = Path(__file__).parents[1] / "transport" / "loopback.pem"
BODY = np.random.default_rng(2).bytes(64 << 20)
_RANGE = re.compile(rb"\r\nRange: bytes=(\d+)-(\d*)\r\n")


@dataclass
class Host:
    """Serves one file over TLS; `cuts` says after how many bytes each answer in turn ends."""

    cuts: list[int] = field(default_factory=list)
    sent_bytes: int = 0
    asked_bytes: int = 0
    answers: int = 0
    origin: str = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while not writer.is_closing():
                head = await reader.readuntil(b"\r\n\r\n")
                await self._answer(head, writer)
        except (asyncio.IncompleteReadError, ConnectionError, ssl.SSLError):
            pass
        finally:
            writer.close()

    async def _answer(self, head: bytes, writer: asyncio.StreamWriter) -> None:
        found, size = _RANGE.search(head), len(BODY)
        start, end = (int(found[1]), int(found[2]) + 1 if found[2] else size) if found else (0, size)
        status = "206 Partial Content" if found else "200 OK"
        told = f"Content-Range: bytes {start}-{end - 1}/{size}\r\n" if found else ""
        writer.write(
            f'HTTP/1.1 {status}\r\nETag: "0x1"\r\nAccept-Ranges: bytes\r\n{told}'
            f"Content-Length: {end - start}\r\n\r\n".encode()
        )
        self.answers += 1
        self.asked_bytes += end - start
        until = min(end, start + self.cuts.pop(0)) if self.cuts else end
        for at in range(start, until, 1 << 20):
            piece = BODY[at : min(at + (1 << 20), until)]
            writer.write(piece)
            await writer.drain()
            self.sent_bytes += len(piece)
        if until < end:
            writer.close()


@asynccontextmanager
async def hosted(host: Host) -> AsyncIterator[Host]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE)
    async with await asyncio.start_server(host.serve, "127.0.0.1", 0, ssl=context) as listener:
        host.origin = f"https://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
        yield host


async def fetched(host: Host, into: Path, *, segments: int = 1) -> StoredFile:
    clock, events = SystemClock(), Told().hub

    async def relink() -> SecureLink:
        return SecureLink(f"{host.origin}/f?sig=0")

    async with Http(ca_file=CERTIFICATE, events=events, clock=clock, user_agent="bulkpull/test") as http:
        retrier = Retrier(
            policy=RetryPolicy(), budget=RetryBudget(clock=clock), clock=clock, events=events,
            random=random.random, tally=http.tally,
        )  # fmt: skip
        return await download_report(
            await relink(), relink=relink, execution_id="e", into=into, segments=segments,
            http=http, retrier=retrier, clock=clock, events=events,
        )  # fmt: skip


@pytest.fixture(autouse=True)
def taps(monkeypatch: pytest.MonkeyPatch) -> list[Tap]:
    """The connections that threads have read, however busy the machine is."""
    monkeypatch.setattr(inflow, "_FAST_BYTES_PER_S", 0.0)
    monkeypatch.setattr("bulkpull.transfer.width._ENOUGH_BYTES_PER_S", float("inf"))
    opened: list[Tap] = []
    plain = Tap.into.__func__  # type: ignore[attr-defined]

    async def into(cls: type[Tap], transport: asyncio.Transport, *, missing_bytes: int) -> Tap | None:
        tap: Tap | None = await plain(cls, transport, missing_bytes=missing_bytes)
        opened.extend([tap] if tap else [])
        return tap

    monkeypatch.setattr(Tap, "into", classmethod(into))
    return opened


async def test_a_file_is_fetched_by_a_thread(tmp_path: Path, taps: list[Tap]) -> None:
    async with hosted(Host()) as host:
        stored = await fetched(host, tmp_path / "report")

    assert stored.path.read_bytes() == BODY
    assert (len(taps), host.answers, host.sent_bytes) == (1, 1, len(BODY))


@pytest.mark.fault(59)
@pytest.mark.parametrize("seed", range(3))
async def test_cuts_at_any_byte_cost_none_twice(tmp_path: Path, taps: list[Tap], seed: int) -> None:
    die = random.Random(seed)  # noqa: S311 - where to cut
    async with hosted(Host(cuts=[die.randrange(1, 24 << 20) for _ in range(4)])) as host:
        stored = await fetched(host, tmp_path / "report")

    assert stored.path.read_bytes() == BODY
    assert taps
    assert host.sent_bytes == len(BODY)


async def test_a_stop_at_any_moment_leaves_what_the_next_process_goes_on_with(
    tmp_path: Path, taps: list[Tap], monkeypatch: pytest.MonkeyPatch
) -> None:
    into, stops = tmp_path / "report", 3
    plain = Tap.pour
    monkeypatch.setattr("bulkpull.transfer.pour._STEP_BYTES", 4 << 20)  # so that no step brings all of the file

    async with hosted(Host()) as host:
        for stop in range(stops):
            scope = anyio.CancelScope()

            def pour(tap: Tap, *arguments: object, scope: anyio.CancelScope = scope, **options: object) -> None:
                plain(tap, *arguments, **options)  # type: ignore[arg-type]
                anyio.from_thread.run_sync(scope.cancel)

            monkeypatch.setattr(Tap, "pour", pour)
            with scope:
                await fetched(host, into)
            assert scope.cancelled_caught, f"stop {stop}"
        monkeypatch.setattr(Tap, "pour", plain)
        asked_bytes = host.asked_bytes
        await fetched(host, into)

    assert into.read_bytes() == BODY
    assert taps
    assert host.asked_bytes - asked_bytes < len(BODY)
