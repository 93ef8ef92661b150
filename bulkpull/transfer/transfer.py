"""
A whole transfer: requests, breaks, restarts.

    front    one request for everything; after a break it continues at the next byte
    helpers  segments from the end, as many at once as `StreamCount` allows; a refusal ends a helper, not the transfer
    restart  after another version or untrustworthy ranges: from the first byte, nothing is joined

Only the `Retrier` counts attempts; progress by a share of the file (`share_of`) resets the count. After a request that
brought a share before it was cut, the next one needs no backoff (case C55). Whatever the host answers, the requests of
a segment begin at least `PAUSE_S` apart (case C10).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from http import HTTPStatus

import anyio
from anyio.abc import TaskGroup

from bulkpull.clock import Clock
from bulkpull.errors import (
    AnswerLost,
    BulkpullError,
    FileDamaged,
    FileGone,
    LinkExpired,
    NotConnected,
    StorageTrouble,
    TransferError,
    Unchanged,
)
from bulkpull.event_types import DownloadProgressed, DownloadResumed
from bulkpull.events import Events
from bulkpull.model import SecureLink
from bulkpull.output.disk_space import check_room
from bulkpull.transfer.adaptive_concurrency import StreamCount
from bulkpull.transfer.byte_ranges import (
    ENDLESS,
    ByteRange,
    RangeScheduler,
    Segment,
    TransferProgress,
    missing,
    share_of,
)
from bulkpull.transfer.partial_file import Checkpoints, PartialFile
from bulkpull.transfer.range_responses import (
    ERROR_PAGE_BYTES,
    BodyRange,
    FileReplaced,
    InvalidRangeResponse,
    RangeNotSatisfiable,
    Version,
    check_response,
    error_for_status,
)
from bulkpull.transfer.signed_link import SignedLink
from bulkpull.transfer.stream_to_file import Pour
from bulkpull.transport.http import TRANSFER_TIMEOUTS, Http, Request, StreamedReply
from bulkpull.transport.retry import Retrier
from bulkpull.url_safety import origin

# Smaller files are complete before a second connection would reach full speed.
_LARGE_BYTES = 16 << 20
_RESTARTS = 3
PAUSE_S = 0.1
"""The shortest time between the beginnings of two requests of the same segment."""
_RESTART_PAUSE_S = 0.25
# One reply with the whole file instead of a range may be an exception.
_WHOLE_ANSWERS = 2


class _Dismissed(TransferError):
    """The host refuses this additional stream."""


_Refusal = tuple[SecureLink, LinkExpired | FileGone]


@dataclass(slots=True)
class Transfer:
    """
    Downloads one file from the storage host into its partial file.

    Args:
        segments: Streams at once, at most.
        minimum_bytes_per_s: The least average rate over a minute, of all streams together.
        known_md5: Of a file that is there already: when this one is the same, its bytes are not fetched.
    """

    links: SignedLink
    partial: PartialFile
    http: Http
    retrier: Retrier
    clock: Clock
    events: Events
    execution_id: str
    segments: int
    minimum_bytes_per_s: float = 1_000.0
    known_md5: bytes | None = None
    version: Version | None = None
    _sharing: RangeScheduler = field(default_factory=lambda: RangeScheduler([ByteRange(0, ENDLESS)]))
    _width: StreamCount = field(default_factory=lambda: StreamCount(1))
    _checkpoints: Checkpoints = field(init=False)
    _group: TaskGroup = field(init=False)
    _failure: Exception | None = None
    _helpers: int = 0
    _ranged: bool = True
    _shares: bool = False
    _restarts: int = 0
    _whole_answers: int = 0
    _progress: TransferProgress = field(default_factory=TransferProgress)
    _link_progress: TransferProgress = field(default_factory=TransferProgress)
    _ended: tuple[int, bool] | None = None

    def __post_init__(self) -> None:
        self._checkpoints = Checkpoints(self.partial, self.clock)

    async def fetch(self, *, resume: bool) -> Version:
        """
        Fetch all that is missing; to `resume` reuses what the journal of an earlier process covers.

        Returns the version that the partial file holds now, with its size.

        Raises:
            FileGone, LinkExpired, FileDamaged, AnswerLost, StorageTrouble, NotConnected, TlsRefused, UnsafeAddress: As
                often as allowed, and no progress.
            DiskTrouble, OSError: The disk has no room, or refused the bytes.
            Unchanged: It is the file of `known_md5`.
        """
        self._reset()
        if resume:
            await self._resume_partial_file()
        while self._sharing.gaps:
            try:
                await self._run_streams()
            except FileReplaced as replaced:
                await self._start_over(replaced)
            except StorageTrouble as trouble:
                if self.version is None or not self._ranged or not self.partial.done_bytes:
                    raise
                # It may be the ranges that it cannot serve: once more as one stream (fault 75).
                await self._start_over(
                    InvalidRangeResponse("the storage host does not serve the rest", why=trouble.why)
                )
        assert self.version is not None
        return self.version

    async def save(self) -> None:
        """Record the received ranges, so that a later process can continue."""
        await self.partial.write_journal()

    def _reset(self) -> None:
        self.version, self._ended = None, None
        self._sharing = RangeScheduler([ByteRange(0, ENDLESS)])
        self._width = StreamCount(self.segments)
        self._progress, self._link_progress = TransferProgress(), TransferProgress()

    async def _resume_partial_file(self) -> None:
        link = self.links.link
        version = await self.partial.resume(execution_id=self.execution_id, url=link.url)
        if version is None or version.size_bytes is None:
            return
        self.version, self._shares = version, version.size_bytes >= _LARGE_BYTES
        self._sharing = RangeScheduler(missing(self.partial.complete_ranges, size_bytes=version.size_bytes))
        self.events.emit(
            DownloadResumed(offset_bytes=self.partial.done_bytes, reason="an earlier process was interrupted")
        )
        await check_room(self.partial.path.parent, needed_bytes=version.size_bytes - self.partial.done_bytes)

    async def _start_over(self, replaced: FileReplaced) -> None:
        """Restart the file: bytes of the old and the new version are never joined (behaviour 131)."""
        self._restarts += 1
        if self._restarts > _RESTARTS:
            raise FileDamaged(
                "the file on the storage host keeps changing while it is read",
                why=replaced.what,
                fix="run the export again later",
            )
        self._ranged = self._ranged and not isinstance(replaced, InvalidRangeResponse)
        self.http.counts.retried += 1
        self.events.emit(DownloadResumed(offset_bytes=0, reason=replaced.message))
        await self.clock.sleep(_RESTART_PAUSE_S * 2**self._restarts)
        self._reset()

    async def _run_streams(self) -> None:
        """Run the front stream and its helpers until nothing is left to fetch."""
        self._failure, self._helpers = None, 0
        async with anyio.create_task_group() as self._group:
            self._group.start_soon(self._guard, self._front)
        if self._failure is not None:
            raise self._failure

    async def _guard(self, work: Callable[..., Awaitable[None]], *arguments: object) -> None:
        """Run one stream; the first that fails cancels the others, and its error is raised."""
        try:
            await work(*arguments)
        except (BulkpullError, OSError) as error:
            self._failure = self._failure or error
            self._group.cancel_scope.cancel()

    async def _front(self) -> None:
        while (claim := self._sharing.claim_front()) is not None:
            await self._complete(claim)

    async def _help(self, claim: Segment) -> None:
        """Fetch segments as long as this many streams are wanted. Errors are left to the front stream."""
        piece: Segment | None = claim
        try:
            while piece is not None:
                claim = piece
                await self._complete(claim)
                wanted = self._helpers < self._width.streams
                piece = self._sharing.claim_piece(streams=self._width.streams) if wanted else None
        except (_Dismissed, AnswerLost, NotConnected) as error:
            if not isinstance(error, _Dismissed):
                self._width.back_off(at=self.clock.monotonic())
            self._sharing.release(claim)
            self.http.counts.retried += 1
            self.events.emit(DownloadResumed(offset_bytes=claim.position, reason=error.message))
        finally:
            self._helpers -= 1

    async def _complete(self, claim: Segment) -> None:
        """Send requests, one after the other and each with retries, until the segment is complete."""
        while not claim.is_done:
            refusal = await self.retrier.run(
                lambda: self._advance(claim),
                endpoint="blob",
                origin=origin(self.links.link.url),
                progressed=self._has_progressed,
            )
            if refusal is not None:
                link, error = refusal
                await self.links.refresh(link, error=error)
                self.http.counts.retried += 1  # the same bytes are asked for again, by a fresh link

    async def _advance(self, claim: Segment) -> _Refusal | None:
        """
        Send one request for what is missing of the claim.

        Returns the refusal of the link, or `None` when the claim is complete or a share of the file has come for it.
        Raises what is worth another try: it broke off, or brought too little.
        """
        wait_s = claim.next_request_s - self.clock.monotonic()
        if wait_s > 0:
            await self.clock.sleep(wait_s)
        claim.next_request_s = self.clock.monotonic() + PAUSE_S
        link, began_at = self.links.link, claim.position
        asked = self._range(claim)  # once: a helper may lower the claim's end while the answer is on its way
        try:
            async with self.http.stream(self._request(link, asked)) as reply:
                since_s = self.clock.monotonic()
                offer = await self._judge(reply, claim, asked=asked)
                if offer is not None:
                    began_at = claim.position
                    await self._receive(reply, offer, claim, link=link, since_s=since_s)
        except (LinkExpired, FileGone) as error:
            return link, error
        except StorageTrouble as trouble:
            self._width.back_off(at=self.clock.monotonic(), retry_after_s=trouble.retry_after_s)
            if claim is self._sharing.front:
                raise
            raise _Dismissed(trouble.what, why=trouble.why) from trouble  # tried again by fewer streams
        except AnswerLost as broken:
            if claim.position > began_at and self._ranged:
                self.events.emit(DownloadResumed(offset_bytes=claim.position, reason=broken.message))
            # Without ranges the next request begins at the first byte again, and this one has brought nothing.
            if not self._ranged or claim.position - began_at < share_of(self._size_bytes):
                raise
            self._has_progressed()  # so that the next failure does not count this share once more
            self.http.counts.retried += 1
        return None

    def _has_progressed(self) -> bool:
        return self._progress.advanced(self.partial.done_bytes, size_bytes=self._size_bytes)

    @property
    def _size_bytes(self) -> int | None:
        return self.version.size_bytes if self.version else None

    def _range(self, claim: Segment) -> ByteRange | None:
        """The range to ask for; `None` for the whole file."""
        nothing_yet = claim.position == 0 and not self.partial.done_bytes and not self._helpers
        return None if self.version is None or not self._ranged or nothing_yet else claim.rest

    def _request(self, link: SecureLink, asked: ByteRange | None) -> Request:
        headers: dict[str, str] = {}
        if asked is not None and self.version is not None:
            is_last = asked.end in (ENDLESS, self.version.size_bytes)
            headers["Range"] = f"bytes={asked.start}-{'' if is_last else asked.end - 1}"
            if self.version.etag:
                headers["If-Match"] = self.version.etag
        return Request("GET", link.url, endpoint="blob", headers=headers, timeouts=TRANSFER_TIMEOUTS)

    async def _judge(self, reply: StreamedReply, claim: Segment, *, asked: ByteRange | None) -> BodyRange | None:
        """The reply's byte range if it is the requested one; `None` when the file has no more bytes."""
        if reply.status not in (HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT):
            body = await reply.read_error_body(ERROR_PAGE_BYTES)
            error = error_for_status(reply.status, reply.headers, body, now=self.clock.now())
            if isinstance(error, RangeNotSatisfiable):
                self._end_reached(error, claim)
                return None
            raise error
        offer = check_response(reply.status, reply.headers, asked=asked, known=self.version)
        if not offer.whole:
            size_bytes = offer.version.size_bytes
            if self._size_bytes is None and size_bytes is not None:
                self._set_end(claim, size_bytes, known_by="length")
            claim.response_end = offer.end or claim.end
            return offer
        if asked is not None:
            if claim is not self._sharing.front:
                self._width.limit_to_one()
                raise _Dismissed("the storage host answers a range with the whole file")
            if self._ended == (claim.position, True):
                self._set_end(claim, claim.position, known_by="end_mark")
                return None
            self._whole_answers += 1
            self._ranged = self._ranged and self._whole_answers < _WHOLE_ANSWERS
            if self._helpers:
                raise FileReplaced("the storage host answered a range with the whole file")
            self.events.emit(DownloadResumed(offset_bytes=0, reason="the storage host answered with the whole file"))
        await self._begin(offer, claim)
        return offer

    async def _begin(self, offer: BodyRange, claim: Segment) -> None:
        self.version = offer.version
        if self.known_md5 is not None and offer.version.md5 == self.known_md5:
            raise Unchanged("the stored file is the one that was fetched before", why="its MD5 is the same")
        size = offer.version.size_bytes
        await check_room(self.partial.path.parent, needed_bytes=size or 0)
        await self.partial.begin(offer.version, execution_id=self.execution_id, url=self.links.link.url)
        self._sharing.gaps.clear()
        claim.position, claim.end = 0, ENDLESS if size is None else size
        claim.response_end = claim.end
        self._shares = self._ranged and offer.shares and offer.version.is_pinned and claim.end >= _LARGE_BYTES

    async def _receive(
        self, reply: StreamedReply, offer: BodyRange, claim: Segment, *, link: SecureLink, since_s: float
    ) -> None:
        await Pour(
            reply,
            claim,
            into=self.partial,
            clock=self.clock,
            arrived=self._note_arrival,
            written=lambda: self._note_write(link),
            slowest_bytes_per_s=lambda: self.minimum_bytes_per_s / (1 + self._helpers),
            since_s=since_s,
        ).run()
        if offer.end is None:
            self._end_unannounced(offer, claim)
        elif claim.position < min(offer.end, claim.end):
            raise AnswerLost("the connection ended early", why=f"at byte {claim.position:,}")
        elif not claim.is_done:  # complete replies of one byte each would go on for ever
            raise AnswerLost("the storage host sent less than was asked for", why=f"up to byte {claim.position:,}")

    def _end_unannounced(self, offer: BodyRange, claim: Segment) -> None:
        """
        Decide whether a body without a length is complete or was cut (fault 60).

        An MD5 decides that. Else the byte after the end is asked for; and where no ranges are served, an end mark, or a
        second reading that ends at the same byte, is believed.
        """
        seen = self._ended[0] if self._ended else None
        self._ended = (claim.position, offer.ends_by_itself)
        if offer.version.md5:
            self._set_end(claim, claim.position, known_by="md5")
        elif seen == claim.position:
            self._set_end(claim, claim.position, known_by="readings")
        elif offer.ends_by_itself and not (self._ranged and offer.shares):
            self._set_end(claim, claim.position, known_by="end_mark")
        elif seen is not None:
            raise FileReplaced("the file ends at another byte than before", why=f"{seen:,}, then {claim.position:,}")

    def _end_reached(self, error: RangeNotSatisfiable, claim: Segment) -> None:
        """416: the end of the file if the length was not known, else a reason to distrust the ranges (fault 65)."""
        if self.version is None:
            raise StorageTrouble("the storage host refuses the whole file as if it were a range", why=error.why)
        known = self._size_bytes
        if known is None and error.size_bytes in (None, claim.position):
            self._set_end(claim, claim.position, known_by="length")
        elif error.size_bytes in (None, known):
            raise InvalidRangeResponse("the storage host refuses a range within the file", why=error.why)
        else:
            raise FileReplaced("the stored file has another length than before", why=error.why)

    def _set_end(self, claim: Segment, end: int, *, known_by: str) -> None:
        assert self.version is not None
        claim.end = end
        self.version = replace(self.version, size_bytes=end, end_known_by=known_by)

    def _note_arrival(self, size_bytes: int) -> None:
        if not self._shares:
            return
        self._width.record_bytes(size_bytes, at=self.clock.monotonic())
        while 1 + self._helpers < self._width.streams:
            piece = self._sharing.claim_piece(streams=self._width.streams)
            if piece is None:
                return
            self._helpers += 1
            self._group.start_soon(self._guard, self._help, piece)

    def _note_write(self, link: SecureLink) -> None:
        size_bytes = self._size_bytes
        if self._link_progress.advanced(self.partial.done_bytes, size_bytes=size_bytes):
            self.links.confirm(link)
        self.events.emit(DownloadProgressed(done_bytes=self.partial.done_bytes, size_bytes=size_bytes))
        if self._checkpoints.begin_if_due():
            self._group.start_soon(self._guard, self._checkpoints.make, size_bytes)
