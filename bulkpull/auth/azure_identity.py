"""Tokens from any credential of the Azure libraries, or any object with their `get_token`."""

from __future__ import annotations

import base64
import inspect
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Protocol

import anyio

from bulkpull.auth.grants import life_of
from bulkpull.auth.token_endpoint import AccessToken
from bulkpull.auth.token_errors import reason_of
from bulkpull.clock import Clock
from bulkpull.errors import AuthError, BulkpullError, NotConnected, SettingsError
from bulkpull.event_types import TokenRenewed
from bulkpull.events import Events
from bulkpull.extras import install_command
from bulkpull.redact import register_token

# Errors of azure-core that do not concern the credentials, by name: the library is an extra.
_UNREACHED = frozenset({"ServiceRequestError", "ServiceResponseError"})
_JWT_PARTS = 3


class AzureToken(Protocol):
    """A token as azure-core gives it; it ends at `expires_on`, seconds since 1970."""

    @property
    def token(self) -> str: ...

    @property
    def expires_on(self) -> int: ...


class AzureCredential(Protocol):
    """The part of azure-core's `AsyncTokenCredential` that is used here."""

    async def get_token(self, *scopes: str, **options: Any) -> AzureToken: ...


class CredentialTokens:
    """A token source over a credential, which keeps tokens itself and may give one again after it was refused."""

    def __init__(self, credential: AzureCredential, *, resource: str, clock: Clock, events: Events) -> None:
        self._credential = credential
        self._scope = f"{resource.strip().rstrip('/')}/.default"
        self._clock, self._events = clock, events
        self._renewing = anyio.Lock()
        self._token: AccessToken | None = None

    async def get_token(self) -> AccessToken:
        """The current token, or a new one when it is about to end; `AuthError` or `NotConnected` if it gives none."""
        token = self._token
        if token is not None and self._clock.monotonic() < token.renew_from:
            return token
        return await self.renew(token)

    async def renew(self, rejected: AccessToken | None) -> AccessToken:
        async with self._renewing:
            if self._token is None or self._token is rejected:
                self._token = await self._fetch()
            return self._token

    async def _fetch(self) -> AccessToken:
        who = type(self._credential).__name__
        given: AzureToken | None = None
        failure: BulkpullError = SettingsError(f"{who} is no asynchronous credential", fix="use azure.identity.aio")
        try:
            asked: object = self._credential.get_token(self._scope)
            if inspect.isawaitable(asked):
                given = await asked
        except Exception as error:  # noqa: BLE001 - each library and each wrapper has errors of its own
            failure = _explained(error, who=who)
        if given is None:
            raise failure  # here, so that not even `__context__` holds the library's error
        register_token(given.token)
        life_s = life_of(given.expires_on - self._clock.now().timestamp())
        self._events.emit(TokenRenewed(grant=who, lives_s=life_s))
        return AccessToken(given.token, self._clock.monotonic(), life_s, app_only=_is_app_only(given.token))


@asynccontextmanager
async def default_credential() -> AsyncIterator[AzureCredential]:
    """The Azure identity of this machine: environment, workload or managed identity, or `az login`."""
    try:
        from azure.identity.aio import DefaultAzureCredential  # noqa: PLC0415 - an extra, and slow to load
    except ImportError:
        raise SettingsError(
            "`grant` is azure", why="the libraries for Azure are not installed", fix=install_command("azure")
        ) from None
    async with DefaultAzureCredential() as credential:
        yield credential


def _explained(error: Exception, *, who: str) -> BulkpullError:
    why = reason_of(error)
    if _UNREACHED & {kind.__name__ for kind in type(error).__mro__}:
        return NotConnected(f"{who} could not ask for a token", why=why, fix="check the network and HTTPS_PROXY")
    return AuthError(
        f"{who} gives no token for the API",
        why=why,
        fix="check which identity it uses; the API needs a user's token with MFA, not an application's",
    )


def _is_app_only(token: str) -> bool:
    """Whether a token speaks for an application alone: a user's has scopes (`scp`). What cannot be read is a user's."""
    parts = token.split(".")
    if len(parts) != _JWT_PARTS:
        return False
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except ValueError:
        return False
    return isinstance(claims, dict) and (claims.get("idtyp") == "app" or "scp" not in claims)
