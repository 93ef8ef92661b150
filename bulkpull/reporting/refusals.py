"""
What the token endpoint's answers mean: its error codes as sentences that a person can act on. Pure.

Its own description is quoted by its first sentence only: the rest carries trace ids and sometimes names of users.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from bulkpull.errors import AuthError, BulkpullError, ServiceTrouble, Throttled, UnexpectedReply
from bulkpull.redact import printable
from bulkpull.reporting.wire import json_object, shown, text

_SECURE_MODEL = (
    "sign in once with MFA, by `bulkpull auth login` or with a refresh token of yours "
    "(Secure Application Model, grant `refresh_token`)"
)
_MFA = ("multifactor authentication is required, which this grant cannot give", _SECURE_MODEL)
_SIGN_IN = f"only a person can help: {_SECURE_MODEL}"
_SECRET = ("the client secret is wrong", "set `client_secret` to the secret's value, not to its id")
_USER = ("the user name or the password is wrong", "check `username` and `password`")
_REFRESH_ENDED = ("the refresh token has ended or was revoked", _SIGN_IN)
_TENANT = ("there is no such tenant", "check `tenant_id` and `token_url`")

# AADSTS code → cause and next step. Source: behaviour 17, and the identity platform's list of error codes.
_SENTENCES: Mapping[int, tuple[str, str]] = {
    16000: ("the user has to choose an account", _SIGN_IN),
    50011: ("the redirect address is not registered", "add it to the application's registration"),
    50034: ("the user does not exist in this tenant", "check `username` and `tenant_id`"),
    50053: ("the account is locked after too many attempts", "wait, and check `username` and `password` before trying"),
    50055: ("the password has expired", "let the user set a new one and change `password`"),
    50057: ("the user's account is disabled", "use another account"),
    50076: _MFA,
    50078: _MFA,
    50079: _MFA,
    50105: ("the user is not assigned to the application", "assign the user to it in Entra, or use another account"),
    50126: _USER,
    50128: _TENANT,
    50158: _MFA,
    50173: _REFRESH_ENDED,
    53003: ("conditional access does not allow it", "ask the tenant's administrator"),
    54005: ("the code was redeemed before", _SIGN_IN),
    65001: ("the application lacks consent", "let an administrator consent to it for Partner Center"),
    65004: ("the person who was asked declined", "sign in again: `bulkpull auth login`"),
    70000: ("the refresh token is not valid", _SIGN_IN),
    70002: ("the application's credentials are wrong", "check `client_id` and `client_secret`"),
    70008: _REFRESH_ENDED,
    70043: ("a sign-in frequency policy has ended the refresh token", _SIGN_IN),
    90002: _TENANT,
    90094: (
        "the application needs an administrator's consent",
        "let an administrator consent to it for Partner Center",
    ),
    500011: ("the resource is unknown in this tenant", "check `resource`, and the consent to Partner Center"),
    650052: ("the tenant knows no Partner Center API", "check `resource`, and whether this is the partner's tenant"),
    650057: ("the application does not ask for the Partner Center API", "add its permission `user_impersonation`"),
    700016: ("the application is not known in this tenant", "check `client_id` and `tenant_id`"),
    700024: ("this machine's clock differs too much from the directory's", "set the clock"),
    700025: ("the application is a public client, which must not send a secret", "unset `client_secret`"),
    700027: (
        "the certificate is not registered with the application, or the key is another's",
        "upload the certificate of `client_certificate_file` to the application's registration",
    ),
    700082: _REFRESH_ENDED,
    700084: _REFRESH_ENDED,
    7000112: ("the application is disabled", "ask the tenant's administrator"),
    7000215: _SECRET,
    7000218: (
        "the application needs a client secret",
        "set `client_secret`; to sign people in without one, allow public client flows in its registration",
    ),
    7000222: ("the client secret has expired", "make a new one in the application's registration, set `client_secret`"),
    900023: _TENANT,
}
_TEMPORARY = frozenset({90024, 90033, 90055})
_UNKNOWN_STEP = "check `tenant_id`, `client_id`, `client_secret` and what the grant needs"


def judge_token_reply(status: int, body: bytes, *, grant: str, retry_after_s: float | None) -> None:
    """
    Raise what the answer means if it is no success.

    Raises:
        AuthError: The credentials are refused; asking again cannot help.
        Throttled, ServiceTrouble: The endpoint is busy or out of order.
        UnexpectedReply: It is no answer of a token endpoint.
    """
    raw = json_object(body)
    if status == HTTPStatus.OK and raw is not None and "error" not in raw:
        return
    code = aadsts_code(raw or {})
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        raise Throttled("the token endpoint is asked too often", why=f"{status}", retry_after_s=retry_after_s)
    temporary = code in _TEMPORARY or (raw or {}).get("error") == "temporarily_unavailable"
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR or status == HTTPStatus.REQUEST_TIMEOUT or temporary:
        raise ServiceTrouble("the token endpoint is out of order", why=f"{status}", retry_after_s=retry_after_s)
    if raw is None or "error" not in raw:
        why = f"{status} {shown(body)}".strip()
        raise UnexpectedReply("the answer is not a token endpoint's", why=why, fix="check `token_url`")
    raise refusal(raw, code=code, grant=grant)


def known_refusals() -> Mapping[int, tuple[str, str]]:
    """AADSTS code → cause and next step, of all codes that are told in words of their own."""
    return _SENTENCES


def aadsts_code(raw: Mapping[str, Any]) -> int | None:
    """The AADSTS code of an error, from its list of codes or its description."""
    codes = raw.get("error_codes")
    numbers = [code for code in codes if isinstance(code, int)] if isinstance(codes, list) else []
    named = re.search(r"AADSTS(\d{4,8})", str(raw.get("error_description", "")))
    candidates = ([int(named[1])] if named else []) + numbers
    return next((code for code in candidates if code in _SENTENCES), candidates[0] if candidates else None)


def refusal(raw: Mapping[str, Any], *, code: int | None, grant: str) -> BulkpullError:
    """The sentence for a refusal."""
    error = printable(text(raw.get("error")) or "", most=40)
    label = f"AADSTS{code}" if code is not None else error
    if code is not None and code in _SENTENCES:
        cause, step = _SENTENCES[code]
        return AuthError(f"no token by the grant {grant}", why=f"{cause} ({label})", fix=step)
    if error == "interaction_required":
        return AuthError(f"no token by the grant {grant}", why=f"{_MFA[0]} ({label})", fix=_MFA[1])
    if error == "invalid_grant" and grant == "refresh_token":
        cause, step = _REFRESH_ENDED
        return AuthError(f"no token by the grant {grant}", why=f"{cause} ({label})", fix=step)
    quoted = first_sentence(text(raw.get("error_description")) or "")
    why = f"{label}: {quoted}" if quoted and label not in quoted else quoted or label
    return AuthError(f"no token by the grant {grant}", why=why, fix=_UNKNOWN_STEP)


def first_sentence(description: str) -> str:
    """The first sentence of a description, redacted, without ids and addresses, at most 160 characters."""
    sentence = re.split(r"(?<=[.!?])\s|[\r\n]", description.strip(), maxsplit=1)[0]
    sentence = re.sub(r"\S+@\S+|[0-9a-fA-F]{8}-[0-9a-fA-F-]{27}", "…", sentence)
    return printable(sentence, most=160)
