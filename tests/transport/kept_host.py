"""A host on loopback that keeps its connections, in the clear or over TLS, and says what a test wants."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from bulkpull.transport.http import TRANSFER_TIMEOUTS, Request, Timeouts

CERTIFICATE = Path(__file__).parent / "loopback.pem"
HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n"

Answer = Callable[[asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Host:
    origin: str = ""
    connections: int = 0

    def request(self, timeouts: Timeouts = TRANSFER_TIMEOUTS) -> Request:
        return Request("GET", f"{self.origin}/f", endpoint="blob", timeouts=timeouts)


def server_context(certificate: Path = CERTIFICATE) -> ssl.SSLContext:
    """What serves with this certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


@asynccontextmanager
async def hosted(answer: Answer, certificate: Path | None = CERTIFICATE) -> AsyncIterator[Host]:
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

    context = None if certificate is None else server_context(certificate)
    async with await asyncio.start_server(handle, "127.0.0.1", 0, ssl=context) as listener:
        port = listener.sockets[0].getsockname()[1]
        host.origin = f"{'https' if certificate else 'http'}://127.0.0.1:{port}"
        yield host
