"""Builds a signed-in, rate-limited client from settings."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from bulkpull._version import __version__
from bulkpull.auth.azure_identity import AzureCredential, CredentialTokens, default_credential
from bulkpull.auth.sign_in import prepare_sign_in
from bulkpull.auth.token_endpoint import TokenSource
from bulkpull.clock import Clock, own_random
from bulkpull.config.settings import Settings
from bulkpull.events import Events
from bulkpull.insights.client import InsightsClient
from bulkpull.insights.session import ApiSession
from bulkpull.transport.http import Http
from bulkpull.transport.pacer import RateLimiter
from bulkpull.transport.retry import Retrier, RetryPolicy


@dataclass(frozen=True, slots=True)
class Connection:
    """A connection to the service: the client, and the HTTP objects that downloads share with it."""

    client: InsightsClient
    http: Http
    retrier: Retrier


@asynccontextmanager
async def connected(
    *,
    settings: Settings,
    events: Events,
    clock: Clock,
    random: Callable[[], float] | None = None,
    credential: AzureCredential | None = None,
    client_type: type[InsightsClient] = InsightsClient,
) -> AsyncIterator[Connection]:
    """
    A connection to the service that the settings name, closed at the end of the block. Nothing is sent to it yet.

    `credential` gives tokens in place of what the settings say about signing in; it stays open.

    Raises:
        AuthError: A credential that the grant needs is missing, or a vault does not give it.
        SettingsError: A certificate cannot be used, or a library that the settings ask for is not installed.
    """
    http = Http(
        ca_file=settings.ca_file,
        events=events,
        clock=clock,
        user_agent=f"bulkpull/{__version__}",
        api_base_url=settings.api_base_url,
        near_hosts=settings.near_hosts,
    )
    draw = random or own_random()
    retrier = Retrier(
        policy=RetryPolicy(attempts=settings.request_attempts),
        clock=clock,
        events=events,
        random=draw,
        counts=http.counts,
    )
    async with AsyncExitStack() as stack:
        if credential is None and settings.grant == "azure":
            credential = await stack.enter_async_context(default_credential())
        auth: TokenSource
        if credential is not None:
            auth = CredentialTokens(credential, resource=settings.resource, clock=clock, events=events)
        else:
            auth = await prepare_sign_in(settings, http=http, retrier=retrier, events=events, clock=clock)
        await stack.enter_async_context(http)
        session = ApiSession(
            http=http,
            auth=auth,
            pacer=RateLimiter(
                calls_per_s=settings.requests_per_second,
                burst=settings.request_burst,
                window_s=settings.rate_limit_window_seconds,
                clock=clock,
                events=events,
                random=draw,
            ),
            retrier=retrier,
            api_base_url=settings.api_base_url,
            clock=clock,
            events=events,
        )
        yield Connection(client_type(session), http, retrier)
