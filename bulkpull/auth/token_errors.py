"""
Maps error replies of the token endpoint to errors with a next step. Pure.

Only the first sentence of a description is quoted: the rest has trace ids and sometimes user names.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from http import HTTPStatus
from types import MappingProxyType
from typing import Any

from bulkpull.auth.grants import REFUSED
from bulkpull.auth.token_codes import (
    LOOK_UP,
    NO_PUBLIC_CLIENT,
    SIGN_IN_AGAIN,
    TOKEN_CODES,
    UNKNOWN_STEP,
    TokenCode,
    find_token_code,
    is_microsoft,
)
from bulkpull.errors import AuthError, ServiceTrouble, Throttled, UnexpectedReply
from bulkpull.redact import printable
from bulkpull.transport.http_messages import SUPPORT_ID, AnswerKind, Reply, request_id_in
from bulkpull.transport.json_fields import json_object, shown, text
from bulkpull.transport.proxies import proxy_refusal


class UnknownRefusal(UnexpectedReply):
    """An error that no table knows: it is retried, and quoted if it stays."""

    def __init__(self, final: AuthError) -> None:
        self.final = final
        super().__init__(final.what, why=final.why, fix=final.fix)


def judge_token_reply(
    reply: Reply, *, grant: str, retry_after_s: float | None, is_stored: bool = False, token_url: str | None = None
) -> None:
    """
    Raise what the answer means if it is no success.

    The request id in its headers stands in where the body names no trace id. A token that `is_stored` is one of
    `bulkpull auth login`. The page that explains codes is named if `token_url` is Microsoft's, or is not given.

    Raises:
        AuthError: The credentials are refused; asking again cannot help.
        UnknownRefusal: They are refused by a code that no table knows.
        Throttled, ServiceTrouble: The endpoint is busy or out of order.
        UnexpectedReply: It is no answer of a token endpoint.
    """
    status, raw = reply.status, json_object(reply.body)
    if status == HTTPStatus.OK and raw is not None and "error" not in raw:
        return
    label, ids, known = _read_error(raw or {}, reply.headers)
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        raise Throttled(
            "the token endpoint received too many requests", why=f"{status}{ids}", retry_after_s=retry_after_s
        )
    if known is not None and known.kind is AnswerKind.PASSING:
        pauses_s = [pause_s for pause_s in (retry_after_s, known.pause_s) if pause_s is not None]
        raise ServiceTrouble(
            "the token endpoint issues no token at the moment",
            why=f"{known.cause} ({label}{ids})",
            retry_after_s=max(pauses_s, default=None),
        )
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR or status == HTTPStatus.REQUEST_TIMEOUT:
        raise ServiceTrouble("the token endpoint has an error", why=f"{status}{ids}", retry_after_s=retry_after_s)
    if (proxy := proxy_refusal(status, operation="sign in", is_the_services=raw is not None)) is not None:
        raise proxy
    if raw is None or "error" not in raw:
        why = f"{status} {shown(reply.body)}".strip() + ids
        raise UnexpectedReply("the reply is not from a token endpoint", why=why, fix="check `token_url`")
    refused = token_error(raw, grant=grant, headers=reply.headers, is_stored=is_stored, token_url=token_url)
    raise refused if known is not None else UnknownRefusal(refused)


def _aadsts_code(raw: Mapping[str, Any]) -> int | None:
    """The AADSTS code of an error, from its list of codes or its description."""
    codes = raw.get("error_codes")
    numbers = [code for code in codes if isinstance(code, int)] if isinstance(codes, list) else []
    named = re.search(r"AADSTS(\d{4,8})", str(raw.get("error_description", "")))
    candidates = ([int(named[1])] if named else []) + numbers
    return next((code for code in candidates if code in TOKEN_CODES), candidates[0] if candidates else None)


def token_error(
    raw: Mapping[str, Any],
    *,
    grant: str,
    headers: Mapping[str, str] = MappingProxyType({}),
    is_stored: bool = False,
    token_url: str | None = None,
) -> AuthError:
    """The sentence for a refusal: in our words where a table knows it, else quoted; with the ids for support."""
    label, ids, known = _read_error(raw, headers)
    what = "the stored sign-in is not accepted any more" if is_stored else REFUSED[grant]
    has_page = token_url is None or is_microsoft(token_url)
    again = f"{SIGN_IN_AGAIN}; if that is refused too, {LOOK_UP}" if has_page else SIGN_IN_AGAIN
    if is_stored and known is NO_PUBLIC_CLIENT:
        why = f"the app registration does not allow public client flows any more ({label}{ids})"
        return AuthError(what, why=why, fix=f"allow them there, then {again}")
    if known is not None and known.kind is AnswerKind.FINAL:
        concerns_secret = "`client_secret`" in known.step
        if is_stored and (concerns_secret or "`bulkpull auth login`" in known.step):
            # No secret is sent with it, so a cause that names the secret points the wrong way.
            why = f"{label}{ids}" if concerns_secret else f"{known.cause} ({label}{ids})"
            return AuthError(what, why=why, fix=again)
        return AuthError(what, why=f"{known.cause} ({label}{ids})", fix=known.step)
    support = f"{LOOK_UP}, and quote trace id and correlation id to Microsoft's support; "
    unknown_step = f"{support}{UNKNOWN_STEP}" if has_page else UNKNOWN_STEP
    quoted = first_sentence(text(raw.get("error_description")) or "")
    description = f"{label}: {quoted}" if quoted and label not in quoted else quoted or label
    return AuthError(what, why=f"{description}{ids}", fix=again if is_stored else unknown_step)


def _read_error(raw: Mapping[str, Any], headers: Mapping[str, str]) -> tuple[str, str, TokenCode | None]:
    """What names an error, the ids that support asks for, and what the tables know of it."""
    code, word = _aadsts_code(raw), printable(text(raw.get("error")) or "", most=40)
    fields = {"trace id": "trace_id", "correlation id": "correlation_id"}
    ids = {name: text(raw.get(key)) for name, key in fields.items()}
    named = "".join(f", {name} {value}" for name, value in ids.items() if value and SUPPORT_ID.fullmatch(value))
    label = f"AADSTS{code}" if code is not None else word or "no error code"
    return label, named or request_id_in(headers), find_token_code(code, word)


def reason_of(error: Exception) -> str:
    """What another library's error says, as far as it may be shown."""
    return first_sentence(str(error)) or type(error).__name__


def first_sentence(description: str) -> str:
    """The first sentence of a description, redacted, without ids and addresses, at most 160 characters."""
    sentence = re.split(r"(?<=[.!?])\s|[\r\n]", description.strip(), maxsplit=1)[0]
    sentence = re.sub(r"(?<!\S)[^\s@]+@\S+|[0-9a-fA-F]{8}-[0-9a-fA-F-]{27}", "…", sentence)
    return printable(sentence, most=160)
