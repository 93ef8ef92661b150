"""Access tokens from a token endpoint, renewed before they expire."""

from __future__ import annotations

import re
from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass, field, replace
from typing import Protocol

import anyio

from bulkpull.auth.grants import Credentials, Grant, life_of, margin_of, token_form
from bulkpull.auth.token_errors import UnknownRefusal, judge_token_reply
from bulkpull.auth.token_rotation import TokenRotation
from bulkpull.clock import Clock
from bulkpull.errors import AuthError, BulkpullError, UnexpectedReply
from bulkpull.event_types import TokenRenewed, TokenUnusable
from bulkpull.events import Events
from bulkpull.redact import register_secret, register_token
from bulkpull.transport.http import Http, Reply, Request
from bulkpull.transport.http_messages import UNKNOWN_TRIES, request_id_in
from bulkpull.transport.json_fields import json_object
from bulkpull.transport.rate_limit import parse_retry_after
from bulkpull.transport.retry import Retrier
from bulkpull.url_safety import check_address, origin

__all__ = ["AccessToken", "Credentials", "Grant", "TokenEndpoint", "TokenSource"]

# A rotated refresh token is stored even during a cancellation, but only for so long.
_STORE_WITHIN_S = 10.0


@dataclass(frozen=True, slots=True)
class AccessToken:
    """
    A bearer token for the API; `app_only` speaks for the application alone, without a user (behaviour 15).

    Its moments are those of the clock's `monotonic`: a stepped wall clock does not matter.
    """

    value: str = field(repr=False)
    issued_at: float
    life_s: float
    app_only: bool = False

    @property
    def expires_at(self) -> float:
        return self.issued_at + self.life_s

    @property
    def renew_from(self) -> float:
        return self.expires_at - margin_of(self.life_s)


class TokenSource(Protocol):
    async def get_token(self) -> AccessToken:
        """A token that is good for now."""
        ...

    async def renew(self, rejected: AccessToken) -> AccessToken:
        """A token other than `rejected`, which the API refused; callers refused together share one renewal."""
        ...


# RFC 6750 allows fewer; these travel in a header and in a form whatever they mean.
_TOKEN = re.compile(r"[\x21-\x7e]+")


def _token_in(raw: Mapping[str, object], name: str) -> str | None:
    """A token as it came: it is sent and compared, and never shown."""
    value = raw.get(name)
    return value.strip() or None if isinstance(value, str) else None


def _after_all_tries(unknown: UnexpectedReply) -> BulkpullError:
    """The error for an answer that no table knows, once it has been asked for often enough."""
    if isinstance(unknown, UnknownRefusal):
        return unknown.final
    history = f"tried {UNKNOWN_TRIES} times"
    final = type(unknown)(unknown.what, why=f"{unknown.why}, {history}" if unknown.why else history, fix=unknown.fix)
    final.was_repeated = True
    return final


@dataclass(kw_only=True, eq=False, repr=False)
class TokenEndpoint:
    """
    Tokens from a token endpoint.

    One renewal is under way at a time, whoever asks, and all who waited share its outcome. A refusal is remembered:
    repeating wrong credentials locks accounts. A refresh token that comes with a reply replaces the one before
    (behaviours 7 and 8). With the grant `refresh_token` it is `kept` before its access token is used (fault 19), and
    what another process kept meanwhile is used (20). Those of a password are not kept: the password lasts longer.
    """

    http: Http
    retrier: Retrier
    clock: Clock
    events: Events
    token_url: str
    resource: str
    grant: Grant
    credentials: Credentials
    kept: TokenRotation | None = None
    _renewing: anyio.Lock = field(default_factory=anyio.Lock, init=False)
    _token: AccessToken | None = field(default=None, init=False)
    _refresh_token: str | None = field(default=None, init=False)
    _is_public: bool = field(default=False, init=False)
    _attempts: int = field(default=0, init=False)
    _failure: BulkpullError | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        check_address(self.token_url, what="`token_url`")
        credentials = self.credentials
        if self.grant is not Grant.REFRESH_TOKEN:
            self.kept = None
        else:
            self._refresh_token = credentials.refresh_token
        if self.kept is None:  # a kept refresh token is read when it is needed
            token_form(self.grant, credentials=credentials, resource=self.resource, token_url=self.token_url)
        for secret in (credentials.client_secret, credentials.password, credentials.refresh_token):
            register_secret(secret or "")

    async def get_token(self) -> AccessToken:
        """
        The current token, or a new one when it is about to end.

        `AuthError` where the credentials are refused; it is remembered, so that asking again costs no call.
        """
        token = self._token
        if token is not None and self.clock.monotonic() < token.renew_from:
            return token
        try:
            return await self.renew(token)
        except AuthError:
            raise
        except BulkpullError:
            # It is renewed ahead of time, so while the endpoint is out of order the old one still serves.
            if token is not None and self.clock.monotonic() < token.expires_at:
                return token
            raise

    async def renew(self, rejected: AccessToken | None) -> AccessToken:
        attempts = self._attempts
        async with self._renewing:
            if isinstance(self._failure, AuthError):
                raise copy(self._failure)
            if self._token is not None and self._token is not rejected:
                return self._token
            if self._attempts != attempts and self._failure is not None:
                raise copy(self._failure)  # the attempt that this caller waited for
            try:
                self._token = await self._fetch()
                self._failure = None
            except BulkpullError as error:
                self._failure = error
                raise
            finally:
                self._attempts += 1
            return self._token

    async def _fetch(self) -> AccessToken:
        if self.kept is not None:
            async with self.kept.locked():
                if (newest := await self.kept.latest()) is not None:
                    self._refresh_token, self._is_public = newest.refresh_token, newest.public
                if self._refresh_token is None:
                    raise AuthError("no token: the sign-in was removed", fix="sign in again: `bulkpull auth login`")
                return await self._fetch_by(Grant.REFRESH_TOKEN)
        if self.grant is not Grant.REFRESH_TOKEN and self._refresh_token is not None:
            try:
                return await self._fetch_by(Grant.REFRESH_TOKEN)
            except AuthError:
                self._refresh_token = None  # it was a by-product of the password grant, which goes on without it
        return await self._fetch_by(self.grant)

    async def _fetch_by(self, grant: Grant) -> AccessToken:
        credentials = self.credentials
        if grant is Grant.REFRESH_TOKEN:
            credentials = replace(credentials, username=None, password=None, refresh_token=self._refresh_token)
            if self._is_public:
                credentials = replace(credentials, client_secret=None, sign=None)
        headers = {"Accept": "application/json"}
        unknown_answers = 0

        async def ask() -> tuple[Mapping[str, object], float]:
            nonlocal unknown_answers
            # Anew for each try: a signed assertion is short-lived.
            form = token_form(grant, credentials=credentials, resource=self.resource, token_url=self.token_url)
            request = Request("POST", self.token_url, endpoint="token", headers=headers, form=form)
            asked_at = self.clock.monotonic()
            reply = await self.http.send(request)
            try:
                return self._read(reply, grant=grant), asked_at
            except UnexpectedReply as unknown:
                unknown_answers += 1
                if unknown_answers >= UNKNOWN_TRIES:
                    raise _after_all_tries(unknown) from None
                raise

        try:
            raw, asked_at = await self.retrier.run(ask, endpoint="token", origin=origin(self.token_url))
        except UnknownRefusal as refused:  # the retrier allows fewer tries than an unknown answer gets
            raise refused.final from None
        await self._keep(_token_in(raw, "refresh_token"))
        life_s = life_of(raw.get("expires_in"))
        self.events.emit(TokenRenewed(grant=grant.value, lives_s=life_s))
        value = _token_in(raw, "access_token") or ""
        return AccessToken(value, asked_at, life_s, app_only=grant is Grant.CLIENT_CREDENTIALS)

    def _read(self, reply: Reply, *, grant: Grant) -> Mapping[str, object]:
        retry_after_s = parse_retry_after(
            reply.headers.get("Retry-After"), date=reply.headers.get("Date"), now=self.clock.now()
        )
        is_stored = self._is_public and grant is Grant.REFRESH_TOKEN
        judge_token_reply(
            reply, grant=grant.value, retry_after_s=retry_after_s, is_stored=is_stored, token_url=self.token_url
        )
        raw = json_object(reply.body) or {}
        value = _token_in(raw, "access_token")
        if value is None:
            ids = request_id_in(reply.headers).removeprefix(", ") or None
            raise UnexpectedReply("the token endpoint's reply holds no token", why=ids, fix="check `token_url`")
        register_token(value)
        if not _TOKEN.fullmatch(value):
            raise UnexpectedReply(
                "the token endpoint's token cannot be sent",
                why="it holds control characters, blanks or letters that no header carries",
                fix="check `token_url`, and look for a proxy that rewrites replies",
            )
        return raw

    async def _keep(self, refresh_token: str | None) -> None:
        if refresh_token is None or refresh_token == self._refresh_token or self.grant is Grant.CLIENT_CREDENTIALS:
            return
        register_token(refresh_token)
        if not _TOKEN.fullmatch(refresh_token):
            # Only it is lost: the access token is good, and the refresh token before stays in use.
            self.events.emit(TokenUnusable(reason="the new refresh token holds characters that no form carries"))
            return
        self._refresh_token = refresh_token
        if self.kept is not None:
            with anyio.move_on_after(_STORE_WITHIN_S, shield=True):
                await self.kept.store(refresh_token)
