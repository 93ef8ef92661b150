"""The storage host: signed links, conditional requests, ranges, and transfer faults (behaviours 120 to 135)."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable
from dataclasses import replace
from uuid import uuid4

from aiohttp import web

from bulkpull.simulator.body_sender import Body, Head, SendPlan, reset, send
from bulkpull.simulator.error_replies import StorageRefusal, beyond, refusal_response
from bulkpull.simulator.faults import CONTENT_FAULTS, Fault, FaultBox
from bulkpull.simulator.file_store import FileStore, StoredFile
from bulkpull.simulator.ranges import (
    NotSatisfiable,
    RequestedRange,
    begins_a_fetch,
    is_unchanged,
    precondition_fails,
    read_range,
)
from bulkpull.simulator.report_data import Extract
from bulkpull.simulator.request_log import LoggedRequest
from bulkpull.simulator.scenario import Scenario, SimulatorClock
from bulkpull.simulator.service import Service
from bulkpull.simulator.signed_links import LinkRefused, LinkSigner, http_date
from bulkpull.simulator.transfer_faults import by_proxy, elsewhere, send_plan_of, shifted

_READING = ("GET", "HEAD")
_VERBS = (*_READING, "PUT", "DELETE")


class BlobHost:
    """Serves the stored files."""

    def __init__(
        self,
        scenario: Scenario,
        services: Iterable[Service],
        *,
        store: FileStore,
        links: LinkSigner,
        clock: SimulatorClock,
        faults: FaultBox,
        calls: list[LoggedRequest],
    ) -> None:
        self._scenario, self._services, self._store, self._links = scenario, tuple(services), store, links
        self._clock, self._faults, self._calls = clock, faults, calls
        self._spoiled: dict[str, Fault | None] = {}
        self.blob_origin = ""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        target = request.raw_path
        execution_id = self._links.execution_of(target)
        extract = self._extract_of(execution_id) if execution_id else None
        call = self._note(request, execution_id, extract)
        if self._take("reset_before_acting", call):
            return reset(request)
        late = self._take("slow_answer", call)
        if late is not None:
            await self._clock.sleep(float(late.args.get("seconds", 1.0)))
        try:
            response = await self._serve(request, call, target, extract)
        except StorageRefusal as refusal:
            response = refusal_response(refusal, now=self._clock.now())
        call.status = response.status
        return response

    def _extract_of(self, execution_id: str) -> Extract | None:
        """What the file of an execution holds, whichever tenant it belongs to: its link is all that a reader needs."""
        found = (service.extract_of(execution_id) for service in self._services)
        return next((extract for extract in found if extract is not None), None)

    async def _serve(
        self, request: web.Request, call: LoggedRequest, target: str, extract: Extract | None
    ) -> web.StreamResponse:
        redirect = self._take("redirect", call)
        if redirect is not None:
            location = elsewhere(redirect, target, origin=self.blob_origin)
            return web.Response(status=int(redirect.args.get("status", 302)), headers={"Location": location})
        page = self._take("xml_under_200", call)
        if page is not None:
            code = str(page.args.get("code", "AuthenticationFailed"))
            return refusal_response(StorageRefusal(200, code), now=self._clock.now())
        self._check(request, call, target)
        if extract is None:
            raise StorageRefusal(404, "BlobNotFound")
        file = await self._file(request, call, extract)
        head, stretch = self._head(request, call, file)
        if head.status in (200, 206):
            return await self._transfer(request, call, file, head=head, stretch=stretch)
        return web.Response(status=head.status, headers=dict(head.headers))

    def _check(self, request: web.Request, call: LoggedRequest, target: str) -> None:
        """Everything that is refused before a file is looked for."""
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
            raise StorageRefusal(
                403, "AuthenticationFailed", detail="Authorization header and signature exclude each other"
            )
        if self._take("link_always_refused", call):
            raise StorageRefusal(403, "AuthenticationFailed", detail="Signature not valid in the specified time frame")
        try:
            self._links.check(target, now=self._clock.now())
        except LinkRefused as refused:
            raise StorageRefusal(403, "AuthenticationFailed", detail=refused.detail) from refused
        if request.method not in _READING:
            raise StorageRefusal(403, "AuthorizationPermissionMismatch")  # links say `sp=r`

    async def _file(self, request: web.Request, call: LoggedRequest, extract: Extract) -> StoredFile:
        """The file as it is today: a content fault strikes the fetch that begins at the first byte."""
        execution_id = call.subject or ""
        begins = begins_a_fetch(request.headers.get("Range"))
        if not begins and self._take("etag_changes", call):
            self._spoiled[execution_id] = Fault("etag_changes")
        elif begins and request.method == "GET" and self._replaced(execution_id) is None:
            fault = self._faults.take_any(CONTENT_FAULTS, datasets=call.datasets)
            self._spoiled[execution_id] = fault
            call.fault = call.fault or (fault.name if fault else None)
        return await self._store.fetch(extract, now=self._clock.now(), fault=self._spoiled.get(execution_id))

    def _replaced(self, execution_id: str) -> Fault | None:
        fault = self._spoiled.get(execution_id)
        return fault if fault is not None and fault.name == "etag_changes" else None

    def _head(self, request: web.Request, call: LoggedRequest, file: StoredFile) -> tuple[Head, RequestedRange]:
        etag = file.etag if self._scenario.etag and not self._take("etag_missing", call) else None
        if etag is not None and self._take("etag_weak", call):
            etag = f"W/{etag}"
        if precondition_fails(request.headers, etag=file.etag if etag else None):
            raise StorageRefusal(412, "ConditionNotMet")
        headers = {
            "Content-Type": "application/octet-stream",
            "Last-Modified": http_date(file.modified_at),
            "Date": http_date(self._clock.now()),
            "x-ms-request-id": str(uuid4()),
            "x-ms-version": "2018-03-28",
            "x-ms-blob-type": "BlockBlob",
            **({"ETag": etag} if etag else {}),
        }
        if is_unchanged(request.headers, etag=etag):
            return Head(status=304, headers=headers | {"x-ms-error-code": "ConditionNotMet"}), RequestedRange(0, 0)
        if file.is_gzip and self._scenario.content_encoding:
            headers["Content-Encoding"] = "gzip"
        if self._scenario.ranges:
            headers["Accept-Ranges"] = "bytes"
        stretch = self._stretch(request, call, file)
        digest = base64.b64encode(self._digest(call, file)).decode()
        if stretch is None:
            if self._scenario.content_md5:
                headers["Content-MD5"] = digest
            return Head(status=200, headers=headers), RequestedRange(0, file.size_bytes)
        stretch, content_range = shifted(stretch, size=file.size_bytes, take=lambda name: self._take(name, call))
        headers["Content-Range"] = content_range
        if self._scenario.content_md5:
            headers["x-ms-blob-content-md5"] = digest
        if stretch.start and self._take("range_multipart", call):
            headers["Content-Type"] = "multipart/byteranges; boundary=part"
        return Head(status=206, headers=headers), stretch

    def _stretch(self, request: web.Request, call: LoggedRequest, file: StoredFile) -> RequestedRange | None:
        """
        The range to serve, `None` for the whole file.

        `If-Range` is not among the conditions that the storage host documents, so it changes nothing; HEAD (Get Blob
        Properties) knows no ranges.
        """
        header = request.headers.get("Range") if self._scenario.ranges and request.method == "GET" else None
        try:
            stretch = read_range(header, size=file.size_bytes)
        except NotSatisfiable as no:
            raise beyond(file.size_bytes) from no
        if stretch is None or not stretch.start:
            return stretch
        if self._take("range_ignored", call):
            return None
        if self._take("range_not_satisfiable", call):
            raise beyond(file.size_bytes)
        if self._take("segment_refused", call):
            raise StorageRefusal(500, "InternalError")
        return stretch

    async def _transfer(
        self, request: web.Request, call: LoggedRequest, file: StoredFile, *, head: Head, stretch: RequestedRange
    ) -> web.StreamResponse:
        body = Body(path=file.path, offset=stretch.start, length=stretch.length)
        if request.method == "HEAD":
            return await send(request, head, body, SendPlan(), clock=self._clock)
        if self._take("empty_file", call):
            bare = {name: value for name, value in head.headers.items() if "md5" not in name.casefold()}
            return await send(request, replace(head, headers=bare), Body(), SendPlan(), clock=self._clock)
        if self._take("encoding_by_proxy", call):
            head, body, send_plan = await by_proxy(head, file)
        else:
            send_plan = self._send_plan(call, body.size)
        if send_plan.cut_after is not None and call.fault == "link_expires_mid_file":
            self._links.revoke(request.raw_path)
        send_plan = replace(send_plan, bandwidth_bytes_per_s=self._scenario.bandwidth_bytes_per_s)
        call.status = head.status
        return await send(request, head, body, send_plan, clock=self._clock)

    def _send_plan(self, call: LoggedRequest, size: int) -> SendPlan:
        return send_plan_of(
            size,
            take=lambda name: self._take(name, call),
            peek=lambda name: self._faults.peek(name, datasets=call.datasets),
        )

    def _digest(self, call: LoggedRequest, file: StoredFile) -> bytes:
        if self._take("md5_wrong", call):
            return hashlib.md5(b"another file", usedforsecurity=False).digest()
        return file.md5

    def _take(self, name: str, call: LoggedRequest) -> Fault | None:
        fault = self._faults.take(name, datasets=call.datasets, endpoint="blob", method=call.method)
        if fault is not None and call.fault is None:
            call.fault = fault.name
        return fault

    def _note(self, request: web.Request, execution_id: str | None, extract: Extract | None) -> LoggedRequest:
        call = LoggedRequest(
            at=self._clock.now(),
            method=request.method,
            path=request.path,
            endpoint="blob",
            subject=execution_id,
            datasets=(extract.table.name,) if extract else (),
            has_authorization="Authorization" in request.headers or "X-AadUserTicket" in request.headers,
            range=request.headers.get("Range"),
            if_match=request.headers.get("If-Match"),
        )
        self._calls.append(call)
        return call
