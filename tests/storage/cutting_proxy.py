"""A proxy on loopback that hangs up at chosen bytes of a file, whichever request carries them."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit

_PIECE_BYTES = 64 * 1024
_GONE = (ConnectionError, asyncio.IncompleteReadError)


@dataclass(slots=True)
class Seen:
    """
    A request that came by; `target` may be replaced before it goes on.

    Attributes:
        headers: By name in small letters.
        status: Of the answer, 0 until it came.
    """

    target: str
    headers: dict[str, str]
    status: int = 0


Watch = Callable[[int, Seen], Awaitable[None]]
"""Told of every request before it goes on: its number, from 0, and itself."""


@dataclass
class CuttingProxy:
    """
    What stands between a client and a storage host.

    Attributes:
        cuts: Offsets in the file at which to hang up, each once; a cut where an answer begins lets its head pass.
        seen: Every request, in order of arrival.
    """

    upstream: str
    cuts: list[int]
    watch: Watch
    origin: str = ""
    seen: list[Seen] = field(default_factory=list)

    def through(self, link: str) -> str:
        """The same link by way of this proxy; signatures do not cover the host."""
        assert link.startswith(self.upstream)
        return self.origin + link.removeprefix(self.upstream)

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection, which is one request."""
        with suppress(*_GONE):
            await self._pass_on(reader, writer)
        writer.close()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        method, target, headers = _parsed(await reader.readuntil(b"\r\n\r\n"))
        seen = Seen(target.split(" ")[0], headers)
        self.seen.append(seen)
        await self.watch(len(self.seen) - 1, seen)
        address = urlsplit(self.upstream)
        answers, upstream = await asyncio.open_connection(address.hostname, address.port)
        try:
            lines = [f"{method} {seen.target} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
            upstream.write("\r\n".join([*lines, "connection: close", "", ""]).encode("latin-1"))
            head = await answers.readuntil(b"\r\n\r\n")
            writer.write(head)
            seen.status = int(head.split(b" ", 2)[1])
            await self._copy(answers, writer, most=self._most(seen.status, head))
        finally:
            upstream.close()

    def _most(self, status: int, head: bytes) -> int | None:
        """After how many bytes of this answer's body to hang up."""
        if status not in (200, 206):
            return None
        told = re.search(rb"(?i)\r\ncontent-range: bytes (\d+)-(\d+)", head)
        length = re.search(rb"(?i)\r\ncontent-length: (\d+)", head)
        assert length is not None
        start = int(told[1]) if told else 0
        cut = next((cut for cut in sorted(self.cuts) if start <= cut < start + int(length[1])), None)
        if cut is None:
            return None
        self.cuts.remove(cut)
        return cut - start

    async def _copy(self, answers: asyncio.StreamReader, writer: asyncio.StreamWriter, *, most: int | None) -> None:
        passed = 0
        while piece := await answers.read(_PIECE_BYTES if most is None else min(_PIECE_BYTES, most - passed)):
            writer.write(piece)
            await writer.drain()
            passed += len(piece)


def _parsed(head: bytes) -> tuple[str, str, dict[str, str]]:
    first, *lines = head.decode("latin-1").split("\r\n")
    method, _, target = first.partition(" ")
    pairs = (line.partition(": ") for line in lines if line)
    return method, target, {name.lower(): value for name, _, value in pairs if name.lower() != "connection"}


async def _watch_nothing(_number: int, _seen: Seen) -> None:
    pass


@asynccontextmanager
async def cutting_proxy(
    upstream: str, *, cuts: Iterable[int] = (), watch: Watch = _watch_nothing
) -> AsyncIterator[CuttingProxy]:
    """
    Stand between a client and the storage host at `upstream`.

    Args:
        cuts: See `CuttingProxy`.
        watch: Told of every request before it goes on, to change the world or the request.
    """
    proxy = CuttingProxy(upstream, list(cuts), watch)
    listener = await asyncio.start_server(proxy.handle, "127.0.0.1", 0)
    proxy.origin = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
    async with listener:
        yield proxy
