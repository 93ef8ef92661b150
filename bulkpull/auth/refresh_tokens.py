"""Storage for the newest refresh token: persistent, or only for the length of a run."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Protocol


class KeptToken(Protocol):
    """A refresh token that was kept."""

    @property
    def refresh_token(self) -> str:
        """The token itself."""
        ...

    @property
    def public(self) -> bool:
        """It was given to a client without a secret, and is redeemed without one (else AADSTS700025)."""
        ...


class RefreshTokens(Protocol):
    """Persistent storage for the newest refresh token."""

    def locked(self) -> AbstractAsyncContextManager[None]:
        """Hold the lock that allows one renewal at a time among all processes that share the token."""
        ...

    async def latest(self) -> KeptToken | None:
        """The stored token, if it is newer than the one in the credentials."""
        ...

    async def store(self, refresh_token: str) -> None:
        """Store a new token durably, or emit a warning if that fails."""
        ...


class InMemory:
    """No storage: the refresh token lives as long as the run."""

    @asynccontextmanager
    async def locked(self) -> AsyncIterator[None]:
        yield

    async def latest(self) -> KeptToken | None:
        return None

    async def store(self, refresh_token: str) -> None:
        pass
