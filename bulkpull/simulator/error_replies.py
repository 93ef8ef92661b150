"""
Error replies of the API, the token endpoint and the storage host, with the documented status and text.

A text that one place alone needs stands there. A comment says where no document has a text.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4
from xml.sax.saxutils import escape

from aiohttp import web

NULL_OR_MISSING = "Null or missing value"
INVALID_PARAMETERS = "Invalid report parameters"
INVALID_QUERY = "Invalid query"
INVALID_QUERY_ID = "Invalid QueryId"
UNKNOWN_COLUMN = "Incorrect column name"
THROTTLED = "Rate limit is exceeded. Try again in {wait} seconds."


@dataclass(eq=False)
class Refusal(Exception):
    """An error reply of the API; `extra` is further keys of the body, `reason` an unusual reason phrase."""

    status: int
    message: str
    _: KW_ONLY
    extra: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    reason: str | None = None


def bad_request(message: str) -> Refusal:
    return Refusal(400, message)


def bad_creation(reason: str) -> Refusal:
    return bad_request(f"Invalid report parameters for creation - {reason}")


def requested_value(value: object) -> Refusal:
    """400 for a placeholder or an unknown word where the service expects one of a few (behaviour 43)."""
    return bad_request(f"Requested value '{value}' not found")


def no_item() -> Refusal:
    return Refusal(404, "No item found with given filters.")


def unauthorized(message: str = "Unauthorized", **more: Any) -> Refusal:
    """401: the token is missing, unknown or expired."""
    return Refusal(401, message, headers={"WWW-Authenticate": 'Bearer error="invalid_token"'}, **more)


def forbidden() -> Refusal:
    """403: role or program; the status is documented, the text is not (behaviour 26)."""
    return Refusal(403, "Forbidden")


_TOKEN_ERRORS: Mapping[int, tuple[int, str, str]] = {
    50011: (400, "invalid_request", "the redirect address does not match the registered ones"),
    50076: (400, "invalid_grant", "multifactor authentication needed"),
    50079: (400, "invalid_grant", "the user has to register for multifactor authentication"),
    50126: (400, "invalid_grant", "wrong user name or password"),
    65001: (400, "invalid_grant", "no consent for the application"),
    65004: (400, "authorization_declined", "the user declined"),
    70000: (400, "invalid_grant", "the code is not valid"),
    70016: (400, "authorization_pending", "the user has not signed in yet"),
    70018: (400, "bad_verification_code", "the device code is not known"),
    70019: (400, "expired_token", "the device code is expired"),
    70003: (400, "unsupported_grant_type", "the grant type is not supported"),
    90002: (400, "invalid_request", "tenant not found"),
    500011: (400, "invalid_resource", "the resource principal was not found in the tenant"),
    700024: (401, "invalid_client", "the assertion is not within its valid time range"),
    700027: (401, "invalid_client", "the assertion's signature cannot be validated"),
    700016: (400, "unauthorized_client", "application not found in the tenant"),
    700082: (400, "invalid_grant", "refresh token expired"),
    900144: (400, "invalid_request", "the request body must contain the parameter"),
    7000215: (401, "invalid_client", "invalid client secret"),
    7000218: (401, "invalid_client", "the request body must contain client_assertion or client_secret"),
    7000222: (401, "invalid_client", "the client secret is expired"),
}
"""Status, error and words of each AADSTS code (behaviour 17)."""
_SUBERRORS = {50076: "basic_action", 50079: "basic_action", 65001: "consent_required"}


class TokenRefused(Exception):
    """An error reply of the token endpoint."""

    def __init__(self, code: int, *, words: str | None = None) -> None:
        self.status, self.error, usual = _TOKEN_ERRORS.get(code, (400, "invalid_request", "the request was refused"))
        self.code, self.description = code, f"AADSTS{code}: {words or usual}"
        super().__init__(self.description)

    def body(self, *, now: datetime) -> dict[str, Any]:
        return {
            "error": self.error,
            "error_description": self.description,
            "error_codes": [self.code],
            "timestamp": now.strftime("%Y-%m-%d %H:%M:%SZ"),
            **({"suberror": _SUBERRORS[self.code]} if self.code in _SUBERRORS else {}),
        }


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
        """The reply: an XML page behind a byte order mark."""
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
