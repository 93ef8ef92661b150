"""Sign-in, access tokens, and the private token cache with the newest refresh token of each sign-in."""

from __future__ import annotations

from bulkpull.auth.token_cache import Identity, TokenCache, TokenEntry, open_token_cache, token_fingerprint
from bulkpull.auth.token_rotation import TokenRotation

__all__ = ["Identity", "TokenCache", "TokenEntry", "TokenRotation", "open_token_cache", "token_fingerprint"]
