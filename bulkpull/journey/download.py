"""
Download: a secure link → the report's bytes as stored, whole or not there.

Offsets, lengths, ETag and MD5 all speak of the stored (compressed) bytes (behaviours 129 to 132), so nothing is
unpacked on the way. A break is resumed at the byte where it happened, under the ETag of the first reply; an expired
link is exchanged for a fresh one; a file that changed in between is started over, never joined.
"""

from __future__ import annotations

import base64
import hashlib
import os
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import BinaryIO

import anyio
import anyio.to_thread

from bulkpull.address import origin
from bulkpull.clock import Clock
from bulkpull.errors import (
    AnswerLost,
    FileDamaged,
    FileGone,
    LinkExpired,
    StorageTrouble,
    TransferError,
)
from bulkpull.events import Events, Level
from bulkpull.model import SecureLink
from bulkpull.records.files import explained
from bulkpull.transport.http import TRANSFER_TIMEOUTS, Http, Request, StreamedReply
from bulkpull.transport.pace import parse_retry_after
from bulkpull.transport.retry import Retrier

# One write of a megabyte costs a tenth of the thread hops of sixteen writes of 64 KiB, and those cost more than the
# network does on a fast line.
_WRITE_BYTES = 1 << 20
# A connection that gives less than this for a whole window is a stalled one, whatever its trickle says.
_SLOWEST_BYTES_PER_S = 1_024
_WINDOW_S = 60.0
_FRESH_LINKS = 2
_SECOND_LINK_AFTER_S = 1.0
_REPLACEMENTS = 3
_WHOLE_TRIES = 2
_CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)")
_STORAGE_CODE = re.compile(rb"<Code>\s*([A-Za-z]+)\s*</Code>")
_ERROR_PAGE_BYTES = 8_192
_EXPIRED_CODES = {"AuthenticationFailed", "AuthorizationFailure", "AuthorizationPermissionMismatch"}
_BUSY_CODES = {"ServerBusy", "InternalError", "OperationTimedOut"}
_GONE_CODES = {"BlobNotFound", "ContainerNotFound", "ResourceNotFound"}

Relink = Callable[[], Awaitable[SecureLink]]


@dataclass(frozen=True, slots=True)
class StoredFile:
    """
    A file as the service stores it, whole and checked.

    Attributes:
        size_bytes: Stored bytes, whatever had to be fetched twice.
        etag: Of the version that was fetched; `None` when the host gives none.
    """

    path: Path
    size_bytes: int
    etag: str | None


class _Replaced(TransferError):
    """The stored file is not the one that this transfer began with: start over."""


@dataclass(slots=True)
class _Partial:
    """What has arrived so far: an open file, how far it is written, and what it must become."""

    file: BinaryIO
    done_bytes: int = 0
    size_bytes: int | None = None
    etag: str | None = None
    md5: bytes | None = None
    digest: hashlib._Hash = field(default_factory=lambda: hashlib.md5(usedforsecurity=False))
    complete: bool = False

    def write(self, data: bytearray) -> None:
        self.file.write(data)
        self.digest.update(data)

    def start_over(self) -> None:
        self.file.seek(0)
        self.file.truncate()
        self.digest = hashlib.md5(usedforsecurity=False)
        self.done_bytes, self.size_bytes, self.etag, self.md5 = 0, None, None, None
        self.complete = False


async def download_report(
    link: SecureLink, *, relink: Relink, into: Path, http: Http, retrier: Retrier, clock: Clock, events: Events
) -> StoredFile:
    """
    Fetch the file behind `link` into `into`.

    The file stands under its name only when it is whole: length and, where the host gives one, MD5 are checked. What
    arrived before a failure is removed with it.

    Args:
        link: Used byte for byte, without any credential of ours (behaviours 120 and 123).
        relink: Reads the execution again and gives its fresh link.
        into: The final path; its folder exists.

    Raises:
        FileGone: The service has cleaned the file up; the report has to run again.
        LinkExpired: Even fresh links are refused.
        FileDamaged: Length or MD5 were wrong twice.
        AnswerLost, StorageTrouble, NotConnected, TlsRefused, UnsafeAddress: As often as allowed, and no progress.
        DiskTrouble: The disk refused the bytes.

    Source: behaviours 120 to 135.
    """
    transfer = _Transfer(link=link, relink=relink, http=http, clock=clock, events=events)
    began_s = clock.monotonic()
    aside = into.with_name(into.name + ".part")
    try:
        with explained(aside):
            for attempt in range(1, _WHOLE_TRIES + 1):
                try:
                    stored = await _fetch_whole(transfer, aside, retrier=retrier)
                    break
                except FileDamaged as damaged:
                    if attempt == _WHOLE_TRIES:
                        raise
                    events.warn("download.resumed", offset_bytes=0, reason=damaged.reason)
            else:
                raise AssertionError
            await anyio.to_thread.run_sync(aside.replace, into)
    except BaseException:
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(lambda: aside.unlink(missing_ok=True))
        raise
    elapsed_s = clock.monotonic() - began_s
    events.emit("download.completed", size_bytes=stored.size_bytes, elapsed_s=round(elapsed_s, 3))
    return StoredFile(into, stored.size_bytes, stored.etag)


async def _fetch_whole(transfer: _Transfer, aside: Path, *, retrier: Retrier) -> StoredFile:
    with await anyio.to_thread.run_sync(lambda: aside.open("w+b", buffering=0)) as file:
        partial = _Partial(file)
        while not partial.complete:
            try:
                # Each round that brought bytes begins a new count of tries: progress is what matters.
                await retrier.run(lambda: transfer.go_on(partial), endpoint="blob", origin=origin(transfer.link.url))
            except LinkExpired as expired:
                await transfer.renew_link(expired)
            except _Replaced as replaced:
                await transfer.start_over(partial, replaced)
        _check(partial)
        await anyio.to_thread.run_sync(os.fsync, file.fileno())
    return StoredFile(aside, partial.done_bytes, partial.etag)


@dataclass(slots=True)
class _Transfer:
    """The way to the bytes: the link as it is now, and how often it had to be exchanged in vain."""

    link: SecureLink
    relink: Relink
    http: Http
    clock: Clock
    events: Events
    fresh_links: int = 0
    replacements: int = 0

    async def go_on(self, partial: _Partial) -> None:
        """
        Send one request for what is missing. Returns when it brought bytes, even if it broke off after them.

        Raises:
            AnswerLost, StorageTrouble, …: Nothing came; worth another try.
        """
        began_at = partial.done_bytes
        try:
            async with self.http.stream(self._request(partial)) as reply:
                await self._judge(reply, partial)
                if not partial.complete:
                    await self._read(reply, partial)
        except AnswerLost as broken:
            if partial.done_bytes <= began_at:
                raise
            self.fresh_links = 0
            self.events.warn("download.resumed", offset_bytes=partial.done_bytes, reason=broken.reason)

    async def renew_link(self, expired: LinkExpired) -> None:
        """Exchange the link (behaviour 124). A fresh link that is refused too, twice in a row, is no matter of age."""
        if self.fresh_links >= _FRESH_LINKS:
            raise LinkExpired(
                "the storage host refuses even fresh links",
                why=expired.why,
                fix="check this machine's clock, and whether a proxy or firewall stands before *.blob.core.windows.net",
            )
        # A link that is refused although it is fresh may be so for a moment only: two machines, two clocks.
        await self.clock.sleep(self.fresh_links * _SECOND_LINK_AFTER_S)
        self.fresh_links += 1
        self.link = await self.relink()

    async def start_over(self, partial: _Partial, replaced: _Replaced) -> None:
        """Begin the file again: what has arrived belongs to another version of it (behaviour 131)."""
        self.replacements += 1
        if self.replacements > _REPLACEMENTS:
            raise FileDamaged(
                "the file on the storage host keeps changing while it is read",
                why=replaced.what,
                fix="run the export again later",
            )
        self.events.warn("download.resumed", offset_bytes=0, reason=replaced.reason)
        await anyio.to_thread.run_sync(partial.start_over)

    def _request(self, partial: _Partial) -> Request:
        headers: dict[str, str] = {}
        if partial.done_bytes:
            headers["Range"] = f"bytes={partial.done_bytes}-"
            if partial.etag:
                headers["If-Match"] = partial.etag
        return Request("GET", self.link.url, endpoint="blob", headers=headers, timeouts=TRANSFER_TIMEOUTS)

    async def _judge(self, reply: StreamedReply, partial: _Partial) -> None:
        """Check that the reply is what was asked for before a byte of it is believed."""
        if reply.status == HTTPStatus.PARTIAL_CONTENT:
            _accept_range(reply, partial)
        elif reply.status == HTTPStatus.OK:
            if partial.done_bytes:
                # The whole file in answer to a range: what is there already is not joined to it.
                await anyio.to_thread.run_sync(partial.start_over)
            length = reply.headers.get("Content-Length")
            partial.size_bytes = int(length) if length and length.isdigit() else None
            partial.etag = _strong(reply.headers.get("ETag"))
            partial.md5 = _md5(reply.headers.get("Content-MD5"))
        else:
            await self._refuse(reply, partial)

    async def _refuse(self, reply: StreamedReply, partial: _Partial) -> None:
        """Turn the storage host's refusal into the error that says what to do next (behaviours 124, 131 and 133)."""
        body = await reply.read_error_body(_ERROR_PAGE_BYTES)
        status = reply.status
        why = f"HTTP {reply.status}, {reply.headers.get('x-ms-error-code') or _code_in(body) or 'no error code'}"
        if status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            if partial.size_bytes != partial.done_bytes:
                raise _Replaced("the stored file is shorter than before", why=why)
            partial.complete = True
        elif status == HTTPStatus.PRECONDITION_FAILED:
            raise _Replaced("the stored file was replaced", why=why)
        elif status in (HTTPStatus.NOT_FOUND, HTTPStatus.GONE):
            raise FileGone("the report's file is gone from the storage host", why=why)
        elif status >= HTTPStatus.INTERNAL_SERVER_ERROR or status == HTTPStatus.TOO_MANY_REQUESTS:
            pause_s = parse_retry_after(
                reply.headers.get("Retry-After"), date=reply.headers.get("Date"), now=self.clock.now()
            )
            raise StorageTrouble("the storage host is busy or at fault", why=why, retry_after_s=pause_s)
        else:
            raise LinkExpired("the storage host refuses the link", why=why)

    async def _read(self, reply: StreamedReply, partial: _Partial) -> None:
        """Bytes to disk in large writes; what arrived before a break is written before the break is told."""
        buffer = bytearray()
        window_began_s, window_bytes = self.clock.monotonic(), 0
        try:
            async for chunk in reply.chunks():
                if not partial.done_bytes and not buffer:
                    _refuse_error_page(chunk)
                buffer += chunk
                window_bytes += len(chunk)
                if len(buffer) >= _WRITE_BYTES:
                    await self._flush(buffer, partial)
                now_s = self.clock.monotonic()
                if now_s - window_began_s >= _WINDOW_S:
                    if window_bytes < _SLOWEST_BYTES_PER_S * _WINDOW_S:
                        raise AnswerLost("the download stalled", why=f"{window_bytes} bytes in {_WINDOW_S:.0f} s")
                    window_began_s, window_bytes = now_s, 0
        except AnswerLost:
            await self._flush(buffer, partial)
            raise
        await self._flush(buffer, partial)
        if partial.size_bytes is not None and partial.done_bytes < partial.size_bytes:
            raise AnswerLost("the connection ended early", why=f"at byte {partial.done_bytes:,}")
        partial.complete = True

    async def _flush(self, buffer: bytearray, partial: _Partial) -> None:
        if not buffer:
            return
        await anyio.to_thread.run_sync(partial.write, buffer)
        partial.done_bytes += len(buffer)
        buffer.clear()
        self.events.emit(
            "download.progressed", level=Level.TRACE, done_bytes=partial.done_bytes, size_bytes=partial.size_bytes
        )


def _accept_range(reply: StreamedReply, partial: _Partial) -> None:
    told = _CONTENT_RANGE.fullmatch(reply.headers.get("Content-Range", "").strip())
    etag = _strong(reply.headers.get("ETag"))
    if told is None or int(told[1]) != partial.done_bytes:
        raise _Replaced("the storage host answered with another range than the one asked for")
    if partial.size_bytes is not None and told[3] != str(partial.size_bytes):
        raise _Replaced("the stored file has another length than before")
    if etag is not None and partial.etag is not None and etag != partial.etag:
        raise _Replaced("the stored file has another ETag than before")


def _refuse_error_page(first: bytes) -> None:
    """An error page under status 200 is no data: its storage code decides (fault 70)."""
    code = _code_in(first[:_ERROR_PAGE_BYTES]) if first.lstrip(b"\xef\xbb\xbf \r\n\t").startswith(b"<") else None
    if code in _EXPIRED_CODES:
        raise LinkExpired("the storage host refuses the link", why=f"{code} in an error page under status 200")
    if code in _BUSY_CODES:
        raise StorageTrouble("the storage host is busy or at fault", why=f"{code} in an error page under status 200")
    if code in _GONE_CODES:
        raise FileGone("the report's file is gone from the storage host", why=f"{code} in a page under status 200")


def _code_in(body: bytes) -> str | None:
    found = _STORAGE_CODE.search(body)
    return found[1].decode("ascii") if found else None


def _strong(etag: str | None) -> str | None:
    """An ETag that can pin a version; a weak one cannot (fault 66)."""
    return None if etag is None or etag.startswith("W/") else etag


def _md5(header: str | None) -> bytes | None:
    try:
        return base64.b64decode(header, validate=True) if header else None
    except ValueError:
        return None


def _check(partial: _Partial) -> None:
    if partial.size_bytes is not None and partial.done_bytes != partial.size_bytes:
        raise FileDamaged(
            "the downloaded file has another length than announced",
            why=f"expected {partial.size_bytes:,} bytes, got {partial.done_bytes:,}",
        )
    if partial.done_bytes == 0:
        raise FileDamaged(
            "the service's file is empty (0 bytes)",
            why="even a report without rows has a header line",
            fix="run the export again later; if it stays so, report it to the service's support",
        )
    if partial.md5 is not None and partial.digest.digest() != partial.md5:
        raise FileDamaged(
            "the downloaded file does not match its MD5",
            why=f"expected {partial.md5.hex()}, got {partial.digest.hexdigest()}",
            fix="a proxy on the way may change files: try without it",
        )
