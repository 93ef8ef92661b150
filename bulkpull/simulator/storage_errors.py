"""Error replies of the storage host: XML with a code, behind a byte order mark."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from uuid import uuid4
from xml.sax.saxutils import escape

from aiohttp import web

_FIRST_ERROR = 400
_BOM = b"\xef\xbb\xbf"

_MESSAGES = {
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


class StorageRefusal(Exception):
    """An error reply of the storage host: status, code, a detail for signatures, and extra headers."""

    def __init__(
        self, status: int, code: str, *, detail: str | None = None, headers: Mapping[str, str] | None = None
    ) -> None:
        self.status, self.code, self.detail, self.headers = status, code, detail, dict(headers or {})
        super().__init__(code)


def beyond(size_bytes: int) -> StorageRefusal:
    """The refusal of a range that begins at the end of a file of that size, or beyond it."""
    return StorageRefusal(416, "InvalidRange", headers={"Content-Range": f"bytes */{size_bytes}"})


def refusal_response(refusal: StorageRefusal, *, now: datetime) -> web.Response:
    """The answer that carries a refusal."""
    request_id = str(uuid4())
    time = now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f0Z")
    message = f"{_MESSAGES.get(refusal.code, refusal.code)}\nRequestId:{request_id}\nTime:{time}"
    parts = [f"<Code>{escape(refusal.code)}</Code>", f"<Message>{escape(message)}</Message>"]
    if refusal.detail:
        parts.append(f"<AuthenticationErrorDetail>{escape(refusal.detail)}</AuthenticationErrorDetail>")
    text = f'<?xml version="1.0" encoding="utf-8"?><Error>{"".join(parts)}</Error>'
    headers = {"x-ms-request-id": request_id, "Content-Type": "application/xml", **refusal.headers}
    if refusal.status >= _FIRST_ERROR:
        # Under 200 (fault `xml_under_200`) nothing but the body tells that it is an error.
        headers["x-ms-error-code"] = refusal.code
    return web.Response(status=refusal.status, body=_BOM + text.encode(), headers=headers)
