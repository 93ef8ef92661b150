"""
Device code sign-in through MSAL: a person signs in with any browser, and the program gets a refresh token.

Its requests use our own transport, so that proxy, `ca_file`, address rules and redaction are the same as everywhere.
Waiting is done here, so that it can be cancelled.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode, urlsplit

from anyio import from_thread, to_thread

from bulkpull.auth.grants import DEVICE_CODE
from bulkpull.auth.token_errors import judge_token_reply, token_error
from bulkpull.clock import Clock
from bulkpull.config.settings import Settings
from bulkpull.errors import AuthError, ServiceTrouble, SettingsError, TransferError
from bulkpull.extras import library_command
from bulkpull.redact import printable, register_token
from bulkpull.transport.http import Http, Reply, Request
from bulkpull.transport.http_messages import request_id_in
from bulkpull.transport.json_fields import json_object

_TOKEN_PATH = re.compile(r"/oauth2(?:/v2\.0)?/token/?\Z")
# The fields of the directory's metadata that MSAL reads.
_DISCOVERED = frozenset({"authorization_endpoint", "token_endpoint"})
_PENDING = frozenset({"authorization_pending", "slow_down"})
# Errors that the person causes; no AADSTS code is documented for them.
_ENDINGS: Mapping[str, str] = {
    "authorization_declined": "the person declined the sign-in",
    "expired_token": "the code was not entered in time",
    "code_expired": "the code was not entered in time",
}


@dataclass(frozen=True, slots=True)
class DeviceCode:
    """What the person needs: the address, the code to enter, and its lifetime in seconds."""

    address: str
    user_code: str
    lives_s: float


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A refresh token, and its account if the directory names it."""

    refresh_token: str = field(repr=False)
    account: str | None


async def sign_in_by_device_code(
    settings: Settings, *, http: Http, clock: Clock, show: Callable[[DeviceCode], None]
) -> SignedIn:
    """
    Ask for a device code, show it, and wait until the person has signed in (behaviour 11; RFC 8628).

    Raises:
        SettingsError: MSAL is not installed, or it cannot use `token_url`.
        AuthError: Tenant or client is missing, the directory refuses, or the person did not sign in.
        TransferError, ReportingError: The directory does not answer.
    """
    application = await to_thread.run_sync(partial(_application, settings, http=http))
    scope = f"{settings.resource.rstrip('/')}/user_impersonation"
    flow: dict[str, Any] = await to_thread.run_sync(partial(application.initiate_device_flow, scopes=[scope]))
    if "user_code" not in flow:
        raise _refusal(flow, settings)
    register_token(str(flow["device_code"]))
    lives_s = float(flow["expires_in"])
    show(DeviceCode(printable(str(flow["verification_uri"])), printable(str(flow["user_code"])), lives_s))
    deadline = clock.monotonic() + lives_s
    while clock.monotonic() < deadline:
        await clock.sleep(float(flow["interval"]))
        result = await _ask(application, flow)
        if result is not None:
            return _read(result, settings)
    raise _unfinished("expired_token")


async def _ask(application: Any, flow: dict[str, Any]) -> Mapping[str, Any] | None:
    """Ask once whether the person has signed in; `None` for not yet, or if the answer was lost."""
    flow.pop("latest_attempt_at", None)  # MSAL's own clock; the waiting is done here
    once = partial(application.acquire_token_by_device_flow, flow, exit_condition=lambda _: True)
    try:
        result: Mapping[str, Any] = await to_thread.run_sync(once)
    except (TransferError, ServiceTrouble):
        return None  # the person may be signing in at this moment; the code's end is the deadline
    return None if result.get("error") in _PENDING else result


def _refusal(reply: Mapping[str, Any], settings: Settings) -> AuthError:
    return token_error(reply, grant=DEVICE_CODE, token_url=settings.token_address)


def _read(result: Mapping[str, Any], settings: Settings) -> SignedIn:
    error = str(result.get("error", ""))
    if error in _ENDINGS:
        raise _unfinished(error)
    if error:
        raise _refusal(result, settings)
    refresh_token = result.get("refresh_token")
    for name in ("access_token", "refresh_token", "id_token"):
        register_token(str(result.get(name) or ""))
    if not isinstance(refresh_token, str) or not refresh_token:
        raise AuthError(
            "the sign-in returned no refresh token",
            fix="give the application the permission `offline_access`, and consent to it",
        )
    claims = result.get("id_token_claims") or {}
    account = claims.get("preferred_username") if isinstance(claims, dict) else None
    return SignedIn(refresh_token, printable(str(account)) if account else None)


def _unfinished(error: str) -> AuthError:
    return AuthError("nobody signed in", why=_ENDINGS[error], fix="run `bulkpull auth login` again")


def _application(settings: Settings, *, http: Http) -> Any:
    try:
        from msal import PublicClientApplication  # noqa: PLC0415 - an extra, and slow to load
    except ImportError:
        raise SettingsError(
            "sign-in needs the library MSAL",
            why="it is not installed",
            fix=f"install it: `{library_command(['msal', 'msal-extensions'])}`",
        ) from None
    address = settings.token_address
    if _TOKEN_PATH.search(address) is None:
        raise _unusable("its path does not end in /oauth2/token or /oauth2/v2.0/token")
    authority = _TOKEN_PATH.sub("", address)
    if not urlsplit(authority).path.strip("/"):
        raise _unusable("its path has no tenant before /oauth2")
    carrier = _Carrier(http, token_url=address)
    return PublicClientApplication(
        settings.client_id,
        authority=carrier.with_https(authority),
        http_client=carrier,
        # It would ask a server of the public cloud whether to trust the address that a person has set on purpose.
        instance_discovery=False,
    )


def _unusable(why: str) -> SettingsError:
    return SettingsError(
        "`token_url` cannot be used for sign-in", why=why, fix="set it to the identity platform's token endpoint"
    )


@dataclass(frozen=True, slots=True)
class _Answer:
    """A reply in the format that MSAL expects."""

    status_code: int
    headers: dict[str, str] = field(repr=False)
    text: str = field(repr=False)  # it holds tokens


class _Carrier:
    """
    Sends MSAL's requests, which come from a worker thread, through the transport of the event loop.

    MSAL takes https addresses only: those of loopback are https for MSAL, and have their own scheme on the wire.
    """

    def __init__(self, http: Http, *, token_url: str) -> None:
        self._http, self._token_url, self._scheme = http, token_url, urlsplit(token_url).scheme
        self.post, self.get = partial(self._send, "POST"), partial(self._send, "GET")

    def close(self) -> None:
        """Nothing has to be closed."""

    def with_https(self, text: str) -> str:
        """The same text with addresses of our scheme as https."""
        return text if self._scheme == "https" else text.replace(f"{self._scheme}://", "https://")

    def _send(
        self, method: str, url: str, *, params: Any = None, data: Any = None, headers: Any = None, **_: Any
    ) -> _Answer:
        query = f"?{urlencode(params)}" if params else ""
        request = Request(
            method,
            f"{self._scheme}{url[url.index('://') :]}{query}",
            endpoint="token",
            headers={name: str(value) for name, value in (headers or {}).items()},
            form=None if data is None else {name: str(value) for name, value in data.items() if value is not None},
        )
        reply: Reply = from_thread.run(self._http.send, request)
        text = reply.body.decode("utf-8", "replace")
        if method == "GET":  # what the directory says of itself; MSAL has no words of use for a refusal
            judge_token_reply(reply, grant=DEVICE_CODE, retry_after_s=None, token_url=self._token_url)
            if not (json_object(reply.body) or {}).keys() >= _DISCOVERED:
                raise _unusable("what answers there does not describe a directory (OpenID configuration)")
            text = self.with_https(text)
        # Raised before MSAL sees it, which would keep the answer and give it again for a while.
        busy = reply.status >= HTTPStatus.INTERNAL_SERVER_ERROR or reply.status == HTTPStatus.TOO_MANY_REQUESTS
        if busy or json_object(reply.body) is None:
            why = f"status {reply.status}{request_id_in(reply.headers)}"
            raise ServiceTrouble("the directory's reply is not valid", why=why)
        return _Answer(reply.status, dict(reply.headers), text)
