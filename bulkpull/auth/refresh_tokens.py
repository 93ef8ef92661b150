"""Where the newest refresh token is kept: beyond this process, or for the length of a run only."""

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
    """Where the newest refresh token is kept, beyond this process."""

    def locked(self) -> AbstractAsyncContextManager[None]:
        """One renewal at a time among all who share the token."""
        ...

    async def latest(self) -> KeptToken | None:
        """The token that was kept last, if it is newer than the one that the credentials brought."""
        ...

    async def store(self, refresh_token: str) -> None:
        """Store a new token durably, or tell that it could not be."""
        ...


class InMemory:
    """A refresh token that nobody stores lives as long as the run."""

    @asynccontextmanager
    async def locked(self) -> AsyncIterator[None]:
        yield

    async def latest(self) -> KeptToken | None:
        return None

    async def store(self, refresh_token: str) -> None:
        pass
