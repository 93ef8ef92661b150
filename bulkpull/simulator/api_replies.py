"""API responses as bytes: the envelope, the error formats, and response faults (behaviours 29 to 36)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from bulkpull.simulator.error_replies import Refusal
from bulkpull.simulator.faults import Fault
from bulkpull.simulator.signed_links import http_date

_HTML = (
    b"<!DOCTYPE html>\r\n<html><head><title>Gateway</title></head>\r\n"
    b"<body><h1>The service is unavailable.</h1></body></html>\r\n"
)
_JSON = "application/json"
_IDS = frozenset({"executionId", "queryId", "reportId"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """An HTTP response."""

    status: int
    body: bytes
    content_type: str = _JSON
    headers: Mapping[str, str] = field(default_factory=dict)
    reason: str | None = None


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


def json_reply(body: Any, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """JSON as the service sends it, with non-Latin letters unescaped."""
    text = json.dumps(body, ensure_ascii=False)
    # A lone surrogate has no UTF-8 form; the backslash form is its escape in JSON.
    return Response(status=status, body=text.encode(errors="backslashreplace"), headers=headers or {})


def refusal_reply(refusal: Refusal) -> Response:
    """A documented error: nothing but its code, message and status (behaviour 36)."""
    body = {**refusal.extra, "message": refusal.message, "statusCode": refusal.status}
    return replace(json_reply(body, status=refusal.status, headers=refusal.headers), reason=refusal.reason)


def pascal(body: dict[str, Any], *, records_too: bool) -> dict[str, Any]:
    """The same reply with keys in PascalCase (behaviour 34); a test query's rows keep their column names."""
    cased = {_capital(key): value for key, value in body.items()}
    if records_too and isinstance(cased.get("Value"), list):
        cased["Value"] = [{_capital(key): value for key, value in record.items()} for record in cased["Value"]]
    return cased


def upper_ids(body: dict[str, Any]) -> dict[str, Any]:
    """The same reply with the ids of its records in upper case (behaviour 153)."""
    return {**body, "value": [_with_upper_ids(record) for record in body["value"] or ()]}


def _with_upper_ids(record: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value.upper() if key in _IDS and value else value for key, value in record.items()}


def other_version(body: dict[str, Any]) -> dict[str, Any]:
    """The reply of another edition of the service: PascalCase, further keys, nulls where nothing is known."""
    other = pascal(body, records_too=True)
    if isinstance(other["Value"], list):
        other["Value"] = [{**record, "IsPublicInOrg": False, "ExtensionData": None} for record in other["Value"]]
    return {**other, "ApiVersion": "1.1"}


def status_reply(fault: Fault, *, now: datetime) -> Response:
    """The answer of `http_status`, `throttle` and `status_after_acting`, in one of the forms of behaviour 36."""
    args = fault.args
    throttles = fault.name == "throttle"
    status = int(args.get("status", 429 if throttles else 503))
    headers: dict[str, str] = {}
    if "retry_after_date" in args:
        headers["Retry-After"] = http_date(now + timedelta(seconds=float(args["retry_after_date"])))
    elif "retry_after" in args or throttles:
        headers["Retry-After"] = str(args.get("retry_after", 1))
    wait = headers.get("Retry-After", "1")
    message = args.get(
        "message", f"Rate limit is exceeded. Try again in {wait} seconds." if throttles else "Service unavailable"
    )
    form = args.get("body", "bare")
    reply = Response(status=status, body=b"", headers=headers, reason=args.get("reason"))
    bare = {"message": message, "statusCode": status}
    bodies: dict[str, Any] = {
        "bare": {**({"code": args["code"]} if "code" in args else {}), **bare},
        "envelope": {"value": None, "nextLink": None, "totalCount": 0, **bare, "dataRedacted": False},
        "generic": {"code": str(args.get("code", "3000")), "description": message, "data": [], "source": "PartnerFD"},
    }
    if form in bodies:
        return replace(reply, body=json.dumps(bodies[form]).encode())
    if form == "html":
        return replace(reply, body=_HTML, content_type="text/html")
    return replace(reply, content_type="text/plain")


def ok_with_error(fault: Fault) -> Response:
    """HTTP 200 around an error (behaviour 30)."""
    body = envelope([], message=fault.args.get("message", "Invalid query"), next_link=None, data_redacted=False)
    return json_reply({**body, "statusCode": int(fault.args.get("status", 400))})


REPLY_FAULTS = ("html_body", "cut_json", "empty_body", "wrong_charset", "idless_body", "null_value")
"""The faults that spoil the body after the service acted."""


def spoiled_reply(fault: Fault, reply: Response, body: dict[str, Any]) -> Response:
    """The reply as one of `REPLY_FAULTS` leaves it."""
    match fault.name:
        case "html_body":
            return replace(reply, body=_HTML, content_type="text/html")
        case "cut_json":
            return replace(reply, body=reply.body[: len(reply.body) // 2])
        case "empty_body":
            return replace(reply, body=b"")
        case "wrong_charset":
            return replace(reply, body=reply.body.decode().encode("utf-16"))
        case "idless_body":
            records = [
                {key: None if key.casefold().endswith("id") else value for key, value in record.items()}
                for record in body["value"]
            ]
            return replace(json_reply({**body, "value": records}), headers=reply.headers)
        case _:
            return replace(json_reply({**body, "value": None, "totalCount": 0}), headers=reply.headers)


def _capital(key: str) -> str:
    return key[:1].upper() + key[1:]
