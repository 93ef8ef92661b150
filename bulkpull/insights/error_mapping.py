"""
Maps error replies to our errors, by status and body. Pure.

An error inside an envelope under HTTP 200 is an error too (behaviour 30). The body may be an envelope, a bare message,
the generic format, HTML or empty (36). The service documents few statuses (36 to 42 and 104); gateways and proxies add
their own. An unknown status is retried a limited number of times and then quoted.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from bulkpull.errors import (
    AccessDenied,
    AuthError,
    NotFound,
    QuotaExceeded,
    ReportingError,
    RequestRejected,
    ServiceTrouble,
    Throttled,
    UnexpectedReply,
)
from bulkpull.transport.http_messages import AnswerKind
from bulkpull.transport.json_fields import fold, json_object, shown, text, whole_number
from bulkpull.transport.proxies import proxy_refusal

_FINAL, _PASSING, _UNKNOWN = AnswerKind.FINAL, AnswerKind.PASSING, AnswerKind.UNKNOWN

API_STATUSES: Mapping[int, tuple[AnswerKind, str]] = {
    **dict.fromkeys((402, 405, 406, 411, 415, 422), (_FINAL, "the request is refused")),
    **dict.fromkeys((500, 501), (_PASSING, "the service has an error")),
    400: (_FINAL, "the request is rejected; for a quota, wait or clean up"),
    401: (_FINAL, "the token is rejected; a fresh one is tried once"),
    403: (_FINAL, "the role or the program does not allow it"),
    404: (_FINAL, "nothing matches; for executions it means nothing yet"),
    407: (_FINAL, "a proxy requires a user name and a password"),
    408: (_PASSING, "the service did not get the request in time"),
    409: (_FINAL, "the request conflicts with the current state"),
    410: (_FINAL, "it was permanently removed"),
    413: (_FINAL, "the request is too large"),
    414: (_FINAL, "the address is too long"),
    425: (_PASSING, "the service is not ready for the request"),
    429: (_PASSING, "the service received too many requests"),
    431: (_FINAL, "the request's headers are too long"),
    451: (_FINAL, "it is unavailable for legal reasons"),
    502: (_PASSING, "a gateway got no valid reply"),
    503: (_PASSING, "the service is not available"),
    504: (_PASSING, "the service is too slow; for a preview it means that there is none"),
    511: (_FINAL, "the network requires a sign-in"),
}
"""Status → kind, and what it means."""

_FAULTS = range(500, 600)


def kind_of_status(status: int) -> AnswerKind:
    """Whether a status is final or passes; any fault of a server passes, all others that are not listed are unknown."""
    if status in API_STATUSES:
        return API_STATUSES[status][0]
    return _PASSING if status in _FAULTS else _UNKNOWN


# The service asks for bearer tokens alone; these are what proxies ask for.
_PROXY_CHALLENGE = re.compile(r"\s*(?:basic|digest|ntlm|negotiate)\b", re.IGNORECASE)
_UNKNOWN_FIX = (
    "check `api_base_url` and the proxy; if it happens again, quote the request id and the "
    "correlation id to Microsoft's support"
)

WITHHELD = (
    "the service withheld revenue or personal data from this user; to get it, give the user the role "
    "Executive report viewer in Partner Center and take Report viewer away: with both the user counts as the lesser "
    "one (a changed role works after up to an hour; saving the user's page in the portal has removed the role before)"
)
"""What `dataRedacted` means, and what to do about it. Source: behaviours 19, 22, 23 and 193."""
REFUSED_ROLE_FIX = (
    'the user needs the role "Executive report viewer" (a new role works after up to an hour, and one that was there '
    "may have vanished: look again in Partner Center); indirect resellers have no access to this API"
)
"""What to do about a 403. Source: behaviours 19, 22, 25, 192 and 193."""


class TokenRejected(AuthError):
    """The API rejects this token (401); a fresh one may be accepted. Never leaves the client."""


class GatewayTimeout(ServiceTrouble):
    """The service took too long (504); for a test query that means "no preview". Source: behaviour 79."""


def raise_for_error(
    status: int,
    body: bytes,
    *,
    operation: str,
    reference: str = "",
    headers: Mapping[str, str] | None = None,
    reason: str = "",
    retry_after_s: float | None = None,
) -> None:
    """
    Raise what a reply to `operation`, such as "list the reports", means if it is no success.

    A `statusCode` of 400 or more in the body beats a lower status (behaviour 30). `reference` has the ids that support
    asks for, and the phrase in `reason` may tell of missing MFA (behaviour 12).
    """
    raw = json_object(body)
    inner = whole_number((raw or {}).get("statuscode"))
    if status < HTTPStatus.BAD_REQUEST and inner is not None and inner >= HTTPStatus.BAD_REQUEST:
        status = inner
    if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
        return
    words = (message_of(raw) if raw else None) or shown(body) or reason or "no explanation"
    described = words if words.startswith(f"{status} ") else f"{status} {words}"
    why = described + (f" ({reference})" if reference else "")
    challenge = {name.lower(): value for name, value in (headers or {}).items()}.get("www-authenticate", "")
    proxy = proxy_refusal(status, operation=operation, is_the_services=_PROXY_CHALLENGE.match(challenge) is None)
    if proxy is not None:
        raise proxy
    if status == HTTPStatus.UNAUTHORIZED:
        raise _refused_token(raw or {}, operation=operation, why=why, hints=f"{words} {reason} {challenge}")
    kind = kind_of_status(status)
    if kind is AnswerKind.PASSING:
        raise _trouble(status, operation=operation, why=why, retry_after_s=retry_after_s)
    if kind is AnswerKind.UNKNOWN:
        raise UnexpectedReply(f"cannot {operation}: the reply is not understood", why=why, fix=_UNKNOWN_FIX)
    raise _refusal(status, operation=operation, words=words, why=why, in_its_words=raw is not None or not body.strip())


def _trouble(status: int, *, operation: str, why: str, retry_after_s: float | None) -> Throttled | ServiceTrouble:
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return Throttled(
            f"cannot {operation} now: the service received too many requests", why=why, retry_after_s=retry_after_s
        )
    if status == HTTPStatus.GATEWAY_TIMEOUT:
        return GatewayTimeout(f"cannot {operation} now: the service is too slow", why=why, retry_after_s=retry_after_s)
    return ServiceTrouble(f"cannot {operation} now", why=why, retry_after_s=retry_after_s)


def _refusal(status: int, *, operation: str, words: str, why: str, in_its_words: bool) -> ReportingError:
    if status == HTTPStatus.FORBIDDEN:
        return AccessDenied(f"not allowed to {operation}", why=why, fix=REFUSED_ROLE_FIX)
    # A page of HTML under 404 comes from a gateway or a wrong address, and does not mean "nothing matches".
    if status == HTTPStatus.NOT_FOUND and in_its_words:
        return NotFound(f"cannot {operation}: nothing matches", why=why)
    if status == HTTPStatus.NOT_FOUND:
        return UnexpectedReply(
            f"cannot {operation}: the reply is not from this service", why=why, fix="check api_base_url"
        )
    for kind, (pattern, fix) in _QUOTAS.items():
        if found := pattern.search(words):
            limit = int(found[1]) if found[1] else None
            return QuotaExceeded(f"cannot {operation}: a quota is used up", kind=kind, limit=limit, why=why, fix=fix)
    # The service takes a value for a placeholder (behaviour 43).
    about_value = "check the callback and the format of the report" if words.startswith("Requested value ") else None
    return RequestRejected(f"the service refused to {operation}", why=why, fix=about_value)


def _refused_token(raw: Mapping[str, Any], *, operation: str, why: str, hints: str) -> AuthError:
    if str(raw.get("code", "")) == "900421" or re.search(r"\b900421\b|\bmfa\b|multi-?factor", hints, re.IGNORECASE):
        return AuthError(
            f"not allowed to {operation}: the token has no multifactor authentication claim",
            why=why,
            fix="sign in once with MFA, by `bulkpull auth login` or with a refresh token of yours (Secure Application "
            "Model, grant `refresh_token`); the password grant cannot satisfy it",
        )
    return TokenRejected(f"not allowed to {operation}", why=why)


_QUOTAS = {
    "one_off": (
        # The atomic group takes the first `ExecuteNow` and no other: without it the search is quadratic (case C14).
        re.compile(r"\A(?>.*?ExecuteNow\b).*\bquota(?:\s+of\s+(\d+))?", re.IGNORECASE | re.DOTALL),
        "one-off reports are limited per hour: wait, or use `bulkpull nightly`, whose reports do not count",
    ),
    "active_reports": (
        re.compile(r"report creation quota(?:\s+of\s+(\d+))?", re.IGNORECASE),
        "delete reports that are not needed: `bulkpull reports list` and `bulkpull reports delete`",
    ),
    "queries": (
        re.compile(r"Number of queries exceeded(?:\D{0,80}(\d{1,9}))?", re.IGNORECASE),
        "delete queries that are not needed: `bulkpull queries list` and `bulkpull queries delete`",
    ),
}


def message_of(raw: Mapping[str, Any]) -> str | None:
    """The explanation in a folded error body: an envelope's `message`, or the generic form (behaviour 36)."""
    nested = raw.get("error")
    if isinstance(nested, dict):
        return message_of(fold(nested))
    words = text(raw.get("message")) or text(raw.get("description"))
    code = text(raw.get("code"))
    return " ".join(part for part in (code if words != code else None, words) if part) or None
