"""Error replies of a proxy or gateway, the same before the API, the token endpoint and the storage host (pure)."""

from __future__ import annotations

from http import HTTPStatus

from bulkpull.errors import ProxyRefused, TransferError

# Busy or slow: the same request may be let through a moment later.
_PASSING = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS})


def connect_refusal(status: int, *, label: str) -> ProxyRefused | None:
    """The error for a reply to CONNECT, which is certainly the proxy's; `None` where another try may help."""
    if status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
        return ProxyRefused(f"{label}: the proxy refuses the credentials")
    if not HTTPStatus.BAD_REQUEST <= status < HTTPStatus.INTERNAL_SERVER_ERROR or status in _PASSING:
        return None
    return ProxyRefused(
        f"{label}: the proxy refuses the connection",
        why=f"the proxy said {status}",
        fix="ask the operator of the proxy to allow this host, or exclude the host from the proxy (NO_PROXY)",
    )


def proxy_refusal(status: int, *, operation: str, is_the_services: bool) -> TransferError | None:
    """The error for an answer of a proxy or of the network on the way; `None` when it may be the service's own."""
    if status == HTTPStatus.NETWORK_AUTHENTICATION_REQUIRED:
        return TransferError(
            f"cannot {operation}: the network requires a sign-in",
            why="511, which a captive portal sends instead of the service",
            fix="sign in to the network of this machine, then run the same command again",
        )
    is_refused = status == HTTPStatus.UNAUTHORIZED and not is_the_services
    if status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED or is_refused:
        return TransferError(
            f"cannot {operation}: a proxy or gateway requires a sign-in",
            why=f"{status}, which is not a reply of the service",
            fix="check user name and password in HTTPS_PROXY, or exclude the host from the proxy (NO_PROXY)",
        )
    return None
