"""The storage host: signed links, conditional requests, ranges and transfer faults (behaviours 120 to 135, 183)."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import KW_ONLY, dataclass, field, replace
from datetime import UTC, datetime
from email.utils import format_datetime
from urllib.parse import quote, unquote
from uuid import uuid4
from xml.sax.saxutils import escape

import anyio.to_thread
from aiohttp import web
from isal import igzip

from bulkpull.simulator.body_sender import SendPlan, reset, send
from bulkpull.simulator.entities import wire_time
from bulkpull.simulator.faults import CONTENT_FAULTS, Fault
from bulkpull.simulator.file_store import FileStore, StoredFile
from bulkpull.simulator.report_data import Extract
from bulkpull.simulator.request_validation import parse_time
from bulkpull.simulator.service import Service
from bulkpull.simulator.simulator_context import Context, Host, LoggedRequest

_READING = ("GET", "HEAD")
_VERBS = (*_READING, "PUT", "DELETE")
# A read of a few bytes is somebody looking at size and ETag, not the fetch that a content fault waits for.
_PROBE_BYTES = 16
# The two forms that the storage host documents; it knows no suffix ranges (`bytes=-n`) and no lists of ranges.
_RANGE = re.compile(r"\s*bytes=(\d+)-(\d*)\s*")
_CUTS = ("cut_after_bytes", "link_expires_mid_file", "reset_every_bytes")
_STALL_S = 3_600.0
_MD5_HEADERS = ("Content-MD5", "x-ms-blob-content-md5")
_CONTAINER = "programmatic-export-pi"
_PATH = re.compile(rf"/{_CONTAINER}/.+_(?P<file>[0-9a-f-]{{36}})\.csv")
_QUERY = re.compile(r"sv=2018-03-28&sr=b&sig=(?P<sig>[^&]+)&se=(?P<se>[^&]+)&sp=r")
_FIRST_ERROR = 400
_BOM = b"\xef\xbb\xbf"

_STORAGE_MESSAGES = {
    "AuthenticationFailed": "Server failed to authenticate the request. Make sure the value of Authorization header is "
    "formed correctly including the signature.",
    "AuthorizationPermissionMismatch": "This request is not authorized to perform this operation using this "
    "permission.",
    "BlobNotFound": "The specified blob does not exist.",
    "ConditionNotMet": "The condition specified using HTTP conditional header(s) is not met.",
    "InvalidRange": "The range specified is invalid for the current size of the resource.",
    "InternalError": "Server encountered an internal error. Please try again after some time.",
    "OperationTimedOut": "Operation could not be completed within the specified time.",
    "ServerBusy": "The server is busy.",
    "UnsupportedHttpVerb": "The resource doesn't support specified Http Verb.",
}


@dataclass(eq=False)
class StorageRefusal(Exception):
    """An error reply of the storage host: status, code, a detail for signatures, and extra headers."""

    status: int
    code: str
    _: KW_ONLY
    detail: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)

    def response(self, *, now: datetime) -> web.Response:
        request_id = str(uuid4())
        time = now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f0Z")
        message = f"{_STORAGE_MESSAGES.get(self.code, self.code)}\nRequestId:{request_id}\nTime:{time}"
        text = f"<Code>{escape(self.code)}</Code><Message>{escape(message)}</Message>"
        if self.detail:
            text += f"<AuthenticationErrorDetail>{escape(self.detail)}</AuthenticationErrorDetail>"
        page = f'<?xml version="1.0" encoding="utf-8"?><Error>{text}</Error>'
        headers = {"x-ms-request-id": request_id, "Content-Type": "application/xml", **self.headers}
        if self.status >= _FIRST_ERROR:
            # Under 200 (fault `xml_under_200`) nothing but the body shows that it is an error.
            headers["x-ms-error-code"] = self.code
        return web.Response(status=self.status, body=_BOM + page.encode(), headers=headers)


class LinkSigner:
    """Signs and checks links. The check uses the bytes of the request line, so a link that was encoded again fails."""

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)
        self._revoked: set[str] = set()
        self._files: dict[str, str] = {}  # by execution
        self._executions: dict[str, str] = {}  # by file

    def sign(self, *, report_name: str, execution_id: str, expires_at: datetime) -> str:
        """Path and query of a link to an execution's file; the file's id is not the execution's."""
        file = self._files.setdefault(execution_id, str(uuid4()))
        self._executions[file] = execution_id
        path = f"/{_CONTAINER}/{quote(report_name, safe='')}_{file}.csv"
        end = quote(wire_time(expires_at) or "", safe="")
        return f"{path}?sv=2018-03-28&sr=b&sig={self._signature(path, end)}&se={end}&sp=r"

    def execution_of(self, target: str) -> str | None:
        """The execution whose file a request line's target names; `None` when it names no file."""
        found = _PATH.fullmatch(target.partition("?")[0])
        return self._executions.get(found["file"]) if found else None

    def check(self, target: str, *, now: datetime) -> None:
        """Check the signature and its end, as the storage host does when a request starts (behaviour 125)."""
        path, _, query = target.partition("?")
        found = _QUERY.fullmatch(query)
        if found is None or not hmac.compare_digest(found["sig"], self._signature(path, found["se"])):
            raise _refused_signature("Signature did not match. String to sign used was r")
        expires_at = parse_time(unquote(found["se"]))
        if expires_at is None or expires_at <= now or target in self._revoked:
            raise _refused_signature(
                "Signature not valid in the specified time frame: Start [Thu, 01 Jan 1970 00:00:00 GMT] - "
                f"Expiry [{format_datetime(expires_at or now, usegmt=True)}] - "
                f"Current [{format_datetime(now, usegmt=True)}]"
            )

    def revoke(self, target: str) -> None:
        """From now on this link is refused as expired."""
        self._revoked.add(target)

    def _signature(self, path: str, end: str) -> str:
        digest = hmac.new(self._key, f"{path}\n{end}".encode(), hashlib.sha256).digest()
        return quote(base64.b64encode(digest), safe="")


def _refused_signature(detail: str) -> StorageRefusal:
    return StorageRefusal(403, "AuthenticationFailed", detail=detail)


class BlobHost(Host):
    """Serves the stored files."""

    def __init__(self, context: Context, services: Iterable[Service], store: FileStore, links: LinkSigner) -> None:
        super().__init__(context)
        self._services, self._store, self._links = tuple(services), store, links
        self._content_faults: dict[str, Fault | None] = {}  # by execution
        self.blob_origin = ""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        execution_id = self._links.execution_of(request.raw_path)
        # A file's link is all that a reader needs, whichever tenant it belongs to.
        extracts = (service.extract_of(execution_id or "") for service in self._services)
        extract = next((extract for extract in extracts if extract is not None), None)
        call = self._note(
            request,
            endpoint="blob",
            subject=execution_id,
            datasets=(extract.table.name,) if extract else (),
            range=request.headers.get("Range"),
            if_match=request.headers.get("If-Match"),
        )
        if self._take("reset_before_acting", call):
            return reset(request)
        await self._answer_slowly(call)
        try:
            response = await self._serve(request, call, extract)
        except StorageRefusal as refusal:
            response = refusal.response(now=self._clock.now())
        call.status = response.status
        return response

    async def _serve(self, request: web.Request, call: LoggedRequest, extract: Extract | None) -> web.StreamResponse:
        redirect = self._take("redirect", call)
        if redirect is not None:
            # The same host by its other name is another origin to a client.
            elsewhere = self.blob_origin.replace("127.0.0.1", "localhost")
            host = "://storage.contoso.example"
            origins = {"loop": self.blob_origin, "http": "http" + host, "https": "https" + host}
            location = origins.get(redirect.args.get("to", ""), elsewhere) + request.raw_path
            return web.Response(status=int(redirect.args.get("status", 302)), headers={"Location": location})
        page = self._take("xml_under_200", call)
        if page is not None:
            raise StorageRefusal(200, str(page.args.get("code", "AuthenticationFailed")))
        self._check(request, call)
        if extract is None:
            raise StorageRefusal(404, "BlobNotFound")
        file = await self._file(request, call, extract)
        head, span = self._head(request, call, file)
        return head if span is None else await self._transfer(request, call, file, head=head, span=span)

    def _check(self, request: web.Request, call: LoggedRequest) -> None:
        if request.method not in _VERBS:
            raise StorageRefusal(405, "UnsupportedHttpVerb")
        fault = self._take("http_status", call) or self._take("blob_busy", call)
        if fault is not None:
            status = int(fault.args.get("status", 503))
            code = str(fault.args.get("code", "ServerBusy" if status == 503 else "InternalError"))  # noqa: PLR2004 - the one status with a code of its own
            pause = fault.args.get("retry_after")
            raise StorageRefusal(status, code, headers={} if pause is None else {"Retry-After": str(pause)})
        if self._take("blob_gone", call):
            raise StorageRefusal(404, "BlobNotFound")
        if "Authorization" in request.headers:
            # Behaviour 120: the two ways to authenticate exclude each other.
            raise _refused_signature("Authorization header and signature exclude each other")
        if self._take("link_always_refused", call):
            raise _refused_signature("Signature not valid in the specified time frame")
        self._links.check(request.raw_path, now=self._clock.now())
        if request.method not in _READING:
            raise StorageRefusal(403, "AuthorizationPermissionMismatch")  # links say `sp=r`

    async def _file(self, request: web.Request, call: LoggedRequest, extract: Extract) -> StoredFile:
        """The file as it is today: a content fault strikes the fetch that begins at the first byte."""
        execution_id = call.subject or ""
        asked = _RANGE.fullmatch(request.headers.get("Range", ""))
        begins = asked is None or (int(asked[1]) == 0 and (not asked[2] or int(asked[2]) >= _PROBE_BYTES))
        known = self._content_faults.get(execution_id)
        is_replaced = known is not None and known.name == "etag_changes"
        if not begins and self._take("etag_changes", call):
            self._content_faults[execution_id] = Fault("etag_changes")
        elif begins and request.method == "GET" and not is_replaced:
            fault = self._faults.take(*CONTENT_FAULTS, datasets=call.datasets)
            self._content_faults[execution_id] = fault
            call.fault = call.fault or (fault.name if fault else None)
        return await self._store.fetch(extract, now=self._clock.now(), fault=self._content_faults.get(execution_id))

    def _head(
        self, request: web.Request, call: LoggedRequest, file: StoredFile
    ) -> tuple[web.StreamResponse, range | None]:
        etag = self._etag(call, file)
        if not _names(request.headers.get("If-Match", "*"), file.etag if etag else None):
            raise StorageRefusal(412, "ConditionNotMet")
        headers = {
            "Content-Type": "application/octet-stream",
            "Last-Modified": format_datetime(file.modified_at, usegmt=True),
            "Date": format_datetime(self._clock.now(), usegmt=True),
            "x-ms-request-id": str(uuid4()),
            "x-ms-version": "2018-03-28",
            "x-ms-blob-type": "BlockBlob",
            **({"ETag": etag} if etag else {}),
        }
        if _names(request.headers.get("If-None-Match", ""), etag):
            return web.Response(status=304, headers=headers | {"x-ms-error-code": "ConditionNotMet"}), None
        if file.is_gzip and self._scenario.content_encoding:
            headers["Content-Encoding"] = "gzip"
        if self._scenario.ranges:
            headers["Accept-Ranges"] = "bytes"
        span = self._span(request, call, file.size_bytes)
        wrong = self._take("md5_wrong", call)
        md5 = hashlib.md5(b"another file", usedforsecurity=False).digest() if wrong else file.md5
        if self._scenario.content_md5:
            headers["Content-MD5" if span is None else "x-ms-blob-content-md5"] = base64.b64encode(md5).decode()
        if span is None:
            return web.StreamResponse(status=200, headers=headers), range(file.size_bytes)
        total = file.size_bytes
        if span.start and self._take("range_wrong_start", call):
            span = range(span.start - 1, span.stop)
        if span.start and self._take("range_other_total", call):
            total += 1
        headers["Content-Range"] = f"bytes {span.start}-{span.stop - 1}/{total}"
        if span.start and self._take("range_multipart", call):
            headers["Content-Type"] = "multipart/byteranges; boundary=part"
        return web.StreamResponse(status=206, headers=headers), span

    def _etag(self, call: LoggedRequest, file: StoredFile) -> str | None:
        if not self._scenario.etag or self._take("etag_missing", call):
            return None
        return f"W/{file.etag}" if self._take("etag_weak", call) else file.etag

    def _span(self, request: web.Request, call: LoggedRequest, size: int) -> range | None:
        """The bytes to serve, `None` for the whole file, also for HEAD and for a header of no known form."""
        # `If-Range` is not among the conditions that the storage host documents, so it changes nothing.
        asked = _RANGE.fullmatch(request.headers.get("Range", ""))
        if asked is None or not self._scenario.ranges or request.method != "GET":
            return None
        start, last = int(asked[1]), int(asked[2] or size)
        if last < start and asked[2]:
            return None
        beyond = StorageRefusal(416, "InvalidRange", headers={"Content-Range": f"bytes */{size}"})
        if start >= size:  # also at 0 of an empty file
            raise beyond
        if start and self._take("range_ignored", call):
            return None
        if start and self._take("range_not_satisfiable", call):
            raise beyond
        if start and self._take("segment_refused", call):
            raise StorageRefusal(500, "InternalError")
        return range(start, min(last + 1, size))

    async def _transfer(
        self, request: web.Request, call: LoggedRequest, file: StoredFile, *, head: web.StreamResponse, span: range
    ) -> web.StreamResponse:
        path, send_plan = file.path, SendPlan()
        if request.method == "HEAD":
            return await send(request, head, path, span, clock=self._clock)
        if self._take("empty_file", call):
            for name in _MD5_HEADERS:
                head.headers.popall(name, None)
            return await send(request, head, path, range(0), clock=self._clock)
        if self._take("encoding_by_proxy", call):
            # A compressing proxy passes on the whole file in chunks, without length, MD5 or strong ETag.
            path = file.path.with_name(f"{uuid4()}.gz")
            size = await anyio.to_thread.run_sync(lambda: path.write_bytes(igzip.compress(file.path.read_bytes())))
            for name in ("Accept-Ranges", "Content-Range", *_MD5_HEADERS):
                head.headers.popall(name, None)
            head.headers.update({"Content-Encoding": "gzip", "ETag": f"W/{file.etag}"})
            head.set_status(200)
            span, send_plan = range(size), SendPlan(delimit="chunked")
        else:
            send_plan = self._send_plan(call, len(span))
        if send_plan.cut_after is not None and call.fault == "link_expires_mid_file":
            self._links.revoke(request.raw_path)
        send_plan = replace(send_plan, bandwidth_bytes_per_s=self._scenario.bandwidth_bytes_per_s)
        call.status = head.status
        return await send(request, head, path, span, send_plan, clock=self._clock)

    def _send_plan(self, call: LoggedRequest, size: int) -> SendPlan:
        """How the transfer goes; a fault after more bytes than there are keeps its strike for a longer transfer."""
        for name in _CUTS:
            armed = self._faults.peek(name, datasets=call.datasets)
            after = int(armed.args.get("after", max(1, size // 2))) if armed is not None else size
            fault = self._take(name, call) if after < size else None
            if fault is not None:
                resets = name == "reset_every_bytes" or bool(fault.args.get("resets"))
                return SendPlan(cut_after=after, resets=resets, delimit=str(fault.args.get("delimit", "length")))
        fault = self._take("stall_after_bytes", call)
        if fault is not None:
            after = min(int(fault.args.get("after", size // 2)), max(0, size - 1))
            return SendPlan(pause_after=after, pause_s=float(fault.args.get("seconds", _STALL_S)))
        fault = self._take("trickle", call)
        if fault is not None:
            after, pause_s = int(fault.args.get("after", size // 2)), 1 / float(fault.args.get("bytes_per_s", 0.05))
            return SendPlan(pause_after=after, pause_s=pause_s, trickles=True)
        fault = self._take("more_bytes_than_announced", call)
        return SendPlan(excess=b"\0" * int(fault.args.get("bytes", 100))) if fault is not None else SendPlan()


def _names(header: str, etag: str | None) -> bool:
    """Whether a list of tags has this one; the quotes around a tag may be missing (documented for `If-Match`)."""
    tags = [tag.strip() for tag in header.split(",")]
    return "*" in tags or (etag is not None and (etag in tags or etag.strip('"') in tags))
