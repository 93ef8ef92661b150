"""
The private token cache: the newest refresh token of each sign-in, kept between runs.

It lies in a folder of the user's own, never in an output folder, encrypted by the operating system where it can be.
"""

from __future__ import annotations

from bulkpull.auth.token_cache import TokenCache, token_cache
from bulkpull.auth.token_entry import Identity, TokenEntry, token_fingerprint
from bulkpull.auth.token_rotation import TokenRotation

__all__ = ["Identity", "TokenCache", "TokenEntry", "TokenRotation", "token_cache", "token_fingerprint"]
