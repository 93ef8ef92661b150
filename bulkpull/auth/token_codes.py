"""
Error codes of the token endpoint: for each whether it is final or temporary, its cause and the next step. Pure data.

A known AADSTS code decides, else the value of `error`. Source: behaviour 17, RFC 6749 and the platform's list of codes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from bulkpull.transport.http_messages import AnswerKind

_SECURE_MODEL = (
    "sign in once with MFA, by `bulkpull auth login` or with a refresh token of yours "
    "(Secure Application Model, grant `refresh_token`)"
)
SIGN_IN = f"only a person can help: {_SECURE_MODEL}"
SIGN_IN_AGAIN = "sign in again: `bulkpull auth login`"
"""The step for a refresh token of the token cache, whatever the directory refuses it for."""
LOOP_PAUSE_S = 120.0
"""How long a client that was stopped for asking in a loop (AADSTS50196) keeps quiet, seconds."""


@dataclass(frozen=True, slots=True)
class TokenCode:
    """What a code means; the next try waits at least `pause_s` seconds, or with `None` for the usual backoff."""

    kind: AnswerKind
    cause: str
    step: str = ""
    pause_s: float | None = None


def _final(cause: str, step: str) -> TokenCode:
    return TokenCode(AnswerKind.FINAL, cause, step)


def _passing(cause: str, *, pause_s: float | None = None) -> TokenCode:
    return TokenCode(AnswerKind.PASSING, cause, "it is retried automatically", pause_s)


MFA = _final("multifactor authentication is required, which this grant cannot give", _SECURE_MODEL)
_CONSENT = _final(
    "the application needs an administrator's consent", "let an administrator consent to it for Partner Center"
)
NO_PUBLIC_CLIENT = _final(
    "the app registration does not allow public client flows, and no client secret was sent",
    "allow public client flows in the app registration, or set `client_secret`",
)
_ASK_ADMINISTRATOR = "ask the tenant's administrator"
_CODES: Mapping[TokenCode, tuple[int, ...]] = {
    MFA: (50072, 50074, 50076, 50078, 50079, 50158, 53004),
    _CONSENT: (90094, 90095),
    NO_PUBLIC_CLIENT: (7000218,),
    _final("the user has to choose an account", SIGN_IN): (16000,),
    _passing("the sign-in service has an error"): (50000,),
    _final("the redirect address is not registered", "add it to the application's registration"): (50011,),
    _final("the user belongs to another tenant", "check `username` and `tenant_id`"): (50020,),
    _final("the user does not exist in this tenant", "check `username` and `tenant_id`"): (50034,),
    _final(
        "the account is locked after too many attempts", "wait, and check `username` and `password` before trying"
    ): (50053,),
    _final("the password has expired", "let the user set a new one and change `password`"): (50055,),
    _final("the user's account is disabled", "use another account"): (50057,),
    _final("there is no such tenant", "check `tenant_id` and `token_url`"): (50059, 50128, 90002, 900023),
    _passing("a temporary error during strong authentication"): (50087,),
    _final("the user is not assigned to the application", "assign the user to it in Entra, or use another account"): (
        50105,
    ),
    _final("the user name or the password is wrong", "check `username` and `password`"): (50126,),
    _final("conditional access does not allow it", _ASK_ADMINISTRATOR): (50131, 53000, 53001, 53002, 53003),
    _final("the password has expired or was changed", "set the new one as `password`"): (50133, 50142, 50144),
    _final("the refresh token has ended or was revoked", SIGN_IN): (50173, 70008, 700082, 700084),
    _passing("the directory treats this client as one that requests tokens in a loop", pause_s=LOOP_PAUSE_S): (50196,),
    _final("the user is blocked because of a risk", _ASK_ADMINISTRATOR): (53011,),
    _final("the code was redeemed before", SIGN_IN): (54005,),
    _final("the application lacks consent", "let an administrator consent to it for Partner Center"): (65001,),
    _final("the person declined the sign-in", SIGN_IN_AGAIN): (65004,),
    _final("the refresh token is not valid", SIGN_IN): (70000,),
    _final("the application's credentials are wrong", "check `client_id` and `client_secret`"): (70002,),
    _final("a sign-in frequency policy has ended the refresh token", SIGN_IN): (70043,),
    _final("a sign-in frequency policy has ended the session", SIGN_IN): (70044,),
    _passing("the directory cannot reach the company's own sign-in servers"): (80001, 80002, 80005, 80007, 80014),
    _passing("a service of the directory has a temporary error"): (90006,),
    _passing("the request timed out within the directory"): (90012,),
    _passing("the directory's time limit for the request has passed"): (90024,),
    _passing("the directory is not available"): (90033,),
    _passing("the tenant receives too many requests"): (90055,),
    _final("the resource is unknown in this tenant", "check `resource`, and the consent to Partner Center"): (500011,),
    _final("the tenant has no Partner Center API", "check `resource`, and whether this is the partner's tenant"): (
        650052,
    ),
    _final("the application does not request the Partner Center API", "add its permission `user_impersonation`"): (
        650057,
    ),
    _final("the application is not known in this tenant", "check `client_id` and `tenant_id`"): (700016,),
    _final("this machine's clock differs too much from the directory's", "set the clock"): (700024,),
    _final("the application is a public client, which must not send a secret", "unset `client_secret`"): (700025,),
    _final(
        "the certificate is not registered with the application, or the key is another's",
        "upload the certificate of `client_certificate_file` to the application's registration",
    ): (700027,),
    _final("the application is disabled", _ASK_ADMINISTRATOR): (7000112,),
    _final(
        "the client secret is wrong",
        "set `client_secret` to the secret's value, not to its id; it may also be mistyped, expired or replaced",
    ): (7000215,),
    _final("the client secret has expired", "make a new one in the application's registration, set `client_secret`"): (
        7000222,
    ),
}
TOKEN_CODES: Mapping[int, TokenCode] = {code: meaning for meaning, codes in _CODES.items() for code in codes}
"""AADSTS code → what it means."""

_CREDENTIALS = "check `tenant_id`, `client_id`, `client_secret` and what the grant needs"

TOKEN_ERRORS: Mapping[str, TokenCode] = {
    "access_denied": _final("the directory denies access", _CREDENTIALS),
    "consent_required": _CONSENT,
    "interaction_required": MFA,
    "invalid_client": _final("the application's credentials are refused", "check `client_id` and `client_secret`"),
    "invalid_resource": _final("the resource is refused", "check `resource`, and the consent to Partner Center"),
    "invalid_scope": _final("the scope is refused", "check `resource` and `token_url`"),
    "login_required": _final("the directory requires the user to sign in", SIGN_IN),
    "server_error": _passing("the directory has an error"),
    "temporarily_unavailable": _passing("the directory is temporarily unavailable"),
    "unauthorized_client": _final("the application may not use this grant", "check `client_id` and `grant`"),
    "unsupported_grant_type": _final("the directory does not support this grant", "check `grant` and `token_url`"),
}
"""The word in `error` → what it means where no AADSTS code is known. `invalid_grant` alone says too little."""

UNKNOWN_STEP = _CREDENTIALS
LOOK_UP = "look the code up at https://login.microsoftonline.com/error"
"""A step for a refusal by Microsoft's directory; another one's codes are not explained there."""
_MICROSOFT_DOMAINS = ("microsoftonline.com", "microsoftonline.us", "microsoftonline.cn", "windows.net", "microsoft.com")


def is_microsoft(token_url: str) -> bool:
    """Whether Microsoft issues the tokens of an address, so that its page explains the codes."""
    host = urlsplit(token_url).hostname or ""
    return any(host == domain or host.endswith(f".{domain}") for domain in _MICROSOFT_DOMAINS)


def find_token_code(code: int | None, error: str) -> TokenCode | None:
    """What an answer means; `None` for one that no table knows."""
    known = TOKEN_CODES.get(code) if code is not None else None
    return known or TOKEN_ERRORS.get(error)
