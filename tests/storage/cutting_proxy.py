"""A proxy on loopback that hangs up at chosen bytes of a file, whichever request carries them."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import anyio
from anyio.abc import SocketAttribute, SocketStream
from anyio.streams.buffered import BufferedByteReceiveStream

_PIECE_BYTES = 64 * 1024
_HEAD_BYTES = 64 * 1024
_HEAD_END = b"\r\n\r\n"


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
"""Called with every request before it goes on: its number, from 0, and itself."""


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

    async def handle(self, client: SocketStream) -> None:
        """Serve one connection, which is one request."""
        address = urlsplit(self.upstream)
        assert address.hostname is not None
        assert address.port is not None
        # Whoever hangs up first, the other side notices by the end of its connection.
        with suppress(anyio.BrokenResourceError, anyio.EndOfStream, anyio.IncompleteRead):
            async with client, await anyio.connect_tcp(address.hostname, address.port) as host:
                await self._pass_on(client, host)

    async def _pass_on(self, client: SocketStream, host: SocketStream) -> None:
        requests, answers = BufferedByteReceiveStream(client), BufferedByteReceiveStream(host)
        method, target, headers = _parsed(await requests.receive_until(_HEAD_END, _HEAD_BYTES))
        seen = Seen(target.partition(" ")[0], headers)
        self.seen.append(seen)
        await self.watch(len(self.seen) - 1, seen)
        lines = [f"{method} {seen.target} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
        await host.send("\r\n".join([*lines, "connection: close", "", ""]).encode("latin-1"))
        head = await answers.receive_until(_HEAD_END, _HEAD_BYTES) + _HEAD_END
        seen.status = int(head.split(b" ", 2)[1])
        most = self._most(seen.status, head)
        await client.send(head)
        passed = 0
        while most is None or passed < most:
            piece = await answers.receive(_PIECE_BYTES if most is None else min(_PIECE_BYTES, most - passed))
            await client.send(piece)
            passed += len(piece)

    def _most(self, status: int, head: bytes) -> int | None:
        """After how many bytes of this answer's body to hang up."""
        if status not in (200, 206):
            return None
        reported = re.search(rb"(?i)\r\ncontent-range: bytes (\d+)-(\d+)", head)
        length = re.search(rb"(?i)\r\ncontent-length: (\d+)", head)
        assert length is not None
        start = int(reported[1]) if reported else 0
        cut = next((cut for cut in sorted(self.cuts) if start <= cut < start + int(length[1])), None)
        if cut is None:
            return None
        self.cuts.remove(cut)
        return cut - start


def _parsed(head: bytes) -> tuple[str, str, dict[str, str]]:
    first, *lines = head.decode("latin-1").split("\r\n")
    method, _, target = first.partition(" ")
    pairs = (line.partition(": ") for line in lines if line)
    return method, target, {name.lower(): value for name, _, value in pairs if name.lower() != "connection"}


async def let_pass(_number: int, _seen: Seen) -> None:
    """The watch that changes nothing."""


@asynccontextmanager
async def cutting_proxy(
    upstream: str, *, cuts: Iterable[int] = (), watch: Watch = let_pass
) -> AsyncIterator[CuttingProxy]:
    """
    Stand between a client and the storage host at `upstream`.

    Args:
        cuts: See `CuttingProxy`.
        watch: Called with every request before it goes on, to change the world or the request.
    """
    proxy = CuttingProxy(upstream, list(cuts), watch)
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    port = listener.extra(SocketAttribute.local_port)  # noqa: S610 - no Django here
    proxy.origin = f"http://127.0.0.1:{port}"
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, proxy.handle)
        yield proxy
        tasks.cancel_scope.cancel()
