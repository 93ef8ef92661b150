"""Which addresses credentials and data may go to (pure)."""

from __future__ import annotations

from ipaddress import ip_address
from urllib.parse import urlsplit


def is_loopback(url: str) -> bool:
    """Whether the address names this machine: `localhost`, 127.0.0.0/8 or [::1]."""
    host = (urlsplit(url).hostname or "").rstrip(".").casefold()
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
