"""A storage host on loopback whose every answer can go wrong, and a process that fetches from it and may be killed."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from anyio.abc import TaskGroup
from support import RawServer, Rig, raw_server, reply, rig
from transport.kept_host import server_context

from bulkpull.model import DownloadedFile, SecureLink
from bulkpull.pipeline.steps.download import download_report
from bulkpull.transfer.byte_ranges import ByteRange
from bulkpull.transfer.signed_link import SignedLink

PATH = "/container/report.csv?sv=2018-03-28&se=2026-11-30T00%3A00%3A00Z&sig="
PIECE_BYTES = 1 << 17
_RANGE = re.compile(rb"\r\nRange: bytes=(\d+)-(\d*)\r\n")


@dataclass(frozen=True, slots=True)
class Mishap:
    """
    What becomes of one answer; the default is nothing bad.

    Attributes:
        status: A refusal instead of data, such as `503 Busy`.
        cut_after: Bytes of the body after which the connection ends.
        whole: The whole file, whatever range was asked for.
        closing: No length: the end of the connection is the end of the body.
        spoils: The last byte of the body is another one than it should be.
    """

    status: str | None = None
    cut_after: int | None = None
    whole: bool = False
    closing: bool = False
    spoils: bool = False


GOOD = Mishap()


@lru_cache(maxsize=2)
def _md5(body: bytes) -> str:
    """As headers tell it; most hosts send parts of one body."""
    return base64.b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode()


@dataclass
class StorageHost:
    """
    Serves one file.

    Attributes:
        course: What becomes of the request of that number (from 0), for the whole file (`None`) or a range.
        pace_s: Virtual seconds that each connection takes for a piece; `parts` has the clock.
        sent_bytes: Of bodies, over all answers.
        asked: The range of every request.
    """

    body: bytes
    etag: str | None = '"0x8DA97FA9D1B3C00"'
    md5: bool = True
    ranges: bool = True
    course: Callable[[int, ByteRange | None], Mishap] = lambda _number, _asked: GOOD
    pace_s: float = 0.0
    sent_bytes: int = 0
    asked: list[ByteRange | None] = field(default_factory=list)
    relinked: int = 0
    server: RawServer = field(init=False)
    parts: Rig = field(init=False)

    async def answer(self, number: int, writer: asyncio.StreamWriter) -> None:
        head = self.server.requests[number]
        found = _RANGE.search(head)
        asked = ByteRange(int(found[1]), int(found[2]) + 1 if found[2] else len(self.body)) if found else None
        self.asked.append(asked)
        mishap = self.course(number, asked)
        if mishap.status is not None:
            writer.write(reply(mishap.status))
        elif asked is not None and asked.start >= len(self.body) and self.ranges:
            writer.write(reply("416 Range Not Satisfiable", Content_Range=f"bytes */{len(self.body)}"))
        elif b"If-Match" in head and (self.etag is None or self.etag.encode() not in head):
            writer.write(reply("412 Precondition Failed"))
        else:
            await self._send(writer, None if mishap.whole or not self.ranges else asked, mishap)

    async def _send(self, writer: asyncio.StreamWriter, stretch: ByteRange | None, mishap: Mishap) -> None:
        whole = memoryview(self.body)
        body = whole if stretch is None else whole[stretch.start : stretch.end]
        headers = {} if self.etag is None else {"ETag": self.etag}
        if stretch is not None:
            headers["Content_Range"] = f"bytes {stretch.start}-{stretch.end - 1}/{len(self.body)}"
        if self.md5:
            headers["Content_MD5" if stretch is None else "x_ms_blob_content_md5"] = _md5(self.body)
        status = "200 OK" if stretch is None else "206 Partial Content"
        headers["Content_Length"] = str(len(body))
        reported = reply(status, b"", **headers)
        if mishap.closing:
            reported = reported.replace(f"Content-Length: {len(body)}\r\n".encode(), b"")
        writer.write(reported)
        body = body if mishap.cut_after is None else body[: mishap.cut_after]
        if mishap.spoils:
            body = memoryview(bytes(body[:-1]) + bytes([body[-1] ^ 1]))
        for at in range(0, len(body), PIECE_BYTES):
            piece = body[at : at + PIECE_BYTES]
            writer.write(piece)
            self.sent_bytes += len(piece)
            await writer.drain()
            if self.pace_s:
                await self.parts.clock.sleep(self.pace_s)  # as long as the client has something to do, too

    async def fetch(
        self,
        into: Path,
        *,
        segments: int = 4,
        execution_id: str = "execution-1",
        link: str | None = None,
        background: TaskGroup | None = None,
    ) -> DownloadedFile:
        """What a process of ours does; cancel it to interrupt it."""

        async def relink() -> SecureLink:
            self.relinked += 1
            return SecureLink(f"{self.server.origin}{PATH}{self.relinked}")

        links = SignedLink(SecureLink(link or f"{self.server.origin}{PATH}first"), relink, self.parts.clock)
        open_transfer = self.parts.opening_transfer(links, execution_id=execution_id, segments=segments)
        return await download_report(into, open_transfer, background=background)


@asynccontextmanager
async def serving(host: StorageHost, *, certificate: Path | None = None) -> AsyncIterator[StorageHost]:
    """The host, listening, over TLS where it has a certificate, and a client on virtual time to ask it."""
    context = None if certificate is None else server_context(certificate)
    async with raw_server(host.answer, ssl=context) as host.server, rig(ca_file=certificate) as host.parts:
        yield host
