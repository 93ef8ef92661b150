"""
The replies of the API as bytes: the envelope, the documented errors, and response faults (behaviours 29 to 36).

A text that one place alone needs stands there. A comment says where no document has a text.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import KW_ONLY, dataclass, field
from datetime import datetime, timedelta
from email.utils import format_datetime
from typing import Any

from aiohttp import web

from bulkpull.simulator.faults import Fault

NULL_OR_MISSING = "Null or missing value"
INVALID_PARAMETERS = "Invalid report parameters"
INVALID_QUERY = "Invalid query"
INVALID_QUERY_ID = "Invalid QueryId"
UNKNOWN_COLUMN = "Incorrect column name"
THROTTLED = "Rate limit is exceeded. Try again in {wait} seconds."

_HTML = (
    b"<!DOCTYPE html>\r\n<html><head><title>Gateway</title></head>\r\n"
    b"<body><h1>The service is unavailable.</h1></body></html>\r\n"
)
_IDS = frozenset({"executionId", "queryId", "reportId"})


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


def envelope(
    records: list[dict[str, Any]], *, message: str | None, next_link: str | None, data_redacted: bool
) -> dict[str, Any]:
    """The wrapper of every success; `totalCount` is the number of records in it (behaviours 29 and 33)."""
    return {
        "value": records,
        "nextLink": next_link,
        "totalCount": len(records),
        "message": message,
        "statusCode": 200,
        "dataRedacted": data_redacted,
    }


def reply_of(body: bytes, *, status: int = 200, content_type: str = "application/json", **more: Any) -> web.Response:
    return web.Response(body=body, status=status, content_type=content_type, charset="utf-8", **more)


def json_reply(body: Any, *, status: int = 200, **more: Any) -> web.Response:
    """A response of this object; `more` is `headers` and `reason`."""
    return reply_of(_json(body), status=status, **more)


def _json(body: Any) -> bytes:
    """JSON as the service sends it, with non-Latin letters unescaped."""
    # A lone surrogate has no UTF-8 form; the backslash form is its escape in JSON.
    return json.dumps(body, ensure_ascii=False).encode(errors="backslashreplace")


def gateway_error(status: int, words: str) -> web.Response:
    """An error of the gateway rather than the API, in Partner Center's generic form (behaviour 36)."""
    return json_reply({"code": str(status), "description": words, "source": "Gateway"}, status=status)


def refusal_reply(refusal: Refusal) -> web.Response:
    """A documented error: nothing but its code, message and status (behaviour 36)."""
    body = {**refusal.extra, "message": refusal.message, "statusCode": refusal.status}
    return json_reply(body, status=refusal.status, headers=refusal.headers, reason=refusal.reason)


def pascal(body: dict[str, Any], *, records_too: bool) -> dict[str, Any]:
    """The same reply with keys in PascalCase (behaviour 34); a test query's rows keep their column names."""
    records = [_with_capitals(record) for record in body["value"]] if records_too else body["value"]
    return _with_capitals({**body, "value": records})


def _with_capitals(record: Mapping[str, Any]) -> dict[str, Any]:
    return {key[:1].upper() + key[1:]: value for key, value in record.items()}


def upper_ids(body: dict[str, Any]) -> dict[str, Any]:
    """The same reply with the ids of its records in upper case (behaviour 153)."""
    return _with_ids(body, change=lambda key, value: value.upper() if key in _IDS and value else value)


def _with_ids(body: dict[str, Any], *, change: Callable[[str, Any], Any]) -> dict[str, Any]:
    records = [{key: change(key, value) for key, value in record.items()} for record in body["value"]]
    return {**body, "value": records}


def other_version(body: dict[str, Any]) -> dict[str, Any]:
    """The reply of another edition of the service: PascalCase, further keys, nulls where nothing is known."""
    other = pascal(body, records_too=True)
    records = [{**record, "IsPublicInOrg": False, "ExtensionData": None} for record in other["Value"]]
    return {**other, "Value": records, "ApiVersion": "1.1"}


def status_reply(fault: Fault, *, now: datetime) -> web.Response:
    """The answer of `http_status`, `throttle` and `status_after_acting`, in one of the forms of behaviour 36."""
    args = fault.args
    throttles = fault.name == "throttle"
    status = int(args.get("status", 429 if throttles else 503))
    headers: dict[str, str] = {}
    if "retry_after_date" in args:
        at = now + timedelta(seconds=float(args["retry_after_date"]))
        headers["Retry-After"] = format_datetime(at, usegmt=True)
    elif "retry_after" in args or throttles:
        headers["Retry-After"] = str(args.get("retry_after", 1))
    usual = THROTTLED.format(wait=headers.get("Retry-After", "1")) if throttles else "Service unavailable"
    message = args.get("message", usual)
    bare = {"message": message, "statusCode": status}
    bodies: dict[str, Any] = {
        "bare": {**({"code": args["code"]} if "code" in args else {}), **bare},
        "envelope": {"value": None, "nextLink": None, "totalCount": 0, **bare, "dataRedacted": False},
        "generic": {"code": str(args.get("code", "3000")), "description": message, "data": [], "source": "PartnerFD"},
    }
    form = args.get("body", "bare")
    body, content_type = _HTML if form == "html" else b"", "text/html" if form == "html" else "text/plain"
    if form in bodies:
        body, content_type = json.dumps(bodies[form]).encode(), "application/json"
    return reply_of(body, status=status, content_type=content_type, headers=headers, reason=args.get("reason"))


def ok_with_error(fault: Fault) -> web.Response:
    """HTTP 200 around an error (behaviour 30)."""
    body = envelope([], message=fault.args.get("message", INVALID_QUERY), next_link=None, data_redacted=False)
    return json_reply({**body, "statusCode": int(fault.args.get("status", 400))})


REPLY_FAULTS: Mapping[str, Callable[[bytes, dict[str, Any]], bytes]] = {
    "html_body": lambda _sent, _body: _HTML,
    "cut_json": lambda sent, _body: sent[: len(sent) // 2],
    "empty_body": lambda _sent, _body: b"",
    "wrong_charset": lambda sent, _body: sent.decode().encode("utf-16"),
    "idless_body": lambda _sent, body: _json(
        _with_ids(body, change=lambda key, value: None if key.casefold().endswith("id") else value)
    ),
    "null_value": lambda _sent, body: _json({**body, "value": None, "totalCount": 0}),
}
"""The faults that damage the body after the service acted: what is sent, by the usual bytes and the envelope."""


def damaged_reply(fault: Fault, shaped: dict[str, Any], body: dict[str, Any]) -> web.Response:
    """The reply as one of `REPLY_FAULTS` leaves it; `shaped` is the envelope `body` in the casing that is sent."""
    content_type = "text/html" if fault.name == "html_body" else "application/json"
    return reply_of(REPLY_FAULTS[fault.name](_json(shaped), body), content_type=content_type)
