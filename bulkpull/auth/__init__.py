"""
The private token cache: the newest refresh token of each sign-in, kept between runs.

It lies in a folder of the user's own, never in an output folder, encrypted by the operating system where it can be.
"""

from __future__ import annotations

from bulkpull.auth.token_cache import TokenCache, token_cache
from bulkpull.auth.token_entry import Entry, Identity, fingerprint
from bulkpull.auth.token_rotation import Keeper

__all__ = ["Entry", "Identity", "Keeper", "TokenCache", "fingerprint", "token_cache"]
