"""Rotation of refresh tokens across runs and processes. Without a usable cache a run uses the settings' token."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
from anyio import to_thread

from bulkpull.auth.token_cache import TokenCache, TokenEntry, token_fingerprint
from bulkpull.clock import Clock, iso_utc
from bulkpull.event_types import Event, TokenCacheUnread, TokenNotKept
from bulkpull.events import Events

# Longer than a renewal with its retries; after that, redeeming a token twice is better than waiting.
LONGEST_TURN_S = 90.0
_LOOK_EVERY_S = 0.1


class TokenRotation:
    """Keeps one sign-in's newest refresh token durably."""

    def __init__(self, cache: TokenCache, *, seed: str | None, clock: Clock, events: Events) -> None:
        self._cache, self._seed = cache, seed
        self._clock, self._events = clock, events
        self._last: TokenEntry | None = None
        self._is_forgotten = False
        self._warned: set[type[Event]] = set()

    @asynccontextmanager
    async def locked(self) -> AsyncIterator[None]:
        """Hold the lock for one renewal; without a usable lock, or after too long a wait, go on without it."""
        is_our_report = await self._wait_for_turn()
        try:
            yield
        finally:
            if is_our_report:
                with anyio.CancelScope(shield=True):
                    await to_thread.run_sync(self._cache.release)

    async def latest(self) -> TokenEntry | None:
        """The cached token, if it supersedes the refresh token of the settings."""
        try:
            found = await to_thread.run_sync(self._cache.load)
        except (OSError, ValueError) as trouble:
            self._warn(TokenCacheUnread, trouble)
            return None
        # Somebody signed out while this run is under way: it goes on with what it has, and keeps nothing again.
        self._is_forgotten = found is None and self._last is not None
        if found is None or not found[0].supersedes(self._seed):
            return None
        self._last = found[0]
        return found[0]

    async def store(self, refresh_token: str) -> None:
        """Store a new refresh token durably; a failure causes a warning that says what follows."""
        if self._is_forgotten:
            return
        identity, last = self._cache.identity, self._last
        # A seed that is taken out of the settings is still what the chain descends from.
        before = last.descends_from if last else None
        entry = TokenEntry(
            tenant_id=identity.tenant_id,
            client_id=identity.client_id,
            token_url=identity.token_url,
            account=last.account if last else None,
            public=last is not None and last.public,
            descends_from=token_fingerprint(self._seed) if self._seed else before,
            kept_at=iso_utc(self._clock.now()),
            refresh_token=refresh_token,
        )
        try:
            await to_thread.run_sync(self._cache.save, entry)
        except OSError as trouble:
            self._warn(TokenNotKept, trouble)
        else:
            self._last = entry

    async def _wait_for_turn(self) -> bool:
        deadline = self._clock.monotonic() + LONGEST_TURN_S
        while True:
            try:
                if await to_thread.run_sync(self._cache.take_turn):
                    return True
            except (OSError, NotImplementedError):
                return False  # `store` warns about a folder that cannot be written
            if self._clock.monotonic() >= deadline:
                return False
            await self._clock.sleep(_LOOK_EVERY_S)

    def _warn(self, kind: type[TokenCacheUnread | TokenNotKept], trouble: Exception) -> None:
        if kind in self._warned:
            return
        self._warned.add(kind)
        follows = "later runs need another sign-in: `bulkpull auth login`"
        if self._seed:
            follows = "later runs begin again with the refresh token of the settings, which ends with its own lifetime"
        why = getattr(trouble, "strerror", None) or str(trouble) or type(trouble).__name__
        self._events.emit(kind(folder=str(self._cache.folder), reason=why, follows=follows))
