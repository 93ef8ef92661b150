"""
The cache entry of a sign-in, and which refresh token is the newer one. Pure.

A refresh token in the settings is the seed of a chain: each redemption may return the next token. The cached token is
used instead of the seed as long as the seed stays the same; a new seed in the settings wins.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError


@dataclass(frozen=True, slots=True)
class Identity:
    """Whose tokens these are: application, user where the settings name one, and the endpoint that gives them."""

    tenant_id: str
    client_id: str
    token_url: str
    username: str | None = None

    @property
    def name(self) -> str:
        """A file name that reveals nothing; the same for the same sign-in, whatever its letter case."""
        identity = "\n".join((self.tenant_id, self.client_id, self.token_url, self.username or ""))
        return hashlib.sha256(identity.casefold().encode()).hexdigest()[:32]


class TokenEntry(BaseModel):
    """
    One sign-in.

    Attributes:
        account: The user who signed in, as far as it is known.
        public: The token was given to a client without a secret, and is redeemed without one.
        descends_from: Fingerprint of the seed in the settings that this token came from, or replaced when a person
            signed in; `None` when there was none.
        kept_at: ISO 8601, UTC.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    version: Literal[1] = 1
    tenant_id: str
    client_id: str
    token_url: str
    account: str | None = None
    public: bool = False
    descends_from: str | None = None
    kept_at: str
    refresh_token: str = Field(repr=False, min_length=1)

    def supersedes(self, seed: str | None) -> bool:
        """Whether this token is to be used although the settings hold `seed`."""
        return seed is None or self.refresh_token == seed or self.descends_from == token_fingerprint(seed)


def token_fingerprint(refresh_token: str) -> str:
    """SHA-256 of a token: identifies it without revealing it."""
    return hashlib.sha256(refresh_token.encode()).hexdigest()


def parse_token_entry(text: str) -> TokenEntry:
    """The entry in `text`."""
    try:
        return TokenEntry.model_validate_json(text)
    except ValidationError:
        raise ValueError("it is damaged, or of a later version of bulkpull") from None
