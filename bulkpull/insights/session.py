"""
Sends API calls: rate limit, token, request ids, error mapping, retries, paging.

Each call has its own request id, which retries keep, and the correlation id of the run, for support (behaviour 44).
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from http import HTTPStatus
from typing import Any, TypeVar

import anyio

from bulkpull.auth.token_endpoint import AccessToken, TokenSource
from bulkpull.clock import Clock
from bulkpull.errors import (
    AccessDenied,
    AnswerLost,
    AuthError,
    BulkpullError,
    ListUnknown,
    NotConnected,
    NotFound,
    ServiceTrouble,
    Throttled,
    UnexpectedReply,
    UnsafeAddress,
)
from bulkpull.event_types import ListOdd
from bulkpull.events import Events
from bulkpull.formatting import plural
from bulkpull.insights.error_mapping import TokenRejected, raise_for_error
from bulkpull.insights.requests import Call, new_id, next_address
from bulkpull.insights.responses import Envelope, name_in, read_envelope
from bulkpull.transport.http import Http, Reply, Request, Timeouts
from bulkpull.transport.pacer import RateLimiter
from bulkpull.transport.rate_limit import parse_http_date, parse_retry_after
from bulkpull.transport.retry import Retrier
from bulkpull.url_safety import check_address, origin, same_origin

T = TypeVar("T")
Read = TypeVar("Read")
_AGAIN = "run it again; nothing was treated as missing"
MOST_ITEMS = 50_000
"""The most objects of one listing: far more than any account has, and still read within seconds."""
MOST_PAGES = 2_000
"""The most pages of one listing; two thousand reports in pages of ten are two hundred (case M8)."""


@dataclass(kw_only=True, eq=False, repr=False)
class ApiSession:
    """A session with the API. Pages and redirects must stay on the origin of `api_base_url`."""

    http: Http
    auth: TokenSource
    pacer: RateLimiter
    retrier: Retrier
    api_base_url: str
    clock: Clock
    events: Events
    correlation_id: str = field(default_factory=new_id, init=False)
    redacted: bool = field(default=False, init=False)
    clock_skew_s: float | None = field(default=None, init=False)
    asks_for_mfa: bool = field(default=False, init=False)
    has_mfa: bool | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        check_address(self.api_base_url, what="`api_base_url`")

    async def run_with_retry(self, operation: Callable[[], Awaitable[T]], *, of: Call) -> T:
        """Do `operation`, which sends `of`, as often as the retry layer says."""
        host = origin(self.api_base_url)
        return await self.retrier.run(operation, endpoint=of.endpoint, origin=host, creates=of.creates)

    async def send_with_retry(self, call: Call) -> Envelope:
        return await self.run_with_retry(partial(self.send, call), of=call)

    async def pages(self, call: Call, *, retry: bool = True, most_pages: int | None = None) -> list[Envelope]:
        """
        All pages of a listing; each is a call of its own. One that brings nothing new after the first is the last.

        Raises `UnsafeAddress` for a page on another origin, which would get the token, and `UnexpectedReply` where the
        pages lead in a circle, or there are more than `MOST_ITEMS` objects or `most_pages` (`MOST_PAGES`) pages
        (behaviour 32).
        """
        url = call.address(self.api_base_url)
        visited, known = {url}, set[str]()
        pages: list[Envelope] = []
        while True:
            page = await (self.send_with_retry(call) if retry else self.send(call))
            pages.append(page)
            number = len(known)
            known.update(json.dumps(item, sort_keys=True) for item in page.items)
            if len(known) > MOST_ITEMS or len(pages) > (most_pages or MOST_PAGES):
                size = f"{plural(len(known), 'object')} on {plural(len(pages), 'page')}"
                raise UnexpectedReply(
                    f"cannot {call.operation}",
                    why=f"the list has {size}, more than any account's",
                    fix="check `api_base_url` and whether a proxy answers instead of the service",
                )
            if page.next_link is None:
                return pages
            url = self._next_url(page.next_link, page_url=url, operation=call.operation)
            if url in visited:
                raise UnexpectedReply(f"cannot {call.operation}", why="its pages form a loop")
            if len(pages) > 1 and len(known) == number:
                return pages
            visited.add(url)
            call = call.at(url)

    async def pages_if_any(self, call: Call, *, retry: bool = True, most_pages: int | None = None) -> list[Envelope]:
        """As `pages`; where a filter matches nothing the service says 404 (behaviours 74 and 102), and we say none."""
        try:
            return await self.pages(call, retry=retry, most_pages=most_pages)
        except NotFound:
            return []

    async def read_list(
        self,
        call: Call,
        read: Callable[[Mapping[str, Any]], Read],
        *,
        what: str,
        required: Callable[[str], bool],
        retry: bool,
    ) -> list[Read]:
        """All that a listing holds, as `read`; nothing where nothing matches. `ListUnknown` where a list is null."""
        pages = await self.pages_if_any(call, retry=retry)
        if any(page.is_null for page in pages):
            raise ListUnknown(
                f"cannot {call.operation}: the service does not report what exists",
                why="its list is null, which is not an empty list",
                fix=_AGAIN,
            )
        items = [item for page in pages for item in page.items]
        return self.read_items(items, read, what=what, required=required)

    def read_items(
        self,
        items: Sequence[Mapping[str, Any]],
        read: Callable[[Mapping[str, Any]], Read],
        *,
        what: str,
        required: Callable[[str], bool] = lambda _: False,
    ) -> list[Read]:
        """
        The entries of a listing; one that cannot be read costs itself alone, and a warning tells of it.

        `ListUnknown` for one whose name is `required`: "cannot be read" must not become "is not there".
        `UnexpectedReply` where no entry can be read.
        """
        found: list[Read] = []
        unread: list[tuple[Mapping[str, Any], UnexpectedReply]] = []
        for item in items:
            try:
                found.append(read(item))
            except UnexpectedReply as error:
                unread.append((item, error))
        if unread and not found:
            raise unread[-1][1]
        for item, doubt in unread:
            if required(name_in(item)):
                raise ListUnknown(doubt.what, why=doubt.why, fix=_AGAIN)
        if unread:
            reason = f"the service lists {len(unread):,} of {len(items):,} {what} without an id, left out"
            self.events.emit(ListOdd(reason=reason))
        return found

    async def delete(self, call: Call) -> None:
        doubtful = False

        async def once() -> None:
            nonlocal doubtful
            try:
                await self.send(call)
            except NotFound:
                if not doubtful:
                    raise
            except (AnswerLost, ServiceTrouble, UnexpectedReply):
                doubtful = True
                raise

        await self.run_with_retry(once, of=call)

    async def send(self, call: Call) -> Envelope:
        """Send it once; when the token is refused, once more with another (behaviour 18)."""
        token = await self.auth.get_token()
        try:
            return await self._send_with(token, call)
        except TokenRejected:
            token = await self.auth.renew(token)
        self.http.counts.retried += 1
        try:
            return await self._send_with(token, call)
        except TokenRejected as refused:
            if token.app_only:
                raise _app_only_refused(refused) from None
            raise AuthError(
                "the service refuses this user's tokens, a fresh one too",
                why=refused.why,
                fix='check the credentials, and that the user has the role "Executive report viewer" in this tenant',
            ) from None

    async def _send_with(self, token: AccessToken, call: Call) -> Envelope:
        # The turn comes last: followed by a wait for the token, it could fall into somebody's Retry-After.
        turn = await self.pacer.acquire(call.urgency)
        headers = {
            "Authorization": f"Bearer {token.value}",
            "Accept": "application/json",
            "MS-RequestId": call.request_id,
            "MS-CorrelationId": self.correlation_id,
        }
        if self.asks_for_mfa:
            headers["ValidateMfa"] = "true"
        patience_s = call.patience_s
        timeouts = Timeouts() if patience_s is None else Timeouts(read_s=patience_s, total_s=patience_s + 30)
        request = Request(
            call.method,
            call.address(self.api_base_url),
            endpoint=call.endpoint,
            headers=headers,
            json=call.body,
            timeouts=timeouts,
            creates=call.creates,
        )
        try:
            # A creation under way is never left unanswered: what it made on the service would be unknown here.
            with anyio.CancelScope(shield=call.creates):
                reply = await self.http.send(request)
        except BaseException as error:
            # A cancelled call may have been sent: it counts.
            self.pacer.lost(turn, was_sent=not isinstance(error, NotConnected | UnsafeAddress))
            raise
        reported = self.pacer.answered(turn, reply.headers)
        try:
            envelope = self._checked(reply, call)
        except Throttled as error:
            self.http.counts.throttled += reply.status == HTTPStatus.OK  # it may come in an envelope (behaviour 30)
            if call.optional:
                error.was_repeated = True  # it is dropped: retries would use up the budget of calls that are needed
                self.pacer.tidying_throttled(error.retry_after_s)
            else:
                self.pacer.throttled(error.retry_after_s, reported)
            raise
        except ServiceTrouble:
            raise
        except BulkpullError as error:
            self.pacer.succeeded()  # a refusal and "nothing yet" are answers like others
            if isinstance(error, AccessDenied) and token.app_only:
                raise _app_only_refused(error) from None
            raise
        self.pacer.succeeded()
        return envelope

    def _checked(self, reply: Reply, call: Call) -> Envelope:
        date, now = reply.headers.get("Date"), self.clock.now()
        if sent_at := parse_http_date(date):
            self.clock_skew_s = (sent_at - now).total_seconds()
        if compliant := reply.headers.get("isMfaCompliant"):
            self.has_mfa = compliant.strip().casefold() == "true"
        raise_for_error(
            reply.status,
            reply.body,
            operation=call.operation,
            reference=f"request id {call.request_id}, correlation id {self.correlation_id}",
            headers=reply.headers,
            reason=reply.reason,
            retry_after_s=parse_retry_after(reply.headers.get("Retry-After"), date=date, now=now),
        )
        if call.may_be_empty and not reply.body.strip():
            return Envelope()
        envelope = read_envelope(reply.body, operation=call.operation)
        self.redacted = self.redacted or envelope.data_redacted
        return envelope

    def _next_url(self, link: str, *, page_url: str, operation: str) -> str:
        url = next_address(link, page_url=page_url, api_base_url=self.api_base_url)
        check_address(url, what="the address of the next page")
        if not same_origin(url, self.api_base_url):
            why = "its next page is on another host, which must not receive the token"
            raise UnsafeAddress(f"cannot {operation}", why=why)
        return url


def _app_only_refused(refused: BulkpullError) -> AuthError:
    return AuthError(
        "the service refuses tokens without a user",
        why=refused.why,
        fix="the grant `client_credentials` is not supported for this program: use `refresh_token` or `password`",
    )
