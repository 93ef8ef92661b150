"""Checks which addresses may receive credentials and data: https anywhere, plain http on loopback only."""

from __future__ import annotations

import re
import socket
from collections.abc import Collection
from enum import IntEnum
from ipaddress import IPv4Address, IPv6Address, ip_address
from urllib.parse import SplitResult, urljoin, urlsplit

from bulkpull.errors import UnsafeAddress

# Characters that two parsers of addresses may read differently; none occurs in a well-formed one.
AMBIGUOUS = re.compile(r"[\x00-\x20\x7f\\]")
_DEFAULT_PORTS = {"http": 80, "https": 443}


def _parts(url: str, *, what: str) -> SplitResult:
    if AMBIGUOUS.search(url):
        raise UnsafeAddress(f"{what} is not used", why="it contains blanks, control characters or a backslash")
    try:
        parts = urlsplit(url)
        _ = parts.port  # a port that is no number is only noticed when it is asked for
    except ValueError:
        raise UnsafeAddress(f"{what} is not used", why="it is not an address") from None
    return parts


class Reach(IntEnum):
    """How close a host is to this machine, by its name: names that need DNS count as public."""

    PUBLIC = 0
    PRIVATE = 1
    LOOPBACK = 2


def reach_of(host: str) -> Reach:
    """How close `host` is; also where it is written as resolvers read it: `127.1`, `0x7f000001`, `2130706433`."""
    host = host.casefold().rstrip(".")
    if host in ("localhost", "localhost.localdomain") or host.endswith(".localhost"):
        return Reach.LOOPBACK
    address = _numeric(host)
    if address is None:
        return Reach.PUBLIC
    if address.is_loopback or address.is_unspecified:
        return Reach.LOOPBACK
    return Reach.PUBLIC if address.is_global else Reach.PRIVATE


def _numeric(host: str) -> IPv4Address | IPv6Address | None:
    try:
        address: IPv4Address | IPv6Address = ip_address(host)
    except ValueError:
        try:
            address = IPv4Address(socket.inet_aton(host))
        except (OSError, ValueError):
            return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def check_reach(url: str, *, from_url: str, allowed: Collection[str], what: str) -> None:
    """Refuse an address that leads closer to this machine than the one that named it, by `UnsafeAddress` (case C27)."""
    host = (_parts(url, what=what).hostname or "").casefold()
    reach = reach_of(host)
    is_allowed = host in {near_host.casefold() for near_host in allowed}
    if is_allowed or reach <= reach_of(_parts(from_url, what=what).hostname or ""):
        return
    where = "this machine" if reach is Reach.LOOPBACK else "a private network"
    raise UnsafeAddress(
        f"{what} is not used",
        why=f"it leads to {where} ({host[:80]})",
        fix="if the storage host is meant, name it in `storage_hosts`",
    )


def is_loopback(url: str) -> bool:
    """Whether the address is on this machine: `localhost`, 127.0.0.0/8 or ::1."""
    try:
        host = urlsplit(url).hostname or ""
        return host == "localhost" or host.endswith(".localhost") or ip_address(host).is_loopback
    except ValueError:
        return False


def join_address(base: str, target: str, *, what: str) -> str:
    """The address that `target` names as seen from `base`."""
    try:
        return urljoin(base, target)
    except ValueError:
        raise UnsafeAddress(f"{what} is not used", why="it is not an address") from None


def check_address(url: str, *, what: str) -> None:
    """
    Refuse an address that credentials or data must not go to, by `UnsafeAddress`.

    `what` names it there, such as "the secure link": the address is never shown whole.
    """
    parts = _parts(url, what=what)
    if not parts.hostname:
        why = "it names no host"
    elif parts.username is not None or parts.password is not None:
        why = "it carries a user name or a password"
    elif parts.scheme == "https" or (parts.scheme == "http" and is_loopback(url)):
        return
    elif parts.scheme == "http":
        why = f"{parts.hostname} uses plain http, and only https is allowed off loopback"
    else:
        why = f"its scheme is {parts.scheme or 'missing'}, not https"
    raise UnsafeAddress(f"{what} is not used", why=why)


def origin(url: str) -> str:
    """Scheme, host and port: the part of an address that is safe to tell."""
    parts = _parts(url, what="an address")
    port = parts.port or _DEFAULT_PORTS.get(parts.scheme, 0)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    return f"{parts.scheme}://{host}:{port}"


def same_origin(url: str, other: str) -> bool:
    """Whether both addresses have the same scheme, host and port; a default port equals none."""
    return origin(url) == origin(other)
